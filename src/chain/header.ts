/** Headers that hold JSON as base64: those of SIWX and of x402. */

/** The longest that is read, in characters; Node takes heads of 16 KiB in all. */
const MAX_CHARS = 14_000
const BASE64 = /^[A-Za-z0-9+/_-]+={0,2}$/

/** The value inside; undefined for what is no base64 (of either alphabet), no UTF-8 or no JSON. Never throws. */
export function decodeHeader(header: string): unknown {
  const text = header.trim()
  if (text.length > MAX_CHARS || !BASE64.test(text)) return undefined
  try {
    const value: unknown = JSON.parse(UTF8.decode(Buffer.from(text, 'base64')))
    return value
  } catch {
    return undefined
  }
}

const UTF8 = new TextDecoder('utf-8', { fatal: true })
