/**
 * Takes HTTP/1.1 answers apart out of the bytes of one connection, in whatever portions they come (RFC 9112).
 *
 * It is strict where two readers could disagree about where an answer ends, since that is how one answer is smuggled
 * into another, and lenient in what harms nobody: lines that end in LF alone, extensions of chunks, trailers.
 */
import { BadAnswer, HttpHead, VERSION_BYTES, beginsAsAnswer } from './http-head.ts'
import type { UpstreamHeaders } from './upstream-error.ts'

/** All heads of one answer together, the interim ones and the trailers included, and the fields in them. */
export const HEAD_BYTES = 64 * 1024
export const HEAD_LINES = 256
/** The sizes of chunks are 4 PiB at most, leading zeros included. */
const CHUNK_SIZE_DIGITS = 13
const CHUNK_EXTENSION_BYTES = 4096

export type AnswerTaker = {
  /** The head of the answer, once; never one of an interim answer (1xx). */
  head(status: number, headers: UpstreamHeaders): void
  /** Bytes of the body, in order, as views of what was fed. False stops the reading after them. */
  body(chunk: Buffer): boolean
}

/** What the next byte belongs to. */
const STATUS = 0
const FIELDS = 1
const LENGTH = 2
const UNTIL_CLOSE = 3
const SIZE = 4
const SIZE_LF = 5
const EXTENSION = 6
const CHUNK = 7
const CHUNK_END = 8
const CHUNK_LF = 9
const TRAILERS = 10
const DONE = 11

export class HttpResponse {
  readonly #head = new HttpHead()
  #state = STATUS
  /** The beginning of a line of the head whose end has not come, as latin1. */
  #carry = ''
  #headBytes = 0
  #headLines = 0
  /** What is left of a body of known length or of a chunk, in bytes. */
  #left = 0
  #digits = 0
  #lineBytes = 0
  #more = false

  /** Makes ready for the next answer; with `more`, one to a download. */
  reset(more = false): void {
    this.#more = more
    this.#head.reset(more)
    this.#state = STATUS
    this.#carry = ''
    this.#headBytes = 0
    this.#headLines = 0
  }

  /** The answer has come whole. */
  get done(): boolean {
    return this.#state === DONE
  }

  /** Whether the connection may bring another answer after this one, as far as the server has said. */
  get keepsAlive(): boolean {
    return this.#head.keepsAlive
  }

  /** For how long the server keeps an idle connection; -1 where it has not said so. */
  get keepAliveSeconds(): number {
    return this.#head.keepAliveSeconds
  }

