/** Writes whole answers: JSON, text and files, compressed when that was asked for and is worth it. */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'
import type { Head } from './head.ts'

/** What fits into one packet gains nothing from compression. */
const COMPRESS_ABOVE_BYTES = 1_400

const brotliAsync = promisify(brotliCompress)
const gzipAsync = promisify(gzip)

/** Answers with a JSON value. The head is without content headers; they are added here. */
export function replyJson(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  head: Head,
  value: unknown,
): void | Promise<void> {
  return replyText(request, response, status, head, 'application/json', JSON.stringify(value))
}

export function replyText(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  head: Head,
  contentType: string,
  text: string,
): void | Promise<void> {
  const accepted = request.headers['accept-encoding']
  if (accepted !== undefined && text.length > COMPRESS_ABOVE_BYTES) {
    const encoding = preferred(accepted)
    if (encoding) return replyCompressed(response, status, head, contentType, Buffer.from(text), encoding)
    head.push('vary', 'accept-encoding')
  }
  const bytes = Buffer.byteLength(text)
  head.push('content-type', contentType, 'content-length', bytes)
  response.writeHead(status, head)
  // As many bytes as characters is ASCII, which goes out without being converted.
  response.end(text, bytes === text.length ? 'latin1' : 'utf8')
}

/** Streams a file that ships with the server; a year of caching is safe because its address is versioned. */
export async function replyFile(response: ServerResponse, head: Head, contentType: string, path: string): Promise<void> {
  const { size } = await stat(path)
  head.push('content-type', contentType, 'content-length', size, 'cache-control', 'public, max-age=86400')
  response.writeHead(200, head)
  await pipeline(createReadStream(path), response)
}

async function replyCompressed(
  response: ServerResponse,
  status: number,
  head: Head,
  contentType: string,
  body: Buffer,
  encoding: 'br' | 'gzip',
): Promise<void> {
  const packed =
    encoding === 'br' ? await brotliAsync(body, { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } }) : await gzipAsync(body, { level: 6 })
  head.push('content-type', contentType, 'content-encoding', encoding, 'vary', 'accept-encoding', 'content-length', packed.length)
  response.writeHead(status, head)
  response.end(packed)
}

/** `br` before `gzip`; a coding with `q=0` is refused by the caller. */
function preferred(acceptEncoding: string): 'br' | 'gzip' | null {
  let gzipAccepted = false
  for (const item of acceptEncoding.split(',')) {
    const [name, ...parameters] = item.split(';')
    if (parameters.some((parameter) => /^\s*q=0(\.0*)?\s*$/.test(parameter))) continue
    const coding = name?.trim().toLowerCase()
    if (coding === 'br') return 'br'
    if (coding === 'gzip') gzipAccepted = true
  }
  return gzipAccepted ? 'gzip' : null
}
