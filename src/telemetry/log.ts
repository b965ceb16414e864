/**
 * The log door: one of the four places where something leaves the process. It takes envelopes and a closed table of
 * events, never a message, so content has no way in; an unknown error is reduced to its name and where it was thrown.
 *
 * Invariant: a slow or dead reader never holds up a request and never grows the heap. Lines wait as bytes in one buffer
 * of a fixed size; when it is full they are dropped, counted, and the count is written once the reader is back.
 */
import type { Clock } from '../core/clock.ts'
import type { Envelope } from '../core/call.ts'
import { siteOf } from './error-site.ts'
import { eventJson, eventText, requestJson, requestText } from './log-line.ts'
import type { Fields, Level } from './log-line.ts'
import type { LogSink } from './log-sink.ts'

/** So much is written at once (half of what a pipe holds), and less after this time. */
export const FLUSH_BYTES = 32 * 1024
export const FLUSH_MS = 50
/** The most that waits for a reader that is away. Memory that was never needed is never touched. */
export const WAITING_MAX_BYTES = 1024 * 1024
/** How long `close` waits for such a reader. */
export const CLOSE_MS = 500

export type LogFormat = 'json' | 'text'

/**
 * Every event there is and what it may say: ids, numbers and constant words (`why`) of our own.
 * A new event is a line here; nothing else can be logged.
 */
export type LogEvents = {
  server_started: { host: string; port: number; version: string; ready_ms: number }
  server_stopping: { signal: string; runs_in_flight: number }
  server_stopped: { runs_cut: number }
  catalog_loaded: { models: number; engines: number }
  key_created: { key: string; account: string }
  engine_up: { engine: string; models: number | null }
  engine_down: { engine: string; why: string }
  engine_found: { engine: string }
  breaker_open: { engine: string; model: string | null }
  breaker_closed: { engine: string; model: string | null }
  store_away: { why: string }
  store_back: { away_ms: number }
  ledger_behind: { waiting: number }
  ledger_alarm: { what: string }
  stakes: { state: string; why: string | null; wallets: number; unread: number }
  traces_away: { dropped: number }
  traces_back: { dropped: number }
  unknown_error: { request_id: string | null; error: string; cause: string | null; at: string | null }
  log_dropped: { lines: number }
}
export type LogEvent = keyof LogEvents

const LEVELS: Readonly<Record<LogEvent, Level>> = {
  server_started: 'info',
  server_stopping: 'info',
  server_stopped: 'info',
  catalog_loaded: 'info',
  key_created: 'info',
  engine_up: 'info',
  engine_down: 'warn',
  engine_found: 'info',
  breaker_open: 'warn',
  breaker_closed: 'info',
  store_away: 'error',
  store_back: 'info',
  ledger_behind: 'warn',
  ledger_alarm: 'error',
  stakes: 'info',
  traces_away: 'warn',
  traces_back: 'info',
  unknown_error: 'error',
  log_dropped: 'warn',
}

export class Log {
  readonly #sink: LogSink
  readonly #clock: Clock
  readonly #json: boolean
  /** What waits is between the two marks. */
  readonly #buffer = Buffer.allocUnsafeSlow(WAITING_MAX_BYTES)
  #from = 0
  #to = 0
  /** Whether the sink took only a part of what it was offered. */
  #stuck = false
  #dropped = 0
  #timer: NodeJS.Timeout | null = null
  #closed = false

  constructor(sink: LogSink, clock: Clock, format: LogFormat = 'json') {
    this.#sink = sink
    this.#clock = clock
    this.#json = format === 'json'
  }

  /** One line for one request, when its answer has ended. */
  request(envelope: Envelope, durationMs: number): void {
    this.#add(this.#json ? requestJson(envelope, durationMs) : requestText(envelope, durationMs))
  }

  event<E extends LogEvent>(name: E, fields: Readonly<LogEvents[E]>): void {
    this.#add(this.#line(name, fields))
  }

  /** For what is thrown and is no `Failure`: its class, the class of its cause, and where in our own code. Never its message. */
  unknownError(error: unknown, requestId: string | null): void {
    const site = siteOf(error)
    this.event('unknown_error', { request_id: requestId, error: site.name, cause: site.cause, at: site.at })
  }

  /** How many lines are lost so far and not yet reported. */
  get dropped(): number {
    return this.#dropped
  }

  /** Hands over what the sink takes now. Synchronous, so that it can be the last thing a process does. */
  flush(): void {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    this.#give()
    if (!this.#stuck && this.#dropped > 0) {
      const lines = this.#dropped
      this.#dropped = 0
      this.#put(this.#line('log_dropped', { lines }))
      this.#give()
    }
    if (this.#stuck && !this.#closed) this.#arm()
  }

  /** Writes what waits, for at most half a second where nobody reads; nothing is logged after it. */
  async close(): Promise<void> {
    this.#closed = true
    const until = this.#clock.tick() + CLOSE_MS
    this.flush()
    while (this.#stuck && this.#clock.tick() < until) {
      await new Promise((resolve) => setTimeout(resolve, FLUSH_MS))
      this.flush()
    }
  }

  #line(name: LogEvent, fields: Fields): string {
    return (this.#json ? eventJson : eventText)(this.#clock.now(), LEVELS[name], name, fields)
  }

  #add(line: string): void {
    if (this.#closed || this.#to - this.#from + line.length > WAITING_MAX_BYTES) {
      this.#dropped++
      return
    }
    this.#put(line)
    // With a stuck reader the timer is already set: a full pipe is tried again by time, not by every line.
    if (this.#to - this.#from >= FLUSH_BYTES && !this.#stuck) this.flush()
    else if (!this.#timer) this.#arm()
  }

  /** Lines are ASCII, so each character is a byte. Written at once, so that the pieces of a line are short-lived. */
  #put(line: string): void {
    if (this.#to + line.length > WAITING_MAX_BYTES) {
      this.#buffer.copyWithin(0, this.#from, this.#to)
      this.#to -= this.#from
      this.#from = 0
    }
    this.#to += this.#buffer.write(line, this.#to, 'latin1')
  }

  /** Offers the sink what waits. One that failed takes and loses it; there is nobody to tell. */
  #give(): void {
    if (this.#from < this.#to) this.#from += this.#sink.write(this.#buffer.subarray(this.#from, this.#to))
    this.#stuck = this.#from < this.#to
    if (!this.#stuck) this.#from = this.#to = 0
  }

  #arm(): void {
    this.#timer = setTimeout(() => this.flush(), FLUSH_MS)
    this.#timer.unref()
  }
}
