import { generateKeyPairSync, sign } from 'node:crypto'
import fc from 'fast-check'
import { createSiweMessage } from 'viem/siwe'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { describe, expect, it } from 'vitest'
import { Failure } from '../core/errors.ts'
import { encodeBase58 } from './base58.ts'
import { MAX_AGE_MS, SOLANA_MAINNET, SignIn } from './sign-in.ts'
import { headerOf, type MessageParts, messageOf, testClock } from './testing.fixture.ts'
import { WalletSignatures } from './wallet-signature.ts'

const HOST = 'ai.example.com'
const account = privateKeyToAccount(generatePrivateKey())
const wallet = account.address.toLowerCase()

function fresh() {
  const clock = testClock()
  const signIn = new SignIn({ isOurs: (host) => host === HOST, chainId: 8453, signatures: new WalletSignatures(null), clock })
  return { clock, signIn }
}

let nonces = 0
function parts(now: number, changed: Partial<MessageParts> = {}): MessageParts {
  return {
    domain: HOST,
    kind: 'Ethereum',
    address: account.address,
    statement: 'Sign in to Venice AI',
    uri: `https://${HOST}/api/v1/chat/completions`,
    version: '1',
    chainId: '8453',
    nonce: `nonce${(++nonces).toString().padStart(8, '0')}`,
    issuedAt: new Date(now).toISOString(),
    expirationTime: new Date(now + 600_000).toISOString(),
    ...changed,
  }
}

async function header(message: string, changed: Record<string, unknown> = {}): Promise<string> {
  const signature = await account.signMessage({ message })
  return headerOf({ address: account.address, message, signature, timestamp: 1, chainId: 8453, ...changed })
}

const reasonOf = (verified: Promise<unknown>): Promise<unknown> =>
  verified.then(
    (value) => value,
    (error: unknown) => {
      if (!(error instanceof Failure) || error.code !== 'X402_INVALID_SIGN_IN') throw error
      expect([error.status, error.message.startsWith('Invalid Sign-in-with-x signature')]).toEqual([401, true])
      return error.reason
    },
  )

describe('a sign-in by a wallet', () => {
  it('is taken once: the wallet that signed, in lower case, and the second time a refusal', async () => {
    const { clock, signIn } = fresh()
    const value = await header(messageOf(parts(clock.time)))

    expect(await signIn.verify(value)).toBe(wallet)
    expect(await reasonOf(signIn.verify(value))).toBe('nonce_used')
  })

  it('is taken once when it comes ten times at the same moment', async () => {
    const { clock, signIn } = fresh()
    const value = await header(messageOf(parts(clock.time)))

    const answers = await Promise.all(Array.from({ length: 10 }, () => reasonOf(signIn.verify(value))))

    expect(answers.filter((answer) => answer === wallet)).toHaveLength(1)
    expect(answers.filter((answer) => answer === 'nonce_used')).toHaveLength(9)
  })

  it('may be made from a challenge, by the library that everybody uses', async () => {
    const { clock, signIn } = fresh()
    const { info, supportedChains } = signIn.challenge(`https://${HOST}/api/v1/chat/completions`)

    const message = createSiweMessage({
      ...info,
      address: account.address,
      chainId: 8453,
      issuedAt: new Date(info.issuedAt),
      expirationTime: new Date(info.expirationTime),
    })

    expect(await signIn.verify(await header(message))).toBe(wallet)
    expect(supportedChains.map(({ type }) => type)).toEqual(['eip191', 'ed25519'])
    expect(Date.parse(info.expirationTime) - clock.time).toBe(MAX_AGE_MS)
  })

  it.each<[string, Partial<MessageParts>, Record<string, unknown>]>([
    ['the other statement', { statement: 'Sign in to Venice API' }, {}],
    ['no statement', { statement: null }, {}],
    ['the origin as URI', { uri: `https://${HOST}` }, {}],
    ['the bare host as URI', { uri: HOST }, {}],
    ['no expiration', { expirationTime: null }, {}],
    ['no timestamp', {}, { timestamp: undefined }],
    ['the chain as text', {}, { chainId: '8453' }],
    ['the chain by CAIP-2', {}, { chainId: 'eip155:8453' }],
    ['an address in lower case', { address: wallet }, { address: wallet }],
    ['a type', {}, { type: 'eip191' }],
  ])('tolerates %s', async (_, changed, payload) => {
    const { clock, signIn } = fresh()

    expect(await signIn.verify(await header(messageOf(parts(clock.time, changed)), payload))).toBe(wallet)
  })

  const MINUTE = 60_000
  const at = (time: number): string => new Date(Date.parse('2026-11-20T12:00:00Z') + time).toISOString()
  it.each<[string, Partial<MessageParts>, Record<string, unknown>]>([
    ['domain_mismatch', { domain: 'evil.example.com' }, {}],
    ['uri_mismatch', { uri: 'https://evil.example.com/api/v1' }, {}],
    ['uri_mismatch', { uri: `https://${HOST}@evil.example.com/` }, {}],
    ['uri_mismatch', { uri: `https://${HOST}.evil.example.com/` }, {}],
    ['version_unknown', { version: '2' }, {}],
    ['nonce_malformed', { nonce: 'short' }, {}],
    ['nonce_malformed', { nonce: 'not alphanumeric!' }, {}],
    ['statement_mismatch', { statement: 'Give me all your money' }, {}],
    ['expired', { issuedAt: at(-5 * MINUTE) }, {}],
    ['expired', { expirationTime: at(0) }, {}],
    ['issued_in_future', { issuedAt: at(MINUTE) }, {}],
    ['message_malformed', { issuedAt: 'yesterday' }, {}],
    ['chain_mismatch', { chainId: '1' }, {}],
    ['chain_mismatch', {}, { chainId: 1 }],
    ['type_mismatch', {}, { type: 'ed25519' }],
    ['address_mismatch', { address: '0x0000000000000000000000000000000000000001' }, {}],
    ['signature_mismatch', {}, { signature: `0x${'00'.repeat(65)}` }],
    ['signature_mismatch', {}, { signature: 'no signature at all' }],
    ['malformed', {}, { signature: undefined }],
    ['malformed', {}, { message: 5 }],
  ])('is refused for its %s', async (reason, changed, payload) => {
    const { clock, signIn } = fresh()

    expect(await reasonOf(signIn.verify(await header(messageOf(parts(clock.time, changed)), payload)))).toBe(reason)
  })

  it('is refused when another wallet than the one it names signed it', async () => {
    const { clock, signIn } = fresh()
    const other = privateKeyToAccount(generatePrivateKey())
    const message = messageOf(parts(clock.time, { address: other.address }))

    expect(await reasonOf(signIn.verify(await header(message, { address: other.address })))).toBe('signature_mismatch')
  })

  it('does not use up a nonce for who only guesses it', async () => {
    const { clock, signIn } = fresh()
    const message = messageOf(parts(clock.time))

    expect(await reasonOf(signIn.verify(await header(message, { signature: `0x${'11'.repeat(65)}` })))).toBe('signature_mismatch')
    expect(await signIn.verify(await header(message))).toBe(wallet)
  })

  it('remembers a nonce for as long as its message would be taken, at the very edge too', async () => {
    const { clock, signIn } = fresh()
    const message = messageOf(parts(clock.time, { issuedAt: new Date(clock.time + 30_000).toISOString() }))
    const value = await header(message)

    expect(await signIn.verify(value)).toBe(wallet)
    clock.time += 30_000 + MAX_AGE_MS - 1
    expect(await reasonOf(signIn.verify(value))).toBe('nonce_used')
    clock.time += 1
    expect(await reasonOf(signIn.verify(value))).toBe('expired')
  })
})

