/** Writes whole answers: JSON, text and files, compressed when that was asked for and is worth it. */
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'
import type { Exchange } from './exchange.ts'
import { field } from './head.ts'

/** What fits into one packet gains nothing from compression. */
const COMPRESS_ABOVE_BYTES = 1_400

const brotliAsync = promisify(brotliCompress)
const gzipAsync = promisify(gzip)

/** Answers with a JSON value. `fields` are the lines of the head without those of the content; they are added here. */
export function replyJson(exchange: Exchange, status: number, fields: string, value: unknown): void | Promise<void> {
  return reply(exchange, status, `${fields}content-type: application/json\r\n`, JSON.stringify(value))
}

export function replyText(exchange: Exchange, status: number, fields: string, contentType: string, text: string): void | Promise<void> {
  return reply(exchange, status, fields + field('content-type', contentType), text)
}

function reply(exchange: Exchange, status: number, typed: string, text: string): void | Promise<void> {
  const accepted = exchange.head.acceptEncoding
  if (accepted === undefined || text.length <= COMPRESS_ABOVE_BYTES) return exchange.answer(status, typed, text)
  const encoding = preferred(accepted)
  if (encoding) return replyCompressed(exchange, status, typed, Buffer.from(text), encoding)
  exchange.answer(status, `${typed}vary: accept-encoding\r\n`, text)
}

/** Answers with a file that ships with the server. */
export async function replyFile(exchange: Exchange, fields: string, contentType: string, path: string): Promise<void> {
  const body = await readFile(path)
  exchange.answer(200, `${fields}${field('content-type', contentType)}cache-control: public, max-age=86400\r\n`, body)
}

async function replyCompressed(exchange: Exchange, status: number, typed: string, body: Buffer, encoding: 'br' | 'gzip'): Promise<void> {
  const packed =
    encoding === 'br' ? await brotliAsync(body, { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } }) : await gzipAsync(body, { level: 6 })
  exchange.answer(status, `${typed}content-encoding: ${encoding}\r\nvary: accept-encoding\r\n`, packed)
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
