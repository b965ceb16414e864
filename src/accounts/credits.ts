/**
 * Credit that the operator gives an account and takes back, each with a reason and an id.
 * Invariant: the same id again moves nothing, and tells what it moved the first time. No take-back leaves less than nothing.
 */
import { accountOfBook } from '../core/book.ts'
import type { Caller } from '../core/call.ts'
import { fail, failField } from '../core/errors.ts'
import { type Amount, type Currency, formatUsd } from '../core/money.ts'
import type { Movement, Store } from '../core/store.ts'
import { noAccount } from './accounts.ts'
import type { Audit } from './audit.ts'

/** What is given and taken back: a stake's DIEM comes by itself. */
export const CREDIT_CURRENCIES = ['USD', 'BUNDLED_CREDITS'] as const satisfies readonly Currency[]
export type CreditCurrency = (typeof CREDIT_CURRENCIES)[number]

/** What the ledger does for this room. */
export type CreditLedger = {
  /** Gives an account credit under the transfer id `grant:<id>`; the same id again changes nothing. Resolves once it is written. */
  grant(accountId: string, currency: CreditCurrency, amount: Amount, id: string): Promise<unknown>
  /** Takes credit back under the transfer id `takeback:<id>`; rejects where less than that is there and not held. */
  takeBack(accountId: string, currency: CreditCurrency, amount: Amount, id: string): Promise<unknown>
  /** Brings what memory has moved and the store does not have yet into the store. Rejects while the store is away. */
  flush(): Promise<void>
  /** What is there of each currency, and what of it is held by runs under way. */
  balances(accountId: string): Promise<AccountBalances>
}

export type AccountBalances = Readonly<Record<Currency, { readonly balance: Amount; readonly held: Amount }>>

export type CreditsOptions = {
  readonly store: Pick<Store, 'account' | 'movement'>
  readonly ledger: CreditLedger
  readonly audit: Audit
}

export type Credit = {
  readonly accountId: string
  readonly currency: CreditCurrency
  /** Positive; of a take-back, `all` is what is there. */
  readonly amount: Amount | 'all'
  /** Whoever retries uses the same one. */
  readonly id: string
  /** The operator's own words. */
  readonly reason: string
}

/** What a credit moved, now or when its id was first used. */
export type Credited = { readonly amount: Amount; readonly repeated: boolean }

export class Credits {
  readonly #options: CreditsOptions
  /** Ids that are at work in this process. Bounded by the requests under way. */
  readonly #busy = new Set<string>()

  constructor(options: CreditsOptions) {
    this.#options = options
  }

  /** Rejects with a 404 for an account that there is not, and a 400 for an id that another credit has. */
  grant(by: Caller, credit: Credit & { readonly amount: Amount }): Promise<Credited> {
    return this.#once(credit, 'grant', async () => {
      const { accountId, currency, amount, id } = credit
      await this.#audited(by, 'credit.grant', credit, amount, () => this.#options.ledger.grant(accountId, currency, amount, id))
      return amount
    })
  }

  /** Likewise, and a 400 that says what is there where that is less. */
  takeBack(by: Caller, credit: Credit): Promise<Credited> {
    return this.#once(credit, 'takeback', async () => {
      const { accountId, currency, id } = credit
      const there = await this.#there(accountId, currency)
      const amount = credit.amount === 'all' ? there : credit.amount
      if (amount > there) {
        throw failField('amountUsd', `is more than what is there: ${formatUsd(there)} of ${currency} can be taken back at the moment`)
      }
      await this.#audited(by, 'credit.take-back', credit, amount, async () => {
        // Of nothing there is no transfer; who asked for all of it has got that.
        if (amount > 0n) await this.#options.ledger.takeBack(accountId, currency, amount, id)
      })
      return amount
    })
  }

  /** What is not held and not owed. */
  async #there(accountId: string, currency: CreditCurrency): Promise<Amount> {
    const { balance, held } = (await this.#options.ledger.balances(accountId))[currency]
    return balance > held ? balance - held : 0n
  }

  #audited<T>(by: Caller, action: string, { accountId, currency, id, reason }: Credit, amount: Amount, deed: () => Promise<T>): Promise<T> {
    return this.#options.audit.done(by, action, accountId, { id, currency, amountUsd: formatUsd(amount), reason }, deed)
  }

  async #once(credit: Credit, kind: 'grant' | 'takeback', move: () => Promise<Amount>): Promise<Credited> {
    const transferId = `${kind}:${credit.id}`
    const { store, ledger } = this.#options
    if (!(await store.account(credit.accountId))) throw noAccount()
    if (this.#busy.has(transferId)) {
      throw fail('MODEL_AT_CAPACITY', {
        say: 'The same credit is being written; ask again',
        retryAfterMs: 1_000,
        internal: 'credit id at work',
      })
    }
    this.#busy.add(transferId)
    try {
      // One that was taken while the store was away is in memory only, and counts as done.
      await ledger.flush()
      const before = await store.movement(transferId)
      if (!before) return { amount: await move(), repeated: false }
      if (!isSame(before, credit, kind)) throw failField('id', 'was used for another credit; a new credit takes a new id')
      return { amount: before.amount, repeated: true }
    } finally {
      this.#busy.delete(transferId)
    }
  }
}

function isSame({ currency, amount, fromBook, toBook }: Movement, credit: Credit, kind: 'grant' | 'takeback'): boolean {
  if (accountOfBook(kind === 'grant' ? toBook : fromBook) !== credit.accountId || currency !== credit.currency) return false
  return credit.amount === 'all' || credit.amount === amount
}