describe('a sign-in by a Solana wallet', () => {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const address = encodeBase58(publicKey.export({ format: 'der', type: 'spki' }).subarray(-32))
  const solana: Partial<MessageParts> = { kind: 'Solana', address, chainId: SOLANA_MAINNET, statement: null }
  const signed = (message: string, encode: (bytes: Buffer) => string, changed: Record<string, unknown> = {}): string =>
    headerOf({
      address,
      message,
      signature: encode(sign(null, Buffer.from(message), privateKey)),
      type: 'ed25519',
      chainId: SOLANA_MAINNET,
      ...changed,
    })

  it.each([
    ['base58', encodeBase58],
    ['base64', (bytes: Buffer) => bytes.toString('base64')],
  ])('is taken with a signature in %s, and its address keeps its case', async (_, encode) => {
    const { clock, signIn } = fresh()

    expect(await signIn.verify(signed(messageOf(parts(clock.time, solana)), encode))).toBe(address)
  })

  it.each<[string, Partial<MessageParts>, Record<string, unknown>]>([
    ['signature_mismatch', {}, { signature: encodeBase58(Buffer.alloc(64, 7)) }],
    ['signature_mismatch', {}, { signature: 'x' }],
    ['address_mismatch', { address: address.toLowerCase() }, {}],
    ['chain_mismatch', { chainId: 'solana:devnet' }, {}],
    ['type_mismatch', {}, { type: 'eip191' }],
  ])('is refused for its %s', async (reason, changed, payload) => {
    const { clock, signIn } = fresh()

    expect(await reasonOf(signIn.verify(signed(messageOf(parts(clock.time, { ...solana, ...changed })), encodeBase58, payload)))).toBe(
      reason,
    )
  })
})

describe('whatever stands in the header', () => {
  const refusal = async (value: string): Promise<string> => {
    const error: unknown = await fresh()
      .signIn.verify(value)
      .catch((caught: unknown) => caught)
    return error instanceof Failure ? error.code : `not refused but ${String(error)}`
  }

  it('is refused as a sign-in, bytes of any kind', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
        async (value) => {
          expect(await refusal(value)).toBe('X402_INVALID_SIGN_IN')
        },
      ),
      { numRuns: 300 },
    )
  })

  it('is refused as a sign-in, JSON of any kind', async () => {
    const field = fc.oneof(fc.jsonValue(), fc.string())
    const payload = fc.record({ address: field, message: field, signature: field, chainId: field, type: field }, { requiredKeys: [] })
    await fc.assert(
      fc.asyncProperty(fc.oneof(payload, fc.jsonValue()), async (value) => {
        expect(await refusal(headerOf(value))).toBe('X402_INVALID_SIGN_IN')
      }),
      { numRuns: 300 },
    )
  })

  it('is refused as a sign-in, a right one with any character changed', async () => {
    const { clock, signIn } = fresh()
    const message = messageOf(parts(clock.time))
    const signature = await account.signMessage({ message })
    await fc.assert(
      fc.asyncProperty(fc.nat(message.length - 1), fc.constantFrom('\n', ' ', 'Z', '9', ':', '\u{1f600}'), async (place, character) => {
        fc.pre(message[place] !== character)
        const changed = message.slice(0, place) + character + message.slice(place + 1)
        expect(await reasonOf(signIn.verify(headerOf({ address: account.address, message: changed, signature })))).toEqual(
          expect.any(String),
        )
        expect(await reasonOf(signIn.verify(headerOf({ address: account.address, message: changed, signature })))).not.toBe(wallet)
      }),
      { numRuns: 60 },
    )
  })
})
