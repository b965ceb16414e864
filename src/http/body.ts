/** Decodes a request's body as JSON. Content goes in, and no error quotes it. */
import { fail } from '../core/errors.ts'

/** Values in values in values: far more than any schema or message has. */
const MAX_DEPTH = 256
/** A smaller body cannot be deep enough to be a burden. */
const DEPTH_MATTERS_BYTES = 4_096

/** A JSON body as a value. The words of the parser are dropped, because they quote what they parsed. */
export function parseJson(body: Buffer): unknown {
  if (body.length > DEPTH_MATTERS_BYTES && isTooDeep(body)) {
    const say = `The request body is nested more than ${MAX_DEPTH} levels deep`
    throw fail('INVALID_REQUEST', { say, issues: [{ code: 'too_deep', path: [], message: say }] })
  }
  const text = body.toString('utf8')
  try {
    return JSON.parse(text)
  } catch {
    const say = text.trim() === '' ? 'The request body is empty; JSON is expected' : 'The request body is not valid JSON'
    throw fail('INVALID_REQUEST', { say, issues: [{ code: 'invalid_json', path: [], message: say }] })
  }
}

/** Throws 415 unless the body is declared as JSON, with or without parameters. */
export function requireJson(contentType: string | undefined): void {
  if (contentType === 'application/json') return
  const media = (contentType ?? '').split(';', 1)[0]?.trim().toLowerCase()
  if (media === 'application/json') return
  throw fail('INVALID_CONTENT_TYPE', {
    say: 'Invalid request content-type: send the body as JSON with the header Content-Type: application/json',
    param: 'content-type',
  })
}

const QUOTE = 0x22
const BACKSLASH = 0x5c

/** Looks at brackets only: strings, media among them, are jumped over from quote to quote. */
function isTooDeep(body: Buffer): boolean {
  let depth = 0
  for (let at = 0; at < body.length; at++) {
    const byte = body[at]
    if (byte === QUOTE) at = endOfString(body, at + 1)
    // `[` and `{`, `]` and `}`.
    else if (byte === 0x5b || byte === 0x7b) {
      if (++depth > MAX_DEPTH) return true
    } else if (byte === 0x5d || byte === 0x7d) depth--
  }
  return false
}

/** Where the string ends whose inside begins at `from`: at a quote with an even number of backslashes before it. */
function endOfString(body: Buffer, from: number): number {
  for (let quote = body.indexOf(QUOTE, from); quote !== -1; quote = body.indexOf(QUOTE, quote + 1)) {
    let before = quote
    while (before > from && body[before - 1] === BACKSLASH) before--
    if ((quote - before) % 2 === 0) return quote
  }
  return body.length
}
