/** One request of the network door and its answer: from a connection to the receiver, and to one end. */
import { Failure, callerLeft, fail } from '../core/errors.ts'
import type { BodyStream, EgressRequest, Receiver } from './egress.ts'
import type { Limits, Waiting } from './egress-alarm.ts'
import type { Connection, Sender } from './egress-connection.ts'
import { Upload } from './egress-upload.ts'
import { EngineClosed, type Sockets } from './egress-sockets.ts'
import type { AnswerTaker } from './http-response.ts'
import { ERROR_BODY_BYTES, type UpstreamHeaders, connectFailure, isReset, refusal } from './upstream-error.ts'

/** What is left of an answer with an error status: enough to read its code. */
type Refused = { readonly status: number; readonly headers: UpstreamHeaders; text: string }

/**
 * The connection's sender, the parser's taker, the signal's listener and what its limits wait for, in one object, so
 * that nothing more is allocated per request or per chunk.
 * Invariant: after `#settled` nothing reaches the receiver, and resolve or reject was called exactly once.
 */
export class Exchange implements Sender, AnswerTaker, Waiting {
  readonly #sockets: Sockets
  readonly #head: string
  readonly #request: EgressRequest
  readonly #receiver: Receiver
  readonly #resolve: () => void
  readonly #reject: (reason: unknown) => void

  #connection: Connection | null = null
  #limits: Limits | null = null
  #settled = false
  /** Whether any byte of an answer has come, whether its head has, whether its body has begun. */
  #answering = false
  #headed = false
  #flowing = false
  #refused: Refused | null = null
  /** The receiver is slow: what the connection delivers all the same is held, as it came. */
  #paused = false
  #held: Buffer[] | null = null
  /** Data was taken since the last flush. */
  #dirty = false
  /** The connection is gone, and why. It is acted on when the receiver has taken everything, as is the end. */
  #lost: { readonly reason: unknown } | null = null
  /** The body, where it is still coming. */
  #upload: Upload | null = null
  /** How the answer ended, once it has: `true` well. */
  #ending: true | Failure | null = null

  constructor(
    sockets: Sockets,
    head: string,
    request: EgressRequest,
    receiver: Receiver,
    resolve: () => void,
    reject: (reason: unknown) => void,
  ) {
    this.#sockets = sockets
    this.#head = head
    this.#request = request
    this.#receiver = receiver
    this.#resolve = resolve
    this.#reject = reject
  }

  start(): void {
    const { signal, firstByteMs } = this.#request
    if (signal.aborted) return this.#fail(this.#abortReason())
    signal.addEventListener('abort', this)
    try {
      // What is sent only once is not sent where the server may just be closing.
      this.#connection = this.#sockets.take(this.#stream !== null)
    } catch (error) {
      return this.#fail(error)
    }
    this.#limits = this.#connection.limits
    this.#limits.start(this, firstByteMs)
    this.#connection.send(this, this.#head, this.#request.body)
  }

  sent(): void {
    const body = this.#stream
    const connection = this.#connection
    const limits = this.#limits
    if (body === null || connection === null || limits === null) return
    const { firstByteMs } = this.#request
    this.#upload = new Upload({ body, connection, limits, waiting: this, firstByteMs, failed: (reason) => this.#fail(reason) })
  }

