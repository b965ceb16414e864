/**
 * The network door: the only HTTP client. It sends no caller's identity, checks every address when the socket is
 * opened, bounds times and sizes, and turns whatever goes wrong into a `Failure` without a word of the upstream's.
 */
import type { Signal } from '../core/cancel.ts'
import type { Dispatcher } from 'undici'
import { Failure, callerLeft, fail } from '../core/errors.ts'
import { type Connection, type SocketOptions, Sockets } from './egress-sockets.ts'
import { ERROR_BODY_BYTES, connectFailure, isReset, refusal } from './upstream-error.ts'
import type { UpstreamHeaders } from './upstream-error.ts'

/** A body that is taken whole may be this long. */
export const COLLECTED_BYTES = 64 * 1024 * 1024
/** The longest wait that a timer takes. */
const TIMER_MAX_MS = 2 ** 31 - 1

export type EgressOptions = SocketOptions & {
  /** Such as `http://127.0.0.1:11434/v1`; paths of requests are appended to it. */
  readonly baseUrl: string
  /** Sent with every request: the operator's key and the like. */
  readonly headers: Readonly<Record<string, string>>
}

export type EgressRequest = {
  readonly method: 'GET' | 'POST'
  /** Appended to the path of the base URL, or with `fromRoot` to its origin. */
  readonly path: string
  readonly fromRoot?: boolean
  /** JSON. */
  readonly body?: string | Buffer
  readonly accept: string
  readonly signal: Signal
  /** Milliseconds from now until the first byte of the answer's body, and between two of its reads. */
  readonly firstByteMs: number
  readonly stallMs: number
}

/** Takes a successful answer. What any of its methods throws ends the request and is what `send` rejects with. */
export type Receiver = {
  head?(status: number, headers: UpstreamHeaders): void
  /**
   * Takes bytes as they come; they may be kept. A promise stops the reading until it resolves, and a rejection ends
   * the request.
   */
  data(chunk: Buffer): void | Promise<void>
  /** Called once after all the `data` of one network read, and again before `send` resolves; may return a promise as `data` may. */
  flush?(): void | Promise<void>
}

export type Collected = { readonly headers: UpstreamHeaders; readonly body: Buffer }

export class Egress {
  readonly #sockets: Sockets
  readonly #basePath: string
  readonly #headers: readonly string[]

  /** Throws a TypeError when the base URL is none of http or https. */
  constructor(options: EgressOptions) {
    const url = new URL(options.baseUrl)
    if (url.protocol !== 'http:' && url.protocol !== 'https:')
      throw new TypeError('the base URL of an engine starts with http:// or https://')
    this.#sockets = new Sockets(url.origin, options)
    this.#basePath = url.pathname.endsWith('/') ? url.pathname.slice(0, -1) : url.pathname
    const headers = ['user-agent', 'rialto', 'content-type', 'application/json']
    for (const [name, value] of Object.entries(options.headers)) headers.push(name.toLowerCase(), value)
    this.#headers = headers
  }

