/**
 * One connection of a caller: requests in, one after another, answers out in the same order. Reads on while a request is
 * being answered, because only a reader notices that its caller has left; what it writes goes out at the end of the turn.
 */
import type { Socket } from 'node:net'
import { type Failure, fail } from '../core/errors.ts'
import { atTurnEnd } from '../core/turn.ts'
import { type BodyReader, bodyCut, bodyUnread } from './body-reader.ts'
import type { ConnectionOptions } from './connection-options.ts'
import { refusal } from './error-reply.ts'
import { Exchange, type Wire } from './exchange.ts'
import { httpDate } from './http-date.ts'
import { IncomingBody } from './incoming-body.ts'
import { BadRequest, RequestHead, checkBeginning } from './request-head.ts'

/** All of a request's head. */
const HEAD_BYTES = 32 * 1024
/** What a connection takes in that nobody has asked for yet: a body before its reader, requests before their turn. */
const AHEAD_BYTES = 64 * 1024
/** What may wait to be read by a caller before its writer is told to wait. */
const WAITING_CHARS = 64 * 1024
/** For how long the head of a request may take, a caller that was refused may go on sending, and a closed connection may stay. */
const HEAD_MS = 30_000
const LINGER_MS = 2_000
const CLOSING_MS = 5_000
const HEAD_END = Buffer.from('\r\n\r\n')
const NEVER = Number.POSITIVE_INFINITY

export class Connection implements Wire {
  readonly idleSeconds: number
  readonly #socket: Socket
  readonly #options: ConnectionOptions
  #address: string | null = null
  /** The request that is being answered. */
  #exchange: Exchange | null = null
  /** Until when the caller must have done what is waited for. */
  #deadline: number
  /** Bytes that came and belong to nothing yet: the beginning of a head, or requests that wait for their turn. */
  #rest: Buffer | null = null
  readonly #body = new IncomingBody()
  /** Of the time that the body has, what was left when its reader asked to wait. */
  #bodyLeftMs = 0
  #paused = false
  /** What waits for the end of the turn. */
  #text = ''
  #pieces: (string | Buffer)[] | null = null
  #pieceBytes = 0
  #scheduled = false
  /** The system takes no more until it says `drain`. */
  #blocked = false
  /** Once what waits is written, the connection ends: at once, or when the caller has stopped sending. */
  #ending: 'no' | 'lingering' | 'now' | 'ended' = 'no'
  /** The system watches whether the caller reads on. */
  #watched = false
  /** Requests are being read in a loop further down the stack. */
  #looping = false
  #gone = false

