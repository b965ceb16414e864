/**
 * Splits server-sent events out of bytes that come in any portions, by the rules of the HTML standard.
 *
 * It works on UTF-8 bytes held one per character (latin1), so no portion can cut a character in two, and every byte
 * is looked at a bounded number of times, however an event is cut up.
 */
import { fail } from '../core/errors.ts'

/** One event may be this long; an upstream that sends a longer one has failed. */
export const EVENT_BYTES = 16 * 1024 * 1024

/** Takes the events in order: the data is `text` from `start` to `end`, the name is '' where there is none. */
export type EventTaker = { event(text: string, start: number, end: number, name: string): void }

const BYTE_ORDER_MARK = '\xef\xbb\xbf'

export class SseSplitter {
  readonly #taker: EventTaker
  readonly #limitBytes: number
  /** The pieces of a line whose end has not come, and their length. */
  #line: string[] = []
  #lineBytes = 0
  /** The data lines of the event under way, and their length; a lone one is not copied. */
  #data: string[] = []
  #dataBytes = 0
  #name = ''
  /** The last portion ended in CR: an LF right after it belongs to it. */
  #afterCr = false
  /** A line has been seen: only the very first may have a byte order mark before it. */
  #begun = false

  constructor(taker: EventTaker, limitBytes = EVENT_BYTES) {
    this.#taker = taker
    this.#limitBytes = limitBytes
  }

  /** Throws a `Failure` when an event is longer than the limit; and what the taker throws. */
  feed(text: string): void {
    let at = 0
    if (this.#afterCr && text !== '') {
      this.#afterCr = false
      if (text.charCodeAt(0) === LF) at = 1
    }
    let cr = text.indexOf('\r', at)
    // Where the next line ends of either kind are; looked for again only once they are passed.
    let lf = text.indexOf('\n', at)
    while (at < text.length) {
      if (cr === -1 && this.#idle()) {
        at = this.#plainEvents(text, at)
        if (at >= text.length) return
      }
      if (lf !== -1 && lf < at) lf = text.indexOf('\n', at)
      const end = cr === -1 || (lf !== -1 && lf < cr) ? lf : cr
      if (end === -1) return this.#hold(text, at)
      this.#endLine(text, at, end)
      at = end + 1
      if (end === cr) {
        if (at === text.length) this.#afterCr = true
        else if (text.charCodeAt(at) === LF) at++
        cr = text.indexOf('\r', at)
      }
    }
  }

  /** Between two events, with nothing of the next one seen. */
  #idle(): boolean {
    return this.#lineBytes === 0 && this.#data.length === 0 && this.#name === ''
  }

  /** Hands over events of the form `data: …`, LF, LF for as long as there are such; returns where they end. */
  #plainEvents(text: string, from: number): number {
    let at = from
    while (text.startsWith('data: ', at)) {
      const end = text.indexOf('\n', at)
      if (end === -1 || text.charCodeAt(end + 1) !== LF) break
      this.#taker.event(text, at + 6, end, '')
      at = end + 2
      this.#begun = true
    }
    return at
  }

  #hold(text: string, at: number): void {
    this.#line.push(at === 0 ? text : text.slice(at))
    this.#lineBytes += text.length - at
    this.#check()
  }

  #endLine(text: string, at: number, end: number): void {
    if (this.#lineBytes === 0) return this.#takeLine(text, at, end)
    this.#line.push(text.slice(at, end))
    const line = this.#line.join('')
    this.#line = []
    this.#lineBytes = 0
    this.#takeLine(line, 0, line.length)
  }

  #takeLine(text: string, from: number, end: number): void {
    const at = this.#begun || !text.startsWith(BYTE_ORDER_MARK, from) ? from : from + BYTE_ORDER_MARK.length
    this.#begun = true
    if (at === end) return this.#dispatch()
    if (text.startsWith('data', at)) {
      const value = valueAt(text, at + 4, end)
      if (value === -1) return
      this.#data.push(text.slice(value, end))
      this.#dataBytes += end - value + 1
      this.#check()
    } else if (text.startsWith('event', at)) {
      const value = valueAt(text, at + 5, end)
      if (value !== -1) this.#name = text.slice(value, end)
    }
    // Everything else is a comment, `id`, `retry` or unknown, none of which means anything here.
  }

  #dispatch(): void {
    const name = this.#name
    this.#name = ''
    if (this.#data.length === 0) return
    const [only = ''] = this.#data
    const data = this.#data.length === 1 ? only : this.#data.join('\n')
    this.#data = []
    this.#dataBytes = 0
    this.#taker.event(data, 0, data.length, name)
  }

  #check(): void {
    if (this.#lineBytes + this.#dataBytes + this.#name.length > this.#limitBytes) {
      throw fail('INFERENCE_FAILED', { internal: 'upstream_event_too_large' })
    }
  }
}

const LF = 10
const COLON = 58
const SPACE = 32

/** Where the value of a field begins whose name ends at `at`; -1 where the name goes on and so is another. */
function valueAt(text: string, at: number, end: number): number {
  if (at >= end) return end
  if (text.charCodeAt(at) !== COLON) return -1
  return at + 1 < end && text.charCodeAt(at + 1) === SPACE ? at + 2 : at + 1
}
