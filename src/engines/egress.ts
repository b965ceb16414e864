/**
 * The network door: the only HTTP client. It sends no caller's identity, checks every address when the socket is
 * opened, bounds times and sizes, and turns whatever goes wrong into a `Failure` without a word of the upstream's.
 */
import type { Signal } from '../core/cancel.ts'
import { fail } from '../core/errors.ts'
import { Exchange } from './egress-exchange.ts'
import { Heads, type RangeFields } from './egress-head.ts'
import { type SocketOptions, Sockets } from './egress-sockets.ts'
import type { UpstreamHeaders } from './upstream-error.ts'

/** A body that is taken whole may be this long. */
export const COLLECTED_BYTES = 64 * 1024 * 1024

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
  /** JSON, unless `contentType` says otherwise. */
  readonly body?: string | Buffer | BodyStream
  readonly contentType?: string
  readonly accept: string
  readonly signal: Signal
  /** Of a download: which bytes are wanted, and who asks. Its answer's head has the fields that downloads look at. */
  readonly range?: RangeFields
  /** Whether an answer of any status is handed to the receiver; without it one that is no success is a `Failure`. */
  readonly anyStatus?: boolean
  /** Milliseconds from now until the first byte of the answer's body, and between two of its reads. */
  readonly firstByteMs: number
  readonly stallMs: number
}

/** A body that is still coming: of so many bytes, or of as many as there will be where that is null. Taken once, piece by piece. */
export type BodyStream = { readonly sizeBytes: number | null; readonly pieces: AsyncIterable<Buffer> }

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
  readonly #heads: Heads

  /** Throws a TypeError when the base URL is none of http or https or holds a password, and for headers that are none. */
  constructor(options: EgressOptions) {
    const url = new URL(options.baseUrl)
    if (url.protocol !== 'http:' && url.protocol !== 'https:')
      throw new TypeError('the base URL of an engine starts with http:// or https://')
    // It would be sent to nobody, and stay in every place that shows the URL.
    if (url.username !== '' || url.password !== '') throw new TypeError('the base URL of an engine holds no user and no password')
    this.#heads = new Heads(url, options.headers)
    this.#sockets = new Sockets(url, options)
  }

  /**
   * Sends a request and hands its successful (2xx) answer to the receiver. Resolves when the whole answer was taken.
   * Rejects with a `Failure`; with `callerLeft()` (or the signal's own `Failure`) as soon as the signal is aborted, the
   * socket then being closed at once. Redirects are not followed. A request is sent a second time in one case only: a
   * kept-alive connection was closed by the server before any byte of an answer came.
   * A body that is still coming goes out on a connection of its own, as fast as the server takes it; while it is the body that is waited
   * for, no limit runs, and what ends its pieces early ends the request. `firstByteMs` begins anew when all of it is sent.
   */
  send(request: EgressRequest, receiver: Receiver): Promise<void> {
    return new Promise((resolve, reject) => {
      new Exchange(this.#sockets, this.#heads.of(request), request, receiver, resolve, reject).start()
    })
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
