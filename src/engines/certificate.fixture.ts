/** A certificate made on the spot, signed by itself, so that no key rests in the repository and none ever expires there. */
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto'

export type Certified = { readonly key: string; readonly cert: string }

/** For one DNS name, from now on for a day. */
export function certificateFor(name: string): Certified {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const algorithm = sequence(ECDSA_WITH_SHA256)
  const subject = sequence(der(0x31, sequence(Buffer.concat([COMMON_NAME, der(0x0c, Buffer.from(name))]))))
  const altNames = extension(SUBJECT_ALT_NAME, sequence(der(0x82, Buffer.from(name))))
  const isAuthority = extension(BASIC_CONSTRAINTS, sequence(der(0x01, Buffer.of(0xff))))
  const body = sequence(
    der(0xa0, der(0x02, Buffer.of(2))),
    der(0x02, Buffer.concat([Buffer.of(1), randomBytes(8)])),
    algorithm,
    subject,
    sequence(time(-3600), time(24 * 3600)),
    subject,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(altNames, isAuthority)),
  )
  const signature = der(0x03, Buffer.concat([Buffer.of(0), sign('sha256', body, privateKey)]))
  const base64 = sequence(body, algorithm, signature).toString('base64').replaceAll(/.{64}/g, '$&\n')
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    cert: `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`,
  }
}

const ECDSA_WITH_SHA256 = Buffer.from('06082a8648ce3d040302', 'hex')
const COMMON_NAME = Buffer.from('0603550403', 'hex')
const SUBJECT_ALT_NAME = Buffer.from('0603551d11', 'hex')
const BASIC_CONSTRAINTS = Buffer.from('0603551d13', 'hex')

/** One value of ASN.1's distinguished encoding: tag, length, content. */
function der(tag: number, content: Buffer): Buffer {
  const { length } = content
  const head = length < 128 ? [tag, length] : length < 256 ? [tag, 0x81, length] : [tag, 0x82, length >> 8, length & 255]
  return Buffer.concat([Buffer.from(head), content])
}

const sequence = (...contents: Buffer[]): Buffer => der(0x30, Buffer.concat(contents))

const extension = (name: Buffer, value: Buffer): Buffer => sequence(name, der(0x04, value))

/** So many seconds from now, as `YYMMDDhhmmssZ`. */
const time = (seconds: number): Buffer =>
  der(0x17, Buffer.from(`${new Date(Date.now() + seconds * 1000).toISOString().replaceAll(/\D/g, '').slice(2, 14)}Z`))
