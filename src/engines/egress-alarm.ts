/** A limit of time that is set for every request and passes for hardly any. */

/** The longest wait that a timer takes. */
const TIMER_MAX_MS = 2 ** 31 - 1

/**
 * One timer that is set again and again, mostly to the same time: then it is only moved, which costs a tenth of making
 * a new one. It is not taken back when it is no longer needed: who rings checks whether anybody still waits. It keeps
 * no process alive; the socket that is waited for does.
 */
export class Alarm {
  readonly #ring: () => void
  #timer: NodeJS.Timeout | null = null
  #ms = -1

  constructor(ring: () => void) {
    this.#ring = ring
  }

  /** From now on; a time that was set before is void. */
  set(ms: number): void {
    if (this.#timer && ms === this.#ms) {
      this.#timer.refresh()
      return
    }
    if (this.#timer) clearTimeout(this.#timer)
    this.#ms = ms
    this.#timer = setTimeout(this.#ring, Math.min(ms, TIMER_MAX_MS))
    this.#timer.unref()
  }

  /** Never rings again, unless it is set. */
  clear(): void {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
  }
}

/** What waits for an answer: for its first byte, then for each next one. */
export type Waiting = { expired(): void }

/** The limits of the request under way on a connection; they go with the request when it is sent again on another. */
export class Limits {
  readonly #first = new Alarm(() => this.#expire(false))
  readonly #stall = new Alarm(() => this.#expire(true))
  #waiting: Waiting | null = null
  #flowing = false

  start(waiting: Waiting, firstByteMs: number): void {
    this.#waiting = waiting
    this.#flowing = false
    this.#first.set(firstByteMs)
  }

  /** Something came, or somebody is ready for more: the time of silence begins anew. */
  flow(stallMs: number): void {
    this.#flowing = true
    this.#stall.set(stallMs)
  }

  stop(): void {
    this.#waiting = null
  }

  clear(): void {
    this.#waiting = null
    this.#first.clear()
    this.#stall.clear()
  }

  #expire(ofSilence: boolean): void {
    if (this.#flowing === ofSilence) this.#waiting?.expired()
  }
}
