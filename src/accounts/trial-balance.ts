/** The trial balance: whether all books together are zero, and every kept sum is what it should be; where not, which one. */
import { CURRENCIES, type Amount, type Currency } from '../core/money.ts'
import type { BookSum, Store, Tally } from '../core/store.ts'

/** What the ledger's memory has that no book has yet. */
export type LedgerStatus = { readonly openHolds: number; readonly unwritten: number; readonly storeAway: boolean }

export type TrialBalance = {
  /** Whether every currency sums up to zero and no kept sum differs from what it should be. */
  readonly balanced: boolean
  readonly at: number
  readonly currencies: readonly { readonly currency: Currency; readonly sum: Amount; readonly books: readonly BookSum[] }[]
  readonly tally: Tally
  readonly ledger: LedgerStatus
}

export class TrialBalances {
  readonly #store: Pick<Store, 'tally'>
  readonly #status: () => LedgerStatus
  readonly #now: () => number
  #running: Promise<TrialBalance> | null = null

  constructor(store: Pick<Store, 'tally'>, status: () => LedgerStatus, now: () => number) {
    this.#store = store
    this.#status = status
    this.#now = now
  }

  /** Who asks while one is being made gets that one: it takes as long as the ledger is large. */
  make(): Promise<TrialBalance> {
    this.#running ??= this.#make().finally(() => {
      this.#running = null
    })
    return this.#running
  }

  async #make(): Promise<TrialBalance> {
    const at = Math.round(this.#now())
    const tally = await this.#store.tally()
    const currencies = CURRENCIES.flatMap((currency) => {
      const books = tally.sums.filter((sum) => sum.currency === currency)
      return books.length === 0 ? [] : [{ currency, sum: books.reduce((sum, { balance }) => sum + balance, 0n), books }]
    })
    const balanced = tally.differences.length === 0 && currencies.every(({ sum }) => sum === 0n)
    return { balanced, at, currencies, tally, ledger: this.#status() }
  }
}
