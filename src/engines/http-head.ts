/**
 * Reads the lines of the head of an HTTP/1.1 answer (RFC 9112): what a server says about how its answer is sent, and
 * the few fields that mean something to an engine. Everything else is checked for its form and skipped.
 */
import type { UpstreamHeaders } from './upstream-error.ts'

/** What came is no HTTP/1.1, or leaves open where it ends. */
export class BadAnswer extends Error {
  readonly code = 'BAD_ANSWER'
}

/** No body of so many digits is taken, and no sum of such lengths is beyond a safe integer. */
const LENGTH_DIGITS = 15
/** What a server may announce as its patience with an idle connection; more is no use to anybody. */
const KEEP_ALIVE_SECONDS = 3600

export class HttpHead {
  status = 0
  /** The body's length in bytes; -1 where none was given. */
  length = -1
  chunked = false
  /** For how long the server keeps an idle connection; -1 where it has not said so. */
  keepAliveSeconds = -1
  /** HTTP/1.0. */
  #old = false
  #keep = false
  #close = false
  #contentType: string | undefined = undefined
  #retryAfter: string | undefined = undefined
  #retryAfterMs: string | undefined = undefined
  /** The fields that only downloads look at, where this is the answer to one. */
  #more: Record<string, string> | null = null

  /** With `more`, the fields that downloads look at are kept, too. */
  reset(more: boolean): void {
    this.#more = more ? {} : null
    this.status = 0
    this.length = -1
    this.chunked = false
    this.keepAliveSeconds = -1
    this.#old = false
    this.#keep = false
    this.#close = false
    this.#contentType = undefined
    this.#retryAfter = undefined
    this.#retryAfterMs = undefined
  }

