/** One answer of a server as a part of a file: checks that it is the part that was asked for, and writes it where it belongs. */
import type { FileHandle } from 'node:fs/promises'
import type { DownloadHead, DownloadTaker } from '../core/downloads.ts'
import { Changed, Trouble } from './trouble.ts'

/** What is gathered before it is written. */
const WRITE_BYTES = 1024 * 1024
/** The longest wait that a server is believed to ask for. */
const RETRY_AFTER_MAX_MS = 60_000

/** What file it is, as far as the server says. */
export type Identity = { readonly sizeBytes: number | null; readonly validator: string | null; readonly ranges: boolean }

export type PartOptions = {
  readonly file: FileHandle
  readonly host: string
  readonly from: number
  /** Up to where it is wanted, not included. */
  readonly to: number
  /** Whether what the server has is known by now; then it must be that. */
  readonly known: Identity | null
  /** Called once, at the head of a good answer. */
  identified(identity: Identity): void
  /** So many bytes from there are handed to the system. */
  written(from: number, to: number): Promise<void> | void
}

/**
 * Invariant: nothing is written before `from`, at or after `to`, or of an answer that is not the range that was asked for.
 * A server without ranges may send the whole file where it is asked for its beginning.
 */
export class Part implements DownloadTaker {
  readonly #options: PartOptions
  #pieces: Buffer[] = []
  #gathered = 0
  #writing: Promise<void> = Promise.resolve()
  #to: number
  /** Where the next gathered byte belongs. */
  #at: number

  constructor(options: PartOptions) {
    this.#options = options
    this.#at = options.from
    this.#to = options.to
  }

  /** Up to where the file is written. */
  get at(): number {
    return this.#at
  }

  head({ status, elsewhere, headers }: DownloadHead): void {
    const { host, known, from } = this.#options
    if (status === 206) this.#partial(headers)
    else if (status === 200) this.#whole(headers)
    else if (status === 416 && known) throw new Changed('changed')
    else throw refusalOf(status, elsewhere, host, headers['retry-after'], from === 0)
  }

  data(chunk: Buffer): void | Promise<void> {
    const room = this.#to - this.#at - this.#gathered
    if (chunk.length > room) throw new Trouble(`${this.#options.host} sends more than it announced.`, { passing: true })
    this.#pieces.push(chunk)
    this.#gathered += chunk.length
    if (this.#gathered >= WRITE_BYTES) return this.flush()
  }

  /** Writes what is gathered, and waits for what is being written. */
  flush(): Promise<void> {
    this.#writing = this.#writing.then(() => this.#write())
    return this.#writing
  }

  async #write(): Promise<void> {
    if (this.#gathered === 0) return
    const pieces = this.#pieces
    const from = this.#at
    const to = from + this.#gathered
    this.#pieces = []
    this.#gathered = 0
    let at = from
    for (const piece of pieces) {
      let written = 0
      while (written < piece.length) {
        const { bytesWritten } = await this.#options.file.write(piece, written, piece.length - written, at + written)
        written += bytesWritten
      }
      at += piece.length
    }
    this.#at = to
    await this.#options.written(from, to)
  }

  #partial(headers: DownloadHead['headers']): void {
    const { host, known, from, to } = this.#options
    const [, first, last, total] = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(headers['content-range'] ?? '') ?? []
    const sizeBytes = Number(total)
    if (total === undefined || Number(first) !== from || Number(last) < from || Number(last) >= sizeBytes)
      throw new Trouble(`${host} answers with another part of the file than it was asked for.`, { passing: true })
    const identity = { sizeBytes, validator: validatorOf(headers), ranges: true }
    this.#same(known, identity)
    this.#to = Math.min(to, Number(last) + 1)
    this.#options.identified(identity)
  }

  #whole(headers: DownloadHead['headers']): void {
    const { known, from } = this.#options
    // A range was asked for and the whole came: it is another file by now, or its server has lost the habit.
    if (from > 0 || known?.ranges) throw new Changed('changed')
    const length = headers['content-length']
    const identity = { sizeBytes: length === undefined ? null : Number(length), validator: validatorOf(headers), ranges: false }
    this.#same(known, identity)
    this.#to = identity.sizeBytes ?? Number.MAX_SAFE_INTEGER
    this.#options.identified(identity)
  }

  #same(known: Identity | null, now: Identity): void {
    if (!known) return
    const changed = known.validator !== null && now.validator !== null && known.validator !== now.validator
    if (changed || (known.sizeBytes !== null && known.sizeBytes !== now.sizeBytes)) throw new Changed('changed')
  }
}

/** A strong ETag, else the time of change: what `If-Range` takes. */
function validatorOf(headers: DownloadHead['headers']): string | null {
  const etag = headers['etag']
  const strong = etag !== undefined && /^"[\x21\x23-\x7e]{0,200}"$/.test(etag)
  if (strong) return etag
  const modified = headers['last-modified']
  return modified !== undefined && /^[A-Za-z0-9 ,:+-]{10,40}$/.test(modified) ? modified : null
}

/** What an answer with an error status means for a download. */
export function refusalOf(status: number, elsewhere: boolean, host: string, retryAfter: string | undefined, first: boolean): Trouble {
  // The address that the hub sent us to has run out; it is asked for a fresh one.
  if ((status === 401 || status === 403) && elsewhere)
    return new Trouble(`${host} sent to an address that refuses (${status}).`, { passing: true })
  if (status === 401 || status === 403)
    return new Trouble(
      `${host} refuses it (${status}): there is no such model, or it is private, or its licence has to be accepted there. For the latter two set HF_TOKEN to a token of somebody who may.`,
    )
  if (status === 404 || status === 410) return new Trouble(`${host} has no such file (${status}).`)
  if (status === 429) return new Trouble(`${host} asks to be asked less often (429).`, { passing: true, retryAfterMs: waitOf(retryAfter) })
  if (status >= 500 || status === 408 || status === 425)
    return new Trouble(`${host} has trouble of its own (${status}).`, { passing: true, retryAfterMs: waitOf(retryAfter) })
  if (status === 416 && first) return new Trouble(`${host} has nothing in this file.`)
  return new Trouble(`${host} answers with ${status}.`, { passing: status < 400 })
}

function waitOf(retryAfter: string | undefined): number | null {
  const seconds = Number(retryAfter ?? Number.NaN)
  return seconds >= 0 ? Math.min(seconds * 1000, RETRY_AFTER_MAX_MS) : null
}
