/**
 * The body of a request while it arrives: what is still to come of it, what has come, and who waits for it. One for all requests of a
 * connection.
 */
import type { Failure } from '../core/errors.ts'
import { type BodyReader, bodyTooLarge } from './body-reader.ts'
import { Chunked } from './chunked.ts'
import type { RequestHead } from './request-head.ts'
import { SMALL_BYTES, Slab } from './slab.ts'

/** So many pieces are kept as they came. Beyond them small ones are copied together. */
const FEW_PIECES = 32

export class IncomingBody {
  /** How many bytes of it have come. */
  size = 0
  #left = 0
  #chunks: Chunked | null = null
  #first: Buffer | null = null
  #more: Buffer[] | null = null
  #slab: Slab | null = null
  #dropping = false
  #reader: BodyReader | null = null
  /** Why there will be no whole body. */
  #failure: Failure | null = null

  /** The body that this head announces is the next to come. */
  begin(head: RequestHead): void {
    this.#forget()
    this.size = 0
    this.#left = head.length > 0 ? head.length : 0
    this.#chunks = head.chunked ? new Chunked() : null
    this.#dropping = false
    this.#failure = null
  }

  /** Whether somebody waits for it. */
  get awaited(): boolean {
    return this.#reader !== null
  }

  /** Throws why it cannot be had: 413 where it is larger than that. */
  check(head: RequestHead, maxBytes: number): void {
    if (this.#failure) throw this.#failure
    if (head.length > maxBytes || this.size > maxBytes) throw bodyTooLarge(maxBytes)
  }

  /** From now on it is waited for. */
  expect(reader: BodyReader): void {
    this.#reader = reader
  }

  /** Gives who waits what they are owed by now. `full` asks for nothing more just now; after `over` and `failed` nobody waits. */
  hand(): 'more' | 'full' | 'over' | 'failed' {
    const reader = this.#reader
    if (reader === null) return 'over'
    if (this.size > reader.maxBytes) {
      this.fail(bodyTooLarge(reader.maxBytes))
      return 'failed'
    }
    const goesOn = reader.take?.(this.take()) ?? true
    if (!this.arrived) return goesOn ? 'more' : 'full'
    this.#reader = null
    reader.ended(this.take())
    return 'over'
  }

  /** There will be no whole body. */
  fail(reason: Failure): void {
    this.#failure = reason
    this.drop()
    this.dismiss(reason)
  }

  /** Nobody is to wait for it any longer. */
  dismiss(reason: Failure): void {
    const reader = this.#reader
    this.#reader = null
    reader?.failed(reason)
  }

  /** Whether it has come to its end. */
  get arrived(): boolean {
    return this.#left === 0 && this.#chunks === null
  }

  /** Takes what belongs to it from the beginning of these bytes; returns how many. Throws a `BadRequest`. */
  feed(bytes: Buffer): number {
    if (this.#chunks) {
      const used = this.#chunks.feed(bytes, 0, this.#add)
      if (this.#chunks.done) this.#chunks = null
      return used
    }
    const used = Math.min(bytes.length, this.#left)
    this.#left -= used
    this.#add(used === bytes.length ? bytes : bytes.subarray(0, used))
    return used
  }

  /** All that has come, handed over. */
  take(): Buffer {
    if (this.#more !== null) this.#slab?.close(this.#more)
    const body = this.#more === null ? (this.#first ?? EMPTY) : Buffer.concat(this.#more)
    this.#forget()
    return body
  }

  /** Forgets what has come, and whatever is still to come as it comes. */
  drop(): void {
    this.#dropping = true
    this.#forget()
  }

  /** Nobody can tell where it ends: all that comes is part of it. */
  lose(): void {
    this.#chunks = null
    this.#left = Number.MAX_SAFE_INTEGER
    this.drop()
  }

  readonly #add = (bytes: Buffer): void => {
    this.size += bytes.length
    if (this.#dropping) return
    if (this.#first === null) {
      this.#first = bytes
      return
    }
    this.#more ??= [this.#first]
    if (bytes.length < SMALL_BYTES && this.#more.length >= FEW_PIECES) {
      this.#slab ??= new Slab()
      this.#slab.add(bytes, this.#more)
      return
    }
    this.#slab?.close(this.#more)
    this.#more.push(bytes)
  }

  #forget(): void {
    this.#first = null
    this.#more = null
    this.#slab = null
  }
}

const EMPTY = Buffer.alloc(0)
