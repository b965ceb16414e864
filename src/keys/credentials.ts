/** What a request presents to be let in, and the key inside of it. */
import { MAX_KEY_CHARS } from './secret-key.ts'

/** The raw values of the two headers that may carry a key; where both are there, `Authorization` counts. */
export type Credentials = { readonly authorization: string | undefined; readonly apiKey: string | undefined }

const SCHEME = 'bearer '

/** The key as it was presented, or null where there is none or it cannot be one. */
export function keyOf({ authorization, apiKey }: Credentials): string | null {
  const text = authorization === undefined ? apiKey : bearer(authorization)
  if (text === undefined) return null
  const key = text.trim()
  return key.length === 0 || key.length > MAX_KEY_CHARS ? null : key
}

function bearer(header: string): string | undefined {
  const scheme = header.slice(0, SCHEME.length)
  return scheme === 'Bearer ' || scheme.toLowerCase() === SCHEME ? header.slice(SCHEME.length) : undefined
}
