/** Server-sent events on one response: opened by the first event, kept alive by pings, slow readers waited for. */
import { callerLeft } from '../core/errors.ts'
import type { EventSink } from '../endpoints/endpoint.ts'
import type { Exchange } from './exchange.ts'

const PING = ': ping\n\n'

/** How long a reader may take none of what is waiting for it before it counts as gone. */
export const SLOW_READER_MS = 120_000

/**
 * The event stream of one exchange.
 * Invariant: `open` runs at most once, before the first byte; nothing is written after `end` or after the caller left.
 */
export class Events implements EventSink {
  readonly #exchange: Exchange
  readonly #open: () => void
  readonly #pingMs: number
  #opened = false
  #ended = false
  #lastWrite: number
  #timer: NodeJS.Timeout | null

  /** `open` writes status and headers. Pings start `pingMs` after now if nothing was sent by then. */
  constructor(exchange: Exchange, open: () => void, pingMs: number) {
    this.#exchange = exchange
    this.#open = open
    this.#pingMs = pingMs
    this.#lastWrite = performance.now()
    this.#timer = setTimeout(() => this.#ping(), pingMs)
    this.#timer.unref()
  }

  /** Whether the status has been sent: from then on a failure can only be an event. */
  get opened(): boolean {
    return this.#opened
  }

  send(events: string): void | Promise<void> {
    if (this.#exchange.gone) throw callerLeft()
    this.#start()
    this.#lastWrite = performance.now()
    if (this.#exchange.write(events)) return
    return this.#exchange.drained(SLOW_READER_MS)
  }

  /** Ends the response. `last` is written first when given. */
  end(last?: string): void {
    if (this.#ended) return
    this.#ended = true
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    this.#start()
    if (last) this.#exchange.write(latin1(last))
    this.#exchange.end()
  }

  /** Stops the pings without touching the response: a failure before the first event is answered as JSON. */
  abandon(): void {
    this.#ended = true
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
  }

  #start(): void {
    if (this.#opened) return
    this.#opened = true
    this.#open()
  }

  /** One timer per stream, moved on by the time of the last write instead of being set anew at each. */
  #ping(): void {
    if (this.#ended || this.#exchange.gone) return
    const silentMs = performance.now() - this.#lastWrite
    let nextMs = this.#pingMs - silentMs
    if (nextMs <= 1) {
      this.#start()
      this.#lastWrite = performance.now()
      // A slow reader has unread bytes already: a ping would only add to them.
      if (this.#exchange.roomy) this.#exchange.write(PING)
      nextMs = this.#pingMs
    }
    this.#timer = setTimeout(() => this.#ping(), nextMs)
    this.#timer.unref()
  }
}

/** UTF-8 bytes held as latin1 characters, as all events are. */
const latin1 = (text: string): string => Buffer.from(text, 'utf8').toString('latin1')