  /**
   * Takes bytes from `at` on; returns up to where it did: to their end, to the end of the answer, or to where the taker
   * stopped it. Throws a `BadAnswer`, and nothing is to be fed after that; what the taker was given before it stands.
   */
  feed(bytes: Buffer, at: number, taker: AnswerTaker): number {
    let from = at
    while (from < bytes.length) {
      switch (this.#state) {
        case STATUS:
        case FIELDS:
          from = this.#feedHead(bytes, from, taker)
          break
        case LENGTH:
        case CHUNK: {
          const end = Math.min(bytes.length, from + this.#left)
          this.#left -= end - from
          if (this.#left === 0) this.#state = this.#state === LENGTH ? DONE : CHUNK_END
          if (!taker.body(bytes.subarray(from, end))) return end
          from = end
          break
        }
        case UNTIL_CLOSE:
          taker.body(bytes.subarray(from))
          return bytes.length
        case TRAILERS:
          from = this.#feedTrailers(bytes, from)
          break
        case DONE:
          return from
        default:
          from = this.#feedSize(bytes, from)
      }
    }
    return from
  }

  /** The server has closed the connection. Returns whether that is how this answer ends. */
  close(): boolean {
    if (this.#state === UNTIL_CLOSE) this.#state = DONE
    return this.#state === DONE
  }

  #feedHead(bytes: Buffer, at: number, taker: AnswerTaker): number {
    const end = bytes.indexOf(LF, at)
    this.#headBytes += (end === -1 ? bytes.length : end + 1) - at
    if (this.#headBytes > HEAD_BYTES) throw new BadAnswer()
    if (end === -1) {
      const begun = this.#carry.length
      this.#carry += bytes.toString('latin1', at)
      // What speaks another protocol is told at its first bytes, and not after 64 KiB of them.
      if (this.#state === STATUS && begun < VERSION_BYTES && !beginsAsAnswer(this.#carry)) throw new BadAnswer()
      return bytes.length
    }
    if (this.#carry === '') this.#headLine(bytes, at, end, taker)
    else {
      const line = Buffer.from(this.#carry + bytes.toString('latin1', at, end), 'latin1')
      this.#carry = ''
      this.#headLine(line, 0, line.length, taker)
    }
    return end + 1
  }

  #headLine(bytes: Buffer, at: number, lineEnd: number, taker: AnswerTaker): void {
    const end = lineEnd > at && bytes[lineEnd - 1] === CR ? lineEnd - 1 : lineEnd
    if (this.#state === STATUS) {
      this.#head.statusLine(bytes, at, end)
      this.#state = FIELDS
    } else if (end > at) {
      if (++this.#headLines > HEAD_LINES) throw new BadAnswer()
      this.#head.fieldLine(bytes, at, end)
    } else this.#headEnd(taker)
  }

  #headEnd(taker: AnswerTaker): void {
    const { status, length, chunked } = this.#head
    if (status < 200) {
      // No other protocol was asked for.
      if (status === 101) throw new BadAnswer()
      this.#head.reset(this.#more)
      this.#state = STATUS
      return
    }
    if (status === 204 || status === 304 || length === 0) this.#state = DONE
    else if (chunked) this.#beginSize()
    else if (length > 0) {
      this.#left = length
      this.#state = LENGTH
    } else this.#state = UNTIL_CLOSE
    taker.head(status, this.#head.headers())
  }

  #beginSize(): void {
    this.#left = 0
    this.#digits = 0
    this.#state = SIZE
  }

  /** The line with the size of a chunk, and the end of line after a chunk. */
  #feedSize(bytes: Buffer, at: number): number {
    for (let from = at; from < bytes.length; from++) {
      const byte = bytes[from] ?? 0
      switch (this.#state) {
        case SIZE: {
          const digit = HEX[byte] ?? 0
          if (digit > 0) {
            if (++this.#digits > CHUNK_SIZE_DIGITS) throw new BadAnswer()
            this.#left = this.#left * 16 + digit - 1
          } else if (this.#digits === 0) throw new BadAnswer()
          else if (byte === CR) this.#state = SIZE_LF
          else if (byte === LF) return this.#endSize(from)
          else if (byte === SEMICOLON || byte === SPACE || byte === TAB) {
            this.#lineBytes = 0
            this.#state = EXTENSION
          } else throw new BadAnswer()
          break
        }
        case EXTENSION:
          if (byte === LF) return this.#endSize(from)
          if (++this.#lineBytes > CHUNK_EXTENSION_BYTES) throw new BadAnswer()
          break
        case SIZE_LF:
          if (byte !== LF) throw new BadAnswer()
          return this.#endSize(from)
        case CHUNK_END:
          if (byte === CR) this.#state = CHUNK_LF
          else if (byte === LF) this.#beginSize()
          else throw new BadAnswer()
          break
        default:
          if (byte !== LF) throw new BadAnswer()
          this.#beginSize()
      }
    }
    return bytes.length
  }

  #endSize(at: number): number {
    this.#lineBytes = 0
    this.#state = this.#left === 0 ? TRAILERS : CHUNK
    return at + 1
  }

  /** Trailers mean nothing here; the first empty line ends them and the answer. */
  #feedTrailers(bytes: Buffer, at: number): number {
    for (let from = at; from < bytes.length; from++) {
      if (++this.#headBytes > HEAD_BYTES) throw new BadAnswer()
      const byte = bytes[from]
      if (byte === LF) {
        if (this.#lineBytes === 0) {
          this.#state = DONE
          return from + 1
        }
        this.#lineBytes = 0
      } else if (byte !== CR) this.#lineBytes++
    }
    return bytes.length
  }
}

const TAB = 9
const LF = 10
const CR = 13
const SPACE = 32
const SEMICOLON = 59

/** One more than a hexadecimal digit is worth; 0 for what is none. */
const HEX = new Uint8Array(256)
for (let digit = 0; digit < 16; digit++) {
  HEX[digit.toString(16).charCodeAt(0)] = digit + 1
  HEX[digit.toString(16).toUpperCase().charCodeAt(0)] = digit + 1
}
