/**
 * Requests of the last minute, each by its moment: a new one is admitted when fewer than `limit` were in the 60 s before it.
 * So no 60 s, wherever they begin, ever hold more than `limit`; and who asks at a pace that any 60 s allow is never refused,
 * one who asks evenly at exactly the limit included. What is over is dropped when somebody looks; no sweeps.
 * Invariant: moments lie in the order of time.
 */
import type { LimitState } from '../core/call.ts'

export const MINUTE_MS = 60_000
/** Beyond it moments take too much memory, and `Window` counts by the second instead. */
export const MAX_EXACT = 1_024
const FIRST_PLACES = 8

export class Ring {
  #limit: number
  /** A power of two of places, as many as were needed at once so far. */
  #moments: number[] = []
  #first = 0
  #count = 0
  #now = 0

  /** `limit` is at most `MAX_EXACT`. */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** How many moments there is room for: what it takes of the memory. */
  get places(): number {
    return this.#moments.length
  }

  /** Brings it up to date. `now` never runs backwards. A smaller limit is waited for; nothing that was counted is forgotten. */
  update(limit: number, now: number): void {
    this.#limit = limit
    this.#now = now
    const mask = this.#moments.length - 1
    while (this.#count > 0 && now - (this.#moments[this.#first] ?? now) >= MINUTE_MS) {
      this.#first = (this.#first + 1) & mask
      this.#count--
    }
  }

  /** How long until one more is admitted, if nobody else comes; 0 is now. */
  waitMs(): number {
    const over = this.#count - this.#limit
    return over < 0 ? 0 : Math.max(1, Math.ceil(this.#moment(over) + MINUTE_MS - this.#now))
  }

  /** Counts one, after `waitMs` was 0. */
  take(): void {
    if (this.#count === this.#moments.length) this.#grow()
    this.#moments[(this.#first + this.#count) & (this.#moments.length - 1)] = this.#now
    this.#count++
  }

  /** `resetMs` is until the whole limit is free again. */
  state(): LimitState {
    const resetMs = this.#count === 0 ? 0 : Math.ceil(this.#moment(this.#count - 1) + MINUTE_MS - this.#now)
    return { limit: this.#limit, remaining: Math.max(0, this.#limit - this.#count), resetMs }
  }

  isAtRest(now: number): boolean {
    return this.#count === 0 || now - this.#moment(this.#count - 1) >= MINUTE_MS
  }

  #moment(index: number): number {
    return this.#moments[(this.#first + index) & (this.#moments.length - 1)] ?? this.#now
  }

  #grow(): void {
    const moments: number[] = []
    for (let index = 0; index < this.#count; index++) moments.push(this.#moment(index))
    const places = Math.max(FIRST_PLACES, this.#count * 2)
    while (moments.length < places) moments.push(0)
    this.#moments = moments
    this.#first = 0
  }
}
