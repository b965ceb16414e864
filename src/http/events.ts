/** Server-sent events on one response: opened by the first event, kept alive by pings, slow readers waited for. */
import type { ServerResponse } from 'node:http'
import { callerLeft } from '../core/errors.ts'
import type { EventSink } from '../endpoints/endpoint.ts'

const PING = ': ping\n\n'

/** How long a reader may take none of what is waiting for it before it counts as gone. */
const SLOW_READER_MS = 120_000

/**
 * The event stream of one response.
 * Invariant: `open` runs at most once, before the first byte; nothing is written after `end` or after the caller left.
 */
export class Events implements EventSink {
  readonly #response: ServerResponse
  readonly #open: () => void
  readonly #pingMs: number
  #opened = false
  #ended = false
  #lastWrite: number
  #timer: NodeJS.Timeout | null

  /** `open` writes status and headers. Pings start `pingMs` after now if nothing was sent by then. */
  constructor(response: ServerResponse, open: () => void, pingMs: number) {
    this.#response = response
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
    if (this.#response.destroyed) throw callerLeft()
    this.#start()
    this.#lastWrite = performance.now()
    if (this.#response.write(events, 'latin1')) return
    return this.#drained()
  }

  /** Ends the response. `last` is written first when given. */
  end(last?: string): void {
    if (this.#ended) return
    this.#ended = true
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    this.#start()
    if (last) this.#response.end(last, 'latin1')
    else this.#response.end()
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
    if (this.#ended || this.#response.destroyed) return
    const silentMs = performance.now() - this.#lastWrite
    let nextMs = this.#pingMs - silentMs
    if (nextMs <= 1) {
      this.#start()
      this.#lastWrite = performance.now()
      // A slow reader has unread bytes already: a ping would only add to them.
      if (!this.#response.writableNeedDrain) this.#response.write(PING, 'latin1')
      nextMs = this.#pingMs
    }
    this.#timer = setTimeout(() => this.#ping(), nextMs)
    this.#timer.unref()
  }

  #drained(): Promise<void> {
    const response = this.#response
    return new Promise((resolve, reject) => {
      const settle = (gone: boolean): void => {
        clearTimeout(timer)
        response.off('drain', onDrain)
        response.off('close', onClose)
        if (gone) reject(callerLeft())
        else resolve()
      }
      const onDrain = (): void => settle(false)
      const onClose = (): void => settle(true)
      const timer = setTimeout(() => {
        response.destroy()
        settle(true)
      }, SLOW_READER_MS)
      timer.unref()
      response.once('drain', onDrain)
      response.once('close', onClose)
    })
  }
}