  constructor(socket: Socket, options: ConnectionOptions) {
    this.#socket = socket
    this.#options = options
    this.idleSeconds = Math.floor(options.idleMs / 1000)
    this.#deadline = options.tick() + options.idleMs
    socket.on('data', (bytes: Buffer) => this.#read(bytes))
    socket.on('drain', () => {
      this.#blocked = false
      this.#goOn()
    })
    socket.on('end', () => this.#hear())
    socket.on('close', () => this.#lose())
    // What went wrong is of no use to anybody; `close` follows.
    socket.on('error', () => undefined)
  }

  get address(): string {
    this.#address ??= this.#socket.remoteAddress ?? ''
    return this.#address
  }

  get arrived(): boolean {
    return this.#body.arrived
  }

  get closing(): boolean {
    return this.#options.stopping()
  }

  get date(): string {
    return httpDate(this.#options.now())
  }

  get roomy(): boolean {
    return !this.#blocked && this.#text.length + this.#pieceBytes < WAITING_CHARS
  }

  /** No further request is taken: closes the connection, unless something is being asked or answered on it. */
  retire(): void {
    if (this.#exchange !== null || this.#rest !== null || this.#ending !== 'no') return
    if (this.#writing) this.#end()
    else this.destroy()
  }

  /** Called from time to time: closes a connection whose caller lets it wait for too long. */
  sweep(now: number): void {
    if (now < this.#deadline) return
    if (this.#body.awaited) return this.#failBody(fail('REQUEST_TOO_SLOW'))
    if (this.#exchange) return
    if (this.#socket.writableLength > 0) return this.#watch(now)
    if (this.#ending === 'lingering') return this.#end()
    if (this.#ending === 'no' && this.#rest !== null)
      return this.#refuse(fail('REQUEST_TOO_SLOW', { say: 'The request did not arrive in time' }))
    this.destroy()
  }

  readBody(head: RequestHead, maxBytes: number): Buffer | Promise<Buffer> {
    this.#body.check(head, maxBytes)
    if (this.#body.arrived) return this.#body.take()
    return new Promise((ended, failed) => this.#expect(head, { maxBytes, take: null, ended, failed }))
  }

  passBody(head: RequestHead, reader: BodyReader): void {
    this.#body.check(head, reader.maxBytes)
    this.#expect(head, reader)
    if (this.#body.size > 0 || this.#body.arrived) this.#hand()
  }

  goOn(): void {
    if (!this.#body.awaited || this.#deadline !== NEVER) return
    this.#deadline = this.#options.tick() + this.#bodyLeftMs
    this.#resume()
  }

  write(text: string): void {
    if (this.#pieces) {
      this.#pieces.push(text)
      this.#pieceBytes += text.length
    } else this.#text += text
    this.#schedule()
  }

  writeBytes(bytes: Buffer): void {
    this.#pieces ??= []
    if (this.#text !== '') this.#pieces.push(this.#text)
    this.#pieceBytes += this.#text.length + bytes.length
    this.#text = ''
    this.#pieces.push(bytes)
    this.#schedule()
  }

  /** The end of the turn. */
  flush(): void {
    this.#scheduled = false
    if (this.#gone) return
    const socket = this.#socket
    if (this.#pieces) {
      socket.cork()
      for (const piece of this.#pieces) this.#blocked = !(typeof piece === 'string' ? socket.write(piece, 'latin1') : socket.write(piece))
      socket.uncork()
      this.#pieces = null
      this.#pieceBytes = 0
    } else if (this.#text !== '') {
      const text = this.#text
      this.#text = ''
      this.#blocked = !socket.write(text, 'latin1')
    }
    if (this.#ending === 'now') this.#end()
    else if (!this.#blocked) this.#goOn()
  }

  finish(keep: boolean): void {
    const lingerMs = Math.max(LINGER_MS, this.#bodyTimeMs)
    this.#exchange = null
    if (this.#body.awaited) this.#body.dismiss(bodyUnread())
    this.#deadline = this.#options.tick() + this.#options.idleMs
    const { arrived } = this
    // A body that nobody asked for is not kept until the next one.
    this.#body.drop()
    // What the caller sent before it could know is still answered, one more.
    if (keep && (!this.closing || this.#rest !== null)) {
      if (this.#rest === null) this.#resume()
      else if (!this.#looping) this.#loop()
      return
    }
    if (arrived) this.#ending = 'now'
    else {
      // Who is still sending would lose the answer to a reset: what comes is thrown away for a moment.
      this.#ending = 'lingering'
      this.#deadline = this.#options.tick() + lingerMs
    }
    this.#rest = null
    this.#resume()
    this.#schedule()
  }

  destroy(): void {
    this.#socket.destroy()
    this.#lose()
  }

  #read(bytes: Buffer): void {
    if (this.#gone || this.#ending === 'now' || this.#ending === 'ended') return
    try {
      let from = 0
      if (!this.arrived) from = this.#feedBody(bytes)
      if (from === bytes.length || this.#ending !== 'no') return
      this.#keep(from === 0 ? bytes : bytes.subarray(from))
      if (this.#exchange === null && !this.#looping) this.#loop()
    } catch (error) {
      this.#broken(error)
    }
  }

  /** Whatever came that has no place yet. A caller that sends ahead of its answers is read on from when they are given. */
  #keep(bytes: Buffer): void {
    this.#rest = this.#rest === null ? bytes : Buffer.concat([this.#rest, bytes])
    if (this.#rest.length > AHEAD_BYTES) this.#pause()
  }

  /** Serves the requests that have come, as long as each is answered at once and the answers find room. */
  #loop(): void {
    this.#looping = true
    try {
      while (this.#rest !== null && this.#exchange === null && this.#ending === 'no' && this.roomy && !this.#gone) {
        const head = this.#head(this.#rest)
        // One at a time makes room for more, or what waits for its turn would grow by more than was taken from it.
        if (this.#rest === null || this.#rest.length <= AHEAD_BYTES) this.#resume()
        if (head === null) break
        const exchange = new Exchange(head, this)
        this.#exchange = exchange
        this.#deadline = NEVER
        this.#options.serve(exchange)
      }
    } catch (error) {
      this.#broken(error)
    } finally {
      this.#looping = false
    }
  }

  /** The next head, taken off what has come; null where it is not whole. The beginning of its body is taken along. */
  #head(bytes: Buffer): RequestHead | null {
    let from = 0
    // Empty lines before a request are an old client's mistake.
    while (bytes[from] === 13 && bytes[from + 1] === 10) from += 2
    if (from > 0) this.#rest = from < bytes.length ? bytes.subarray(from) : null
    if (from === bytes.length) return null
    const end = bytes.indexOf(HEAD_END, from)
    if ((end === -1 ? bytes.length : end) - from > HEAD_BYTES) throw new BadRequest(431)
    if (end === -1) {
      checkBeginning(bytes, from)
      this.#deadline = Math.min(this.#deadline, this.#options.tick() + HEAD_MS)
      return null
    }
    const head = new RequestHead(bytes.toString('latin1', from, end + 4))
    this.#body.begin(head)
    const after = end + 4 < bytes.length ? bytes.subarray(end + 4) : null
    const used = after === null || this.#body.arrived ? 0 : this.#feedBody(after)
    this.#rest = after === null || used === after.length ? null : used === 0 ? after : after.subarray(used)
    return head
  }

  /** Takes what belongs to the body; returns how much that was. */
  #feedBody(bytes: Buffer): number {
    const body = this.#body
    const used = body.feed(bytes)
    if (body.awaited) this.#hand()
    else if (this.#ending === 'lingering' && body.arrived) this.#end()
    else if (body.size > AHEAD_BYTES && this.#ending === 'no' && !body.arrived) this.#pause()
    return used
  }

  #expect(head: RequestHead, reader: BodyReader): void {
    if (head.expects && this.#body.size === 0) this.write('HTTP/1.1 100 Continue\r\n\r\n')
    this.#body.expect(reader)
    this.#deadline = this.#options.tick() + this.#options.bodyMs
    this.#resume()
  }

  /** The time that a reader lets its caller wait is not the caller's. */
  #hand(): void {
    const state = this.#body.hand()
    if (state === 'more') return
    this.#bodyLeftMs = Math.max(0, this.#deadline - this.#options.tick())
    this.#deadline = NEVER
    // Only who is read on is noticed when it leaves; what was refused is let in once that is said.
    if (state === 'over') this.#resume()
    else this.#pause()
  }

  /**
   * How long a body of a known size may go on coming while it is awaited; 0 for every other. Clients that send all of it before they
   * read would not see an answer that comes earlier.
   */
  get #bodyTimeMs(): number {
    if (!this.#body.awaited || (this.#exchange?.head.length ?? -1) < 0) return 0
    return this.#deadline === NEVER ? this.#bodyLeftMs : this.#deadline - this.#options.tick()
  }

  #failBody(reason: Failure): void {
    this.#body.fail(reason)
    this.#deadline = NEVER
    this.#pause()
  }

  /** What came cannot be told apart from what follows. */
  #broken(error: unknown): void {
    const bad = error instanceof BadRequest
    if (!bad || this.#ending !== 'no') this.destroy()
    if (!bad) throw error
    if (this.#ending !== 'no') return
    if (this.#exchange) {
      this.#body.lose()
      return this.#failBody(fail('INVALID_REQUEST', { say: 'The request body is not valid HTTP/1.1', internal: 'body_chunks' }))
    }
    this.#refuse(error.status === 431 ? fail('HEAD_TOO_LARGE') : fail('INVALID_REQUEST', { say: 'The request is not valid HTTP/1.1' }))
  }

  /** Answers what never became a request, and closes. */
  #refuse(failure: Failure): void {
    this.write(refusal(failure, this.date))
    this.#rest = null
    this.#body.lose()
    this.#resume()
    this.#ending = 'lingering'
    this.#deadline = this.#options.tick() + LINGER_MS
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    atTurnEnd(this)
  }

  /** Ends the connection after what has been written; `flush` comes back to it. */
  #end(): void {
    this.#ending = this.#scheduled ? 'now' : 'ended'
    if (this.#scheduled) return
    this.#deadline = this.#options.tick() + CLOSING_MS
    this.#socket.end()
  }

  /** What was written has found room. */
  #goOn(): void {
    if (this.#exchange !== null) this.#exchange.drain()
    else if (this.#rest !== null) this.#loop()
  }

  /**
   * The caller sends no more. Nearly always that is because it has left, and nothing else would tell: so whatever it asked for
   * is called off, and only an answer that is on its way goes on to its end.
   */
  #hear(): void {
    if (this.#exchange !== null || !this.#writing) return this.destroy()
    this.#rest = null
    if (this.#ending !== 'ended') this.#end()
  }

  get #writing(): boolean {
    return this.#scheduled || this.#socket.writableLength > 0
  }

  /** Not all of an answer has been taken. Node looks at how much the system took since, which it does not tell. */
  #watch(now: number): void {
    const { idleMs } = this.#options
    this.#deadline = now + idleMs
    if (this.#watched) return
    this.#watched = true
    this.#socket.setTimeout(idleMs).on('timeout', () => {
      if (this.#exchange === null && this.#socket.writableLength > 0) this.destroy()
    })
  }

  #pause(): void {
    if (this.#paused) return
    this.#paused = true
    this.#socket.pause()
  }

  #resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#socket.resume()
  }

  #lose(): void {
    if (this.#gone) return
    this.#gone = true
    this.#rest = null
    this.#body.drop()
    this.#text = ''
    this.#pieces = null
    this.#socket.destroy()
    this.#options.closed(this)
    const exchange = this.#exchange
    this.#exchange = null
    this.#body.dismiss(bodyCut())
    exchange?.lose()
  }
}