  get #stream(): BodyStream | null {
    const { body } = this.#request
    return body === undefined || typeof body === 'string' || Buffer.isBuffer(body) ? null : body
  }

  get download(): boolean {
    return this.#request.range !== undefined
  }

  /** Bytes came. All of them reach the receiver before it is flushed once. */
  read(bytes: Buffer): void {
    this.#answering = true
    if (this.#flowing) this.#limits?.flow(this.#request.stallMs)
    if (!this.#paused) this.#take(bytes)
    else if (this.#held) this.#held.push(bytes)
    else this.#held = [bytes]
  }

  head(status: number, headers: UpstreamHeaders): void {
    this.#headed = true
    if (status >= 300 && this.#request.anyStatus !== true) {
      this.#refused = { status, headers, text: '' }
      return
    }
    try {
      this.#receiver.head?.(status, headers)
    } catch (error) {
      this.#fail(error)
    }
  }

  body(chunk: Buffer): boolean {
    if (this.#settled) return false
    if (!this.#flowing) {
      this.#flowing = true
      this.#limits?.flow(this.#request.stallMs)
    }
    if (this.#refused) this.#collectRefusal(this.#refused, chunk)
    else this.#deliver(chunk)
    return !this.#paused && !this.#settled
  }

  lost(reason: unknown): void {
    // Only once: a connection that is fresh has not served.
    const closed = reason === null || isReset(reason)
    if (closed && this.#connection?.served && !this.#answering) return this.#retry()
    this.#lost = { reason }
    if (!this.#paused) this.#endLost(reason)
  }

  /** The signal was aborted. */
  handleEvent(): void {
    this.#fail(this.#abortReason())
  }

  /** The limit in force has passed: of the first byte, or of silence after it. */
  expired(): void {
    if (this.#paused) this.#limits?.flow(this.#request.stallMs)
    else if (this.#refused) this.#fail(refusalOf(this.#refused))
    else this.#fail(fail('REQUEST_TIMEOUT', { internal: this.#flowing ? 'upstream_stalled' : 'upstream_first_byte' }))
  }

  /** Once more, on a new connection, within the limit that has begun to run. */
  #retry(): void {
    try {
      const fresh = this.#sockets.take(true)
      this.#connection = fresh
      if (this.#limits) fresh.limits = this.#limits
      fresh.send(this, this.#head, this.#request.body)
    } catch (error) {
      this.#fail(error)
    }
  }

  #take(bytes: Buffer): void {
    const response = this.#connection?.response
    if (!response) return
    let at = 0
    try {
      at = response.feed(bytes, 0, this)
    } catch (error) {
      // Only the parser throws here. What it is in doubt about is nothing that can be read on from.
      return this.#end(this.#failureOf(error))
    }
    if (this.#settled) return
    if (at < bytes.length) {
      const rest = bytes.subarray(at)
      if (this.#held) this.#held.unshift(rest)
      else this.#held = [rest]
    }
    if (this.#paused) return
    if (response.done) this.#end(true)
    else this.#flush()
  }

  #collectRefusal(refused: Refused, chunk: Buffer): void {
    refused.text += chunk.toString('latin1', 0, Math.min(chunk.length, ERROR_BODY_BYTES - refused.text.length))
    if (refused.text.length >= ERROR_BODY_BYTES) this.#fail(refusalOf(refused))
  }

  #deliver(chunk: Buffer): void {
    try {
      this.#dirty = true
      const slow = this.#receiver.data(chunk)
      if (slow) this.#wait(slow)
    } catch (error) {
      this.#fail(error)
    }
  }

  #flush(): void {
    if (!this.#dirty) return
    this.#dirty = false
    try {
      const slow = this.#receiver.flush?.()
      if (slow) this.#wait(slow)
    } catch (error) {
      this.#fail(error)
    }
  }

  #wait(slow: Promise<void>): void {
    this.#paused = true
    this.#connection?.pause()
    slow.then(
      () => this.#resume(),
      (error: unknown) => this.#fail(error),
    )
  }

  #resume(): void {
    if (this.#settled) return
    this.#paused = false
    while (this.#ending === null) {
      const bytes = this.#held?.shift()
      if (!bytes) break
      this.#take(bytes)
      if (this.#settled || this.#paused) return
    }
    if (this.#ending !== null) return this.#end(this.#ending)
    if (this.#connection?.response.done) return this.#end(true)
    this.#flush()
    if (this.#settled || this.#paused) return
    if (this.#lost) return this.#endLost(this.#lost.reason)
    this.#limits?.flow(this.#request.stallMs)
    this.#connection?.resume()
  }

  /** The connection is gone, and everything that came on it was taken. */
  #endLost(reason: unknown): void {
    const whole = reason === null && this.#connection?.response.close() === true
    this.#end(whole || this.#failureOf(reason))
  }

  #failureOf(reason: unknown): Failure {
    if (this.#headed) return fail('INFERENCE_FAILED', { internal: 'upstream_died' })
    if (reason instanceof EngineClosed) return fail('SHUTTING_DOWN', { internal: 'engine_closed' })
    return reason === null ? fail('INFERENCE_FAILED', { internal: 'upstream_reset' }) : connectFailure(reason)
  }

  /** The answer has ended, whole or with a failure. What came of it goes to the receiver first. */
  #end(end: true | Failure): void {
    // Who answers before it knows what it was asked has not understood it.
    const early = end === true && this.#refused === null && this.#upload?.done === false
    const ending = early ? fail('INFERENCE_FAILED', { internal: 'upstream_early' }) : end
    this.#ending = ending
    this.#flush()
    if (this.#settled || this.#paused) return
    this.#settle()
    const clean = ending === true && this.#lost === null && !this.#held?.length && this.#upload?.done !== false
    if (this.#connection && clean) this.#sockets.giveBack(this.#connection)
    else this.#drop()
    if (this.#refused) this.#reject(refusalOf(this.#refused))
    else if (ending === true) this.#resolve()
    else this.#reject(ending)
  }

  /** Ends the exchange at once and closes the connection. */
  #fail(reason: unknown): void {
    if (this.#settled) return
    this.#settle()
    this.#drop()
    this.#reject(reason)
  }

  #settle(): void {
    this.#settled = true
    this.#upload?.stop()
    this.#request.signal.removeEventListener('abort', this)
  }

  #drop(): void {
    this.#held = null
    this.#limits?.clear()
    this.#connection?.close()
  }

  #abortReason(): Failure {
    const reason: unknown = this.#request.signal.reason
    return reason instanceof Failure ? reason : callerLeft()
  }
}

const refusalOf = ({ status, headers, text }: Refused): Failure => refusal(status, headers, text)
