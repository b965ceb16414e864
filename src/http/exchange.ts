/**
 * One request and its answer, between the door and the connection they travel on. Answered once: whole, or opened and
 * written piece by piece. What is written after its end, or after the caller left, goes nowhere.
 */
import { callerLeft } from '../core/errors.ts'
import type { BodyReader } from './body-reader.ts'
import { reasonOf } from './reason.ts'
import type { RequestHead } from './request-head.ts'

/** What an exchange needs of its connection. */
export type Wire = {
  /** Where the caller is, for counting failures; not kept. */
  readonly address: string
  /** Whether the body has arrived to its end. */
  readonly arrived: boolean
  /** Whether the connection is to be closed after this answer, whatever the caller would like. */
  readonly closing: boolean
  /** For how long an idle connection is kept, in seconds: told to the caller. */
  readonly idleSeconds: number
  /** The time, as a head has it. */
  readonly date: string
  /** False when what waits to be read is more than a reader should leave: `drained` tells when to go on. */
  readonly roomy: boolean
  /** The body, once all of it is there; rejects above `maxBytes`, when it stays away, and when the caller does. */
  readBody(head: RequestHead, maxBytes: number): Buffer | Promise<Buffer>
  /** Gives the body to a reader as it comes, what has come at once. Throws as `readBody` does; later the reader is told. */
  passBody(head: RequestHead, reader: BodyReader): void
  /** A reader that asked to wait takes more. */
  goOn(): void
  /** One byte a character. Goes out at the end of the turn. */
  write(text: string): void
  writeBytes(bytes: Buffer): void
  /** The answer is complete. `keep` says whether the connection can take another request. */
  finish(keep: boolean): void
  /** Closes the connection at once. */
  destroy(): void
}

export class Exchange {
  readonly head: RequestHead
  readonly #wire: Wire
  /** The status that was sent; 0 while none was. */
  status = 0
  /** The whole answer has been handed over. */
  over = false
  /** The caller left before that. */
  gone = false
  /** Told once when the caller leaves before the answer is over. */
  onGone: (() => void) | null = null
  #chunked = false
  /** Nothing is written before an answer is opened, nor of one to HEAD. */
  #mute = true
  #keep = true
  #draining: Promise<void> | null = null
  #onDrain: ((gone: boolean) => void) | null = null

  constructor(head: RequestHead, wire: Wire) {
    this.head = head
    this.#wire = wire
  }

  get address(): string {
    return this.#wire.address
  }

  /** Whether the body has arrived to its end; of an answer given before it the caller may only see a reset. */
  get arrived(): boolean {
    return this.#wire.arrived
  }

  /** The whole body: at once where it is there. Fails with 413 above `maxBytes`, 408 when it stays away. */
  body(maxBytes: number): Buffer | Promise<Buffer> {
    // The connection may have the body of another request by now.
    if (this.gone || this.over) throw callerLeft()
    return this.#wire.readBody(this.head, maxBytes)
  }

  /** Gives the body to a reader as it comes. Throws 413 where it is announced as too large. */
  pass(reader: BodyReader): void {
    if (this.gone || this.over) throw callerLeft()
    this.#wire.passBody(this.head, reader)
  }

  /** The reader takes more of the body. */
  goOn(): void {
    if (!this.gone && !this.over) this.#wire.goOn()
  }

  /** Answers whole. `fields` are lines of the head, each with its end; the length and the connection's are added. */
  answer(status: number, fields: string, body: string | Buffer = ''): void {
    if (this.gone || this.status !== 0) return
    const bodiless = status === 204 || status === 304
    const bytes = typeof body === 'string' ? Buffer.byteLength(body) : body.length
    const length = bodiless ? '' : `content-length: ${bytes}\r\n`
    const head = this.#begin(status, fields, length)
    if (bodiless || this.head.method === 'HEAD') this.#wire.write(head)
    else if (typeof body === 'string') {
      // As many bytes as characters is ASCII, which goes out without being converted.
      if (bytes === body.length) this.#wire.write(head + body)
      else {
        this.#wire.write(head)
        this.#wire.writeBytes(Buffer.from(body, 'utf8'))
      }
    } else {
      this.#wire.write(head)
      this.#wire.writeBytes(body)
    }
    this.#finish()
  }

  /** Begins an answer whose length is not known. */
  open(status: number, fields: string): void {
    if (this.gone || this.status !== 0) return
    this.#mute = this.head.method === 'HEAD'
    this.#chunked = !this.head.old
    if (this.head.old) this.#keep = false
    this.#wire.write(this.#begin(status, fields, this.#chunked ? 'transfer-encoding: chunked\r\n' : ''))
  }

  /** Writes a piece, one byte a character. False asks to wait for `drained` before the next. */
  write(text: string): boolean {
    if (this.gone || this.over || this.#mute || text.length === 0) return true
    this.#wire.write(this.#chunked ? `${text.length.toString(16)}\r\n${text}\r\n` : text)
    return this.#wire.roomy
  }

  writeBytes(bytes: Buffer): boolean {
    if (this.gone || this.over || this.#mute || bytes.length === 0) return true
    if (this.#chunked) this.#wire.write(`${bytes.length.toString(16)}\r\n`)
    this.#wire.writeBytes(bytes)
    if (this.#chunked) this.#wire.write('\r\n')
    return this.#wire.roomy
  }

  /** Ends an opened answer. */
  end(): void {
    if (this.gone || this.over || this.status === 0) return
    if (this.#chunked && !this.#mute) this.#wire.write('0\r\n\r\n')
    this.#finish()
  }

  /** Whether a piece can be written without waiting. */
  get roomy(): boolean {
    return this.#wire.roomy
  }

  /** Resolves when the reader has caught up, or the answer is over; rejects when it left, or has not in `limitMs`, and is then let go. */
  drained(limitMs: number): Promise<void> {
    if (this.gone) return Promise.reject(callerLeft())
    if (this.over || this.#wire.roomy) return Promise.resolve()
    this.#draining ??= new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.destroy(), limitMs)
      timer.unref()
      this.#onDrain = (gone) => {
        clearTimeout(timer)
        this.#onDrain = null
        this.#draining = null
        if (gone) reject(callerLeft())
        else resolve()
      }
    })
    return this.#draining
  }

  /** Closes the connection, as long as this answer is not over: afterwards it belongs to others. */
  destroy(): void {
    if (!this.over) this.#wire.destroy()
  }

  /** The connection has room again. */
  drain(): void {
    this.#onDrain?.(false)
  }

  /** The connection is gone. */
  lose(): void {
    if (this.over || this.gone) return
    this.gone = true
    this.#onDrain?.(true)
    this.onGone?.()
  }

  #begin(status: number, fields: string, length: string): string {
    this.status = status
    const wire = this.#wire
    // An answer given before the whole request has come is the last one: what follows it is not a request.
    if (!this.head.keepsAlive || wire.closing || !wire.arrived) this.#keep = false
    const connection = this.#keep ? `connection: keep-alive\r\nkeep-alive: timeout=${wire.idleSeconds}\r\n` : 'connection: close\r\n'
    return `HTTP/1.1 ${status} ${reasonOf(status)}\r\n${fields}date: ${wire.date}\r\n${connection}${length}\r\n`
  }

  #finish(): void {
    this.over = true
    this.#onDrain?.(false)
    this.#wire.finish(this.#keep)
  }
}
