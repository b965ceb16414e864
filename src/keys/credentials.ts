/** What a request presents to be let in, and the key inside of it. */
import { MAX_KEY_CHARS } from './secret-key.ts'

const SCHEME = 'bearer '

/** The longest `Authorization` header that is nothing but a key. */
export const MAX_HEADER_CHARS = SCHEME.length + MAX_KEY_CHARS

/**
 * The key in the raw values of the headers `Authorization` and `x-api-key`, or null where there is none or it cannot be
 * one. Where both are there, `Authorization` counts.
 */
export function keyOf(authorization: string | undefined, apiKey: string | undefined): string | null {
  const text = authorization === undefined ? apiKey : bearer(authorization)
  if (text === undefined) return null
  const key = text.trim()
  return key.length === 0 || key.length > MAX_KEY_CHARS ? null : key
}

function bearer(header: string): string | undefined {
  const scheme = header.slice(0, SCHEME.length)
  return scheme === 'Bearer ' || scheme.toLowerCase() === SCHEME ? header.slice(SCHEME.length) : undefined
}
