/** Reads a request's body, bounded in size and time, and decodes it as JSON. Content goes in, and no error quotes it. */
import type { IncomingMessage } from 'node:http'
import { fail } from '../core/errors.ts'

/** Resolves with the whole body; rejects with 413 above `maxBytes`, and with a 400 when the caller hangs up half-way. */
export function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const declared = Number(request.headers['content-length'] ?? 0)
  if (declared > maxBytes) return Promise.reject(tooLarge(maxBytes))
  return new Promise((resolve, reject) => {
    let first: Buffer | null = null
    let rest: Buffer[] | null = null
    let size = 0
    request.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > maxBytes) {
        request.pause()
        reject(tooLarge(maxBytes))
      } else if (!first) first = chunk
      else if (rest) rest.push(chunk)
      else rest = [first, chunk]
    })
    request.on('end', () => resolve(rest ? Buffer.concat(rest, size) : (first ?? EMPTY)))
    request.on('error', () => reject(fail('INVALID_REQUEST', { say: 'The request body ended early', internal: 'body_cut' })))
  })
}

/** A JSON body as a value. The words of the parser are dropped, because they quote what they parsed. */
export function parseJson(body: Buffer): unknown {
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

const EMPTY = Buffer.alloc(0)

const tooLarge = (maxBytes: number) =>
  fail('PAYLOAD_TOO_LARGE', { say: `The request body is larger than the allowed ${Math.floor(maxBytes / 1_048_576)} MB` })