  /**
   * Sends a request and hands its successful (2xx) answer to the receiver. Resolves when the whole answer was taken.
   * Rejects with a `Failure`; with `callerLeft()` (or the signal's own `Failure`) as soon as the signal is aborted, the
   * socket then being closed at once. Redirects are not followed.
   */
  send(request: EgressRequest, receiver: Receiver): Promise<void> {
    const options: Dispatcher.DispatchOptions = {
      method: request.method,
      path: request.fromRoot ? request.path : this.#basePath + request.path,
      headers: [...this.#headers, 'accept', request.accept],
      body: request.body ?? null,
      // One timer of ours covers the wait for a socket, for the head and between the bytes, to the millisecond.
      headersTimeout: 0,
      bodyTimeout: 0,
    }
    return new Promise((resolve, reject) => new Exchange(this.#sockets, options, request, receiver, resolve, reject).start(false))
  }

  /** Sends a request and takes its answer whole. */
  collect(request: EgressRequest, limitBytes = COLLECTED_BYTES): Promise<Collected> {
    const collector = new Collector(limitBytes)
    return this.send(request, collector).then(() => collector.collected())
  }

  /** Closes every socket; requests under way fail. */
  close(): Promise<void> {
    return this.#sockets.close()
  }
}

/** Takes an answer whole, up to a limit. */
class Collector implements Receiver {
  readonly #limitBytes: number
  #headers: UpstreamHeaders = {}
  #first: Buffer | null = null
  #rest: Buffer[] | null = null
  #sizeBytes = 0

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes
  }

  head(_status: number, headers: UpstreamHeaders): void {
    this.#headers = headers
  }

  data(chunk: Buffer): void {
    this.#sizeBytes += chunk.length
    if (this.#sizeBytes > this.#limitBytes) throw fail('INFERENCE_FAILED', { internal: 'upstream_answer_too_large' })
    if (!this.#first) this.#first = chunk
    else if (this.#rest) this.#rest.push(chunk)
    else this.#rest = [this.#first, chunk]
  }

  collected(): Collected {
    const body = this.#rest ? Buffer.concat(this.#rest, this.#sizeBytes) : (this.#first ?? Buffer.alloc(0))
    return { headers: this.#headers, body }
  }
}

/** What is left of an answer with an error status: enough to read its code. */
type Refused = { readonly status: number; readonly headers: UpstreamHeaders; text: string }

/**
 * One request and its answer: undici's handler, the signal's listener and the timer's target in one object, so that
 * nothing more is allocated per request or per chunk.
 * Invariant: after `#settled` nothing reaches the receiver, and resolve or reject was called exactly once.
 */
class Exchange implements Dispatcher.DispatchHandler {
  readonly #sockets: Sockets
  readonly #options: Dispatcher.DispatchOptions
  readonly #request: EgressRequest
  readonly #receiver: Receiver
  readonly #resolve: () => void
  readonly #reject: (reason: unknown) => void

  #connection: Connection | null = null
  #controller: Dispatcher.DispatchController | null = null
  #timer: NodeJS.Timeout | null = null
  #settled = false
  #retried = false
  /** Whether any byte of an answer has come, and whether the head has. */
  #answering = false
  #headed = false
  #flowing = false
  #refused: Refused | null = null
  /** The receiver is slow: bytes that undici delivers all the same (when the server closes) are held. */
  #paused = false
  readonly #held: Buffer[] = []
  /** Data was taken since the last flush; a flush is due at the end of this turn. */
  #dirty = false
  #scheduled = false
  /** How the answer ended, once it has: `true` well. It is acted on when the receiver has taken everything. */
  #ending: true | Failure | null = null
  /** The answer came whole, so the socket can serve again, whatever the answer was. */
  #reusable = false

  constructor(
    sockets: Sockets,
    options: Dispatcher.DispatchOptions,
    request: EgressRequest,
    receiver: Receiver,
    resolve: () => void,
    reject: (reason: unknown) => void,
  ) {
    this.#sockets = sockets
    this.#options = options
    this.#request = request
    this.#receiver = receiver
    this.#resolve = resolve
    this.#reject = reject
  }

  start(fresh: boolean): void {
    if (!fresh) {
      if (this.#request.signal.aborted) return this.#fail(this.#abortReason())
      this.#request.signal.addEventListener('abort', this)
      this.#arm(this.#request.firstByteMs)
    }
    try {
      this.#connection = this.#sockets.take(fresh)
      this.#connection.client.dispatch(this.#options, this)
    } catch (error) {
      this.#fail(error instanceof Failure ? error : fail('INFERENCE_FAILED', { internal: 'upstream_request' }))
    }
  }

  /** The signal was aborted. */
  handleEvent(): void {
    this.#fail(this.#abortReason())
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
  }

  onResponseStarted(): void {
    this.#answering = true
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: UpstreamHeaders): void {
    if (this.#settled || status < 200) return
    this.#headed = true
    if (status >= 300) {
      this.#refused = { status, headers, text: '' }
      return
    }
    try {
      this.#receiver.head?.(status, headers)
    } catch (error) {
      this.#fail(error)
    }
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#settled) return
    if (this.#flowing) this.#timer?.refresh()
    else {
      this.#flowing = true
      this.#arm(this.#request.stallMs)
    }
    if (this.#refused) this.#collectRefusal(this.#refused, chunk)
    else if (this.#paused) this.#held.push(chunk)
    else this.#deliver(chunk)
  }

  onResponseEnd(): void {
    this.#reusable = true
    this.#end(this.#refused ? refusalOf(this.#refused) : true)
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    if (this.#settled) return
    if (this.#connection?.served && !this.#answering && !this.#retried && isReset(error)) {
      this.#retried = true
      this.#sockets.drop(this.#connection)
      return this.start(true)
    }
    if (this.#refused) return this.#end(refusalOf(this.#refused))
    this.#end(this.#headed ? fail('INFERENCE_FAILED', { internal: 'upstream_died' }) : connectFailure(error))
  }

  /** The limit in force has passed: of the first byte, or of silence after it. */
  expired(): void {
    if (this.#settled) return
    if (this.#paused) {
      // It is the receiver that takes its time, not the upstream.
      this.#timer?.refresh()
      return
    }
    if (this.#refused) return this.#fail(refusalOf(this.#refused))
    this.#fail(fail('REQUEST_TIMEOUT', { internal: this.#flowing ? 'upstream_stalled' : 'upstream_first_byte' }))
  }

  /** The end of the turn in which data came. */
  turnEnded(): void {
    this.#scheduled = false
    if (!this.#settled && !this.#paused) this.#flush()
  }

  #collectRefusal(refused: Refused, chunk: Buffer): void {
    refused.text += chunk.toString('latin1', 0, ERROR_BODY_BYTES - refused.text.length)
    if (refused.text.length >= ERROR_BODY_BYTES) this.#fail(refusalOf(refused))
  }

  #deliver(chunk: Buffer): void {
    try {
      this.#dirty = true
      const slow = this.#receiver.data(chunk)
      if (slow) this.#wait(slow)
      else if (!this.#scheduled && this.#receiver.flush) {
        this.#scheduled = true
        process.nextTick(endTurn, this)
      }
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
    if (this.#ending === null) this.#controller?.pause()
    slow.then(
      () => this.#resume(),
      (error: unknown) => this.#fail(error),
    )
  }

  #resume(): void {
    if (this.#settled) return
    this.#paused = false
    for (let held = this.#held.shift(); held; held = this.#paused ? undefined : this.#held.shift()) this.#deliver(held)
    if (this.#settled || this.#paused) return
    this.#flush()
    if (this.#settled || this.#paused) return
    if (this.#ending !== null) return this.#end(this.#ending)
    this.#timer?.refresh()
    this.#controller?.resume()
  }

  /** The upstream has nothing more to say. What it did say goes to the receiver first. */
  #end(ending: true | Failure): void {
    if (this.#settled) return
    this.#ending = ending
    if (!this.#paused) this.#flush()
    if (this.#settled || this.#paused) return
    if (!this.#reusable) return this.#fail(ending)
    this.#detach()
    if (this.#connection) this.#sockets.giveBack(this.#connection)
    if (ending === true) this.#resolve()
    else this.#reject(ending)
  }

  /** Ends the exchange at once and closes the socket. */
  #fail(reason: unknown): void {
    if (this.#settled) return
    this.#detach()
    if (this.#connection) this.#sockets.drop(this.#connection)
    this.#reject(reason)
  }

  #detach(): void {
    this.#settled = true
    this.#held.length = 0
    if (this.#timer) clearTimeout(this.#timer)
    this.#request.signal.removeEventListener('abort', this)
  }

  #arm(ms: number): void {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = setTimeout(expire, Math.min(ms, TIMER_MAX_MS), this)
  }

  #abortReason(): Failure {
    const reason: unknown = this.#request.signal.reason
    return reason instanceof Failure ? reason : callerLeft()
  }
}

const refusalOf = ({ status, headers, text }: Refused): Failure => refusal(status, headers, text)

const expire = (exchange: Exchange): void => exchange.expired()
const endTurn = (exchange: Exchange): void => exchange.turnEnded()
