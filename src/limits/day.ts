/** Requests of one UTC day, which begins again at nothing at 00:00 UTC. It goes by the wall clock, because that is what a day is. */
import type { LimitState } from '../core/call.ts'

export const DAY_MS = 86_400_000
const SEED_PAUSE_MS = 1_000

export class Day {
  #limit: number
  #day: number
  #now: number
  #count = 0
  #seeded = false
  #askAgainAt = 0
  /** Is finding out what was counted before this process; null while nobody is. */
  loading: Promise<void> | null = null

  /** `now` is in milliseconds since 1970. */
  constructor(limit: number, now: number) {
    this.#limit = limit
    this.#now = now
    this.#day = Math.floor(now / DAY_MS)
  }

  /** Whether somebody should find out what was counted of this day before this process began, or before this count was forgotten. */
  get wantsSeed(): boolean {
    return !this.#seeded && this.#now >= this.#askAgainAt
  }

  /** The UTC day that is being counted, in days since 1970. */
  get day(): number {
    return this.#day
  }

  /** Brings it up to date. A clock that was set back does not bring yesterday back. */
  update(limit: number, now: number): void {
    this.#limit = limit
    this.#now = now
    const day = Math.floor(now / DAY_MS)
    if (day <= this.#day) return
    this.#day = day
    this.#count = 0
    // Whoever has counted since before midnight has all of the new day.
    this.#seeded = true
  }

  /** What the records say of `day`. Some of what was counted here may be in it, so the larger count stands. */
  seed(count: number, day: number): void {
    if (day === this.#day) this.#count = Math.max(this.#count, count)
    this.#seeded = true
  }

  /** It could not be found out: what was counted here stands alone for a while. */
  seedFailed(): void {
    this.#askAgainAt = this.#now + SEED_PAUSE_MS
  }

  waitMs(): number {
    return this.#count < this.#limit ? 0 : this.#untilMidnightMs()
  }

  take(): void {
    this.#count++
  }

  state(): LimitState {
    return { limit: this.#limit, remaining: Math.max(0, this.#limit - this.#count), resetMs: this.#untilMidnightMs() }
  }

  /** Forgotten, it would have to be asked for again. */
  isAtRest(now: number): boolean {
    return this.#count === 0 || Math.floor(now / DAY_MS) > this.#day
  }

  #untilMidnightMs(): number {
    return Math.max(1, Math.ceil((this.#day + 1) * DAY_MS - this.#now))
  }
}