  /** Whether the server is willing to take another request on the connection; one of old that says `chunked` is not believed. */
  get keepsAlive(): boolean {
    return (this.#keep || !this.#old) && !this.#close && !(this.#old && this.chunked)
  }

  /** Only what engines and refusals look at, by lower-case names. */
  headers(): UpstreamHeaders {
    const headers = { 'content-type': this.#contentType, 'retry-after': this.#retryAfter, 'retry-after-ms': this.#retryAfterMs }
    if (!this.#more) return headers
    return { ...headers, ...this.#more, 'content-length': this.length === -1 ? undefined : String(this.length) }
  }

  /** The first line, from `at` up to its end. Throws a `BadAnswer`. */
  statusLine(bytes: Buffer, at: number, end: number): void {
    let from = at
    while (from < at + VERSION.length && bytes[from] === VERSION.charCodeAt(from - at)) from++
    const version = bytes[at + VERSION.length]
    const status = decimal(bytes[at + 9]) * 100 + decimal(bytes[at + 10]) * 10 + decimal(bytes[at + 11])
    const known = from === at + VERSION.length && (version === ONE || version === ZERO) && bytes[at + 8] === SPACE
    const ends = end === at + 12 || (end > at + 12 && bytes[at + 12] === SPACE)
    if (!known || !ends || !(status >= 100 && status < 600)) throw new BadAnswer()
    this.status = status
    this.#old = version === ZERO
  }

  /** A field, from `at` up to the end of its line. Throws a `BadAnswer`. */
  fieldLine(bytes: Buffer, at: number, end: number): void {
    let colon = at
    while (colon < end && TOKEN[bytes[colon] ?? 0] === 1) colon++
    // A line that begins with a blank continued the one before it in old times; here its name is none. Nor may a blank
    // stand before the colon: some would read that name, and some would not.
    if (colon === at || colon === end || bytes[colon] !== COLON) throw new BadAnswer()
    if (this.#more) this.#keepMore(bytes.toString('latin1', at, colon).toLowerCase(), valueOf(bytes, colon, end))
    // Names are told apart by their lengths first.
    switch (colon - at) {
      case 10:
        if (isNamed(bytes, at, 'connection')) this.#connection(valueOf(bytes, colon, end).toLowerCase())
        else if (isNamed(bytes, at, 'keep-alive')) this.keepAliveSeconds = timeoutIn(valueOf(bytes, colon, end).toLowerCase())
        break
      case 11:
        if (isNamed(bytes, at, 'retry-after')) this.#retryAfter = valueOf(bytes, colon, end)
        break
      case 12:
        if (isNamed(bytes, at, 'content-type')) this.#contentType = valueOf(bytes, colon, end)
        break
      case 14:
        if (isNamed(bytes, at, 'content-length')) this.#contentLength(valueOf(bytes, colon, end))
        else if (isNamed(bytes, at, 'retry-after-ms')) this.#retryAfterMs = valueOf(bytes, colon, end)
        break
      case 17:
        if (isNamed(bytes, at, 'transfer-encoding')) this.#transferEncoding(valueOf(bytes, colon, end).toLowerCase())
        break
      default:
    }
  }

  #keepMore(name: string, value: string): void {
    if (this.#more && MORE.has(name)) this.#more[name] = value
  }

  /** Once, digits only: where two lengths are given, two readers may differ about where the answer ends. */
  #contentLength(value: string): void {
    if (this.length !== -1 || this.chunked || value === '' || value.length > LENGTH_DIGITS) throw new BadAnswer()
    let length = 0
    for (let at = 0; at < value.length; at++) length = length * 10 + decimal(value.charCodeAt(at))
    if (Number.isNaN(length)) throw new BadAnswer()
    this.length = length
  }

  /** `chunked` once, and no length beside it. No other coding was asked for. */
  #transferEncoding(value: string): void {
    if (this.chunked || this.length !== -1 || value !== 'chunked') throw new BadAnswer()
    this.chunked = true
  }

  #connection(options: string): void {
    for (const option of options.split(',')) {
      if (option.trim() === 'close') this.#close = true
      else if (option.trim() === 'keep-alive') this.#keep = true
    }
  }
}

/** What downloads look at: where the file went, which version it is, and what part of it this is. */
const MORE: ReadonlySet<string> = new Set([
  'location',
  'etag',
  'last-modified',
  'content-range',
  'link',
  'x-linked-etag',
  'x-linked-size',
  'x-repo-commit',
])

const TAB = 9
const SPACE = 32
const ZERO = 48
const ONE = 49
const COLON = 58
const VERSION = 'HTTP/1.'

/** 1 for each character that the name of a field may have (RFC 9110, 5.6.2). */
const TOKEN = new Uint8Array(256)
for (const char of "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") TOKEN[char.charCodeAt(0)] = 1

/** How many bytes tell an answer from what is none. */
export const VERSION_BYTES = VERSION.length

/** Whether what is there so far can be the beginning of an answer. */
export const beginsAsAnswer = (text: string): boolean =>
  text.length < VERSION.length ? VERSION.startsWith(text) : text.startsWith(VERSION)

/** NaN for what is no digit. */
const decimal = (char: number | undefined): number => (char !== undefined && char >= ZERO && char < ZERO + 10 ? char - ZERO : Number.NaN)

/** Whether the field that begins at `at` has this name of lower-case letters and hyphens, in whatever case. */
function isNamed(bytes: Buffer, at: number, name: string): boolean {
  for (let i = 0; i < name.length; i++) if (((bytes[at + i] ?? 0) | 0x20) !== name.charCodeAt(i)) return false
  return true
}

/** Without the blanks around it. */
function valueOf(bytes: Buffer, colon: number, lineEnd: number): string {
  let from = colon + 1
  let end = lineEnd
  while (from < end && isBlank(bytes[from])) from++
  while (end > from && isBlank(bytes[end - 1])) end--
  return bytes.toString('latin1', from, end)
}

const isBlank = (byte: number | undefined): boolean => byte === SPACE || byte === TAB

/** The seconds of `timeout=5, max=100`; -1 where there are none. */
function timeoutIn(value: string): number {
  const at = value.indexOf('timeout=')
  const seconds = at === -1 ? Number.NaN : Number.parseInt(value.slice(at + 8), 10)
  return seconds >= 0 ? Math.min(seconds, KEEP_ALIVE_SECONDS) : -1
}
