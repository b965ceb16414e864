/**
 * Prices that an operator set, each from a moment on, over those of the configuration.
 * Invariant: nothing is changed once it was set; of several for one unit the one that began last counts, and of those that
 * began together the one that was set last.
 */
import type { Model } from '../core/model.ts'
import type { PriceRow } from '../core/store.ts'
import { withPrices } from './pricing.ts'

/** All that were ever set; more are refused, because every start reads them. */
export const MAX_PRICE_ROWS = 100_000

export class PriceVersions {
  /** By model, in the order of their beginnings. What has been replaced already is dropped. */
  readonly #models = new Map<string, PriceRow[]>()
  #size = 0

  /** How many were ever added. */
  get size(): number {
    return this.#size
  }

  /** Takes rows that were written, in the order that they were. */
  add(rows: readonly PriceRow[]): void {
    this.#size += rows.length
    for (const row of rows) {
      const of = this.#models.get(row.model) ?? []
      // From the end: most begin after all that are there.
      let at = of.length
      while (at > 0 && (of[at - 1]?.startsAt ?? 0) > row.startsAt) at--
      this.#models.set(row.model, of.toSpliced(at, 0, row))
    }
  }

  /** The model as it is sold at this moment; itself where nobody set a price for it. */
  at(model: Model, now: number): Model {
    const rows = this.#models.get(model.id)
    if (!rows) return model
    const current = new Map<string, PriceRow>()
    for (const row of rows) if (row.startsAt <= now) current.set(`${row.unit} ${row.extended}`, row)
    this.#models.set(
      model.id,
      rows.filter((row) => row.startsAt > now || current.get(`${row.unit} ${row.extended}`) === row),
    )
    return current.size === 0 ? model : withPrices(model, current.values())
  }

  /** When the next one begins, in milliseconds since 1970; `Infinity` where none is planned. */
  next(now: number): number {
    let next = Infinity
    for (const rows of this.#models.values()) for (const { startsAt } of rows) if (startsAt > now && startsAt < next) next = startsAt
    return next
  }
}
