/** What may be used once: remembered until it would be refused for its age anyway. */
import type { Clock } from '../core/clock.ts'
import { fail } from '../core/errors.ts'

export type UsedOnceBounds = {
  /** How long each is remembered, in milliseconds: at least as long as it would be taken. */
  readonly keepMs: number
  /** How many are remembered of one owner, and of all. */
  readonly perOwner: number
  readonly total: number
}

const RETRY_MS = 5_000

/**
 * Invariant: what was used is not forgotten before its time. Where memory would grow beyond the bounds, new ones are
 * refused instead.
 */
export class UsedOnce {
  readonly #clock: Pick<Clock, 'tick'>
  readonly #bounds: UsedOnceBounds
  /** By owner and name: the tick at which it is forgotten. The oldest first, because all are kept equally long. */
  readonly #used = new Map<string, { readonly until: number; readonly owner: string }>()
  readonly #ofOwner = new Map<string, number>()

  constructor(clock: Pick<Clock, 'tick'>, bounds: UsedOnceBounds) {
    this.#clock = clock
    this.#bounds = bounds
  }

  /** Uses a name of this owner: false where it was used before. Throws `RATE_LIMIT_EXCEEDED` where no more can be remembered. */
  use(owner: string, name: string): boolean {
    const tick = this.#clock.tick()
    this.#forget(tick)
    // No owner has a blank in it, so that no two pairs are the same text.
    const key = `${owner} ${name}`
    if (this.#used.has(key)) return false
    const count = this.#ofOwner.get(owner) ?? 0
    if (count >= this.#bounds.perOwner || this.#used.size >= this.#bounds.total)
      throw fail('RATE_LIMIT_EXCEEDED', { internal: 'nonces_full', retryAfterMs: RETRY_MS })
    this.#used.set(key, { until: tick + this.#bounds.keepMs, owner })
    this.#ofOwner.set(owner, count + 1)
    return true
  }

  get size(): number {
    return this.#used.size
  }

  #forget(tick: number): void {
    for (const [key, { until, owner }] of this.#used) {
      if (until > tick) return
      this.#used.delete(key)
      const count = (this.#ofOwner.get(owner) ?? 1) - 1
      if (count > 0) this.#ofOwner.set(owner, count)
      else this.#ofOwner.delete(owner)
    }
  }
}
