/**
 * A token bucket: holds a minute's worth, refills evenly, and is brought up to date only when somebody looks (no sweeps).
 * Levels are whole numbers of 1/60,000 of a piece, of which `limit` flow in per millisecond: exact, no drift.
 * Invariant: −capacity ≤ level ≤ capacity.
 */
import type { LimitState } from '../core/call.ts'

const MINUTE_MS = 60_000

export class Bucket {
  #limit: number
  #level: number
  #at: number

  /** Full. `limit` is pieces per minute, `at` a whole number of milliseconds that never runs backwards. */
  constructor(limit: number, at: number) {
    this.#limit = limit
    this.#level = limit * MINUTE_MS
    this.#at = at
  }

  /** Brings the bucket up to date; a limit that changed since keeps the share that was left. */
  refill(limit: number, at: number): void {
    const full = this.#limit * MINUTE_MS
    this.#level = Math.min(full, this.#level + (at - this.#at) * this.#limit)
    this.#at = at
    if (limit === this.#limit) return
    this.#level = Math.trunc((this.#level * limit) / this.#limit)
    this.#limit = limit
  }

  /** How long until `pieces` can be taken; 0 is now. More than a minute's worth is taken from a full bucket. */
  waitMs(pieces: number): number {
    const missing = this.#costOf(pieces) - this.#level
    return missing <= 0 ? 0 : Math.ceil(missing / this.#limit)
  }

  /** Takes what `waitMs` said is there. Returns how many pieces were taken, for `correct`. */
  take(pieces: number): number {
    const taken = Math.min(pieces, this.#limit)
    this.#level -= taken * MINUTE_MS
    return taken
  }

  /** Replaces what was taken by what was used. A use beyond the estimate is a debt, of a minute's worth at most. */
  correct(taken: number, used: number): void {
    const full = this.#limit * MINUTE_MS
    this.#level = Math.max(-full, Math.min(full, this.#level + (taken - used) * MINUTE_MS))
  }

  isFull(at: number): boolean {
    return this.#level + (at - this.#at) * this.#limit >= this.#limit * MINUTE_MS
  }

  state(): LimitState {
    return {
      limit: this.#limit,
      remaining: this.#level <= 0 ? 0 : Math.floor(this.#level / MINUTE_MS),
      resetMs: Math.ceil((this.#limit * MINUTE_MS - this.#level) / this.#limit),
    }
  }

  #costOf(pieces: number): number {
    return Math.min(pieces, this.#limit) * MINUTE_MS
  }
}
