/** Base58 as Bitcoin and Solana write bytes: no 0, O, I and l, zero bytes in front as `1`. */

const ALPHABET = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
/** The longest text that is read: a signature is 88 characters, and the time grows with the square of the length. */
const MAX_CHARS = 128

/** The bytes, or null for what is no base58 or too long. */
export function decodeBase58(text: string): Buffer | null {
  if (text.length === 0 || text.length > MAX_CHARS) return null
  let value = 0n
  for (const character of text) {
    const digit = ALPHABET.indexOf(character)
    if (digit < 0) return null
    value = value * 58n + BigInt(digit)
  }
  const hex = value === 0n ? '' : value.toString(16)
  const zeros = text.length - text.replace(/^1+/, '').length
  return Buffer.concat([Buffer.alloc(zeros), Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex')])
}

/** The text of these bytes; the inverse of `decodeBase58`. */
export function encodeBase58(bytes: Buffer): string {
  let value = bytes.length === 0 ? 0n : BigInt(`0x${bytes.toString('hex')}`)
  let digits = ''
  for (; value > 0n; value /= 58n) digits = ALPHABET.charAt(Number(value % 58n)) + digits
  const first = bytes.findIndex((byte) => byte !== 0)
  return '1'.repeat(first < 0 ? bytes.length : first) + digits
}
