/**
 * The one way from a notice to the ledger, for every source of money.
 * Invariant: nothing but the ledger remembers what was paid. A payment is one transfer under the source's own id, so a notice
 * that comes again, or for the first time after a crash, finds out there what is still to be written.
 */
import { accountOfBook, type Source } from '../core/book.ts'
import type { Clock } from '../core/clock.ts'
import { Failure, fail } from '../core/errors.ts'
import { type Amount, type Currency, formatUsd } from '../core/money.ts'
import type { Payment } from '../core/payment.ts'
import type { Store } from '../core/store.ts'
import type { Funding, NoticeHeaders, Paid, Reversal } from './funding.ts'

/** What the ledger does for this room. */
export type FundingLedger = {
  /**
   * Credits a payment under the transfer id `topup:<source>:<payment id>`; the same again changes nothing. Resolves with the
   * balance in dollars once it is written. Rejects where there is no such account, and where it may not be written.
   */
  topUp(accountId: string, amount: Amount, source: Source, paymentId: string): Promise<Amount>
  /**
   * Takes back under the transfer id `takeback:<id>`, to the book of the source; the same again changes nothing. Rejects with
   * `INSUFFICIENT_BALANCE` where less than that is there and not held; after any other rejection it is off the balance, and
   * the same call again finds out whether it is written.
   */
  takeBack(accountId: string, currency: Currency, amount: Amount, id: string, source: Source): Promise<unknown>
  /** What is there of each currency, and what of it is held by runs under way. */
  balances(accountId: string): Promise<Readonly<Record<Currency, { readonly balance: Amount; readonly held: Amount }>>>
}

export type TillOptions = {
  readonly ledger: FundingLedger
  readonly store: Pick<Store, 'movement' | 'insertAudit'>
  readonly clock: Pick<Clock, 'now'>
}

/** What came of a notice. */
export type Outcome =
  | { readonly type: 'credited'; readonly payment: Payment; readonly balance: Amount }
  | { readonly type: 'reversed' | 'restored'; readonly accountId: string; readonly amount: Amount }
  /** Of no concern here. */
  | { readonly type: 'nothing' }

/** So many are remembered; a database that is away refuses new payments, too. */
const MAX_UNSURE = 1_000
/** Runs end meanwhile and free or take what they held: how often it is looked again at what is there. */
const TAKE_TRIES = 5

const NOTHING: Outcome = { type: 'nothing' }

export class Till {
  readonly #of: TillOptions
  /** Reversals under way: one that comes twice at once is done once. As many as there are requests. */
  readonly #reversing = new Map<string, Promise<Outcome>>()
  /** What was taken back without it being known to be written, by transfer: it is off the balance already. */
  readonly #unsure = new Map<string, Amount>()

  constructor(options: TillOptions) {
    this.#of = options
  }

  /**
   * Confirms a notice and writes what it says; resolves when that is safe. After a rejection the same notice again finishes
   * the job: whoever sends it must not be told that it arrived.
   */
  async take(funding: Funding, payload: Buffer, headers: NoticeHeaders): Promise<Outcome> {
    const notice = await funding.confirm(payload, headers)
    if (!notice) return NOTHING
    return notice.type === 'paid' ? this.credit(notice) : this.#reverseOnce(notice.type, notice.reversal)
  }

  /** Writes a payment; resolves with the balance when that is safe. */
  async credit({ payment }: Paid): Promise<Outcome & { readonly type: 'credited' }> {
    const balance = await this.#of.ledger.topUp(payment.accountId, payment.amount, payment.source, payment.paymentId)
    return { type: 'credited', payment, balance }
  }

  #reverseOnce(type: 'reversed' | 'restored', reversal: Reversal): Promise<Outcome> {
    const key = `${reversal.source}:${reversal.id}`
    // Another of the same reversal is waited for, whatever came of it: the two of a dispute must not cross.
    const turn = (this.#reversing.get(key) ?? Promise.resolve(NOTHING)).catch(() => NOTHING).then(() => this.#reverse(type, reversal))
    this.#reversing.set(key, turn)
    const over = (): void => {
      if (this.#reversing.get(key) === turn) this.#reversing.delete(key)
    }
    turn.then(over, over)
    return turn
  }

  async #reverse(type: 'reversed' | 'restored', reversal: Reversal): Promise<Outcome> {
    const { source, id, paymentId } = reversal
    const credit = await this.#of.store.movement(`topup:${source}:${paymentId}`)
    const accountId = credit && accountOfBook(credit.toBook)
    if (!credit || accountId === null) {
      // A refund that overtook the notice of its payment is to come again after it.
      if (reversal.ours)
        throw fail('PAYMENT_PROVIDER_FAILED', { say: 'The payment is not known here yet', internal: 'refund_before_payment' })
      return NOTHING
    }
    const amount = least(reversal.amount ?? credit.amount, credit.amount)
    const taken = await this.#takeBack(accountId, amount, reversal)
    if (type === 'reversed') return { type, accountId, amount: taken }
    // What was taken is given back, and no more: what was short was never taken.
    if (taken > 0n) await this.#of.ledger.topUp(accountId, taken, source, `${id}:restored`)
    return { type, accountId, amount: taken }
  }

  /**
   * Takes back what is there, up to `amount`, once for each reversal, and writes down what that came to. Resolves with
   * what was taken, also where that was before.
   */
  async #takeBack(accountId: string, amount: Amount, reversal: Reversal): Promise<Amount> {
    const transfer = `${reversal.source}:${reversal.id}`
    const before = await this.#of.store.movement(`takeback:${transfer}`)
    if (before) return before.amount
    for (let tries = 1; ; tries++) {
      const unsure = this.#unsure.get(transfer)
      const taken = unsure ?? least(amount, await this.#free(accountId))
      // Before the deed: it must not be done without a line that says so.
      if (unsure === undefined) await this.#note(accountId, amount, taken, reversal)
      if (taken === 0n) return taken
      try {
        await this.#of.ledger.takeBack(accountId, 'USD', taken, transfer, reversal.source)
        this.#unsure.delete(transfer)
        return taken
      } catch (error) {
        const spent = error instanceof Failure && error.code === 'INSUFFICIENT_BALANCE'
        if (spent) this.#unsure.delete(transfer)
        else if (this.#unsure.size < MAX_UNSURE) this.#unsure.set(transfer, taken)
        if (!spent || tries === TAKE_TRIES) throw error
      }
    }
  }

  /** What no run under way may still come to cost. */
  async #free(accountId: string): Promise<Amount> {
    const { balance, held } = (await this.#of.ledger.balances(accountId)).USD
    return balance > held ? balance - held : 0n
  }

  #note(accountId: string, amount: Amount, taken: Amount, { source, id, paymentId }: Reversal): Promise<void> {
    return this.#of.store.insertAudit({
      at: Math.round(this.#of.clock.now()),
      byKeyId: source,
      action: 'payment.reverse',
      object: accountId,
      details: { paymentId, id, amountUsd: formatUsd(amount), takenUsd: formatUsd(taken), shortUsd: formatUsd(amount - taken) },
    })
  }
}

const least = (a: Amount, b: Amount): Amount => (a < b ? a : b)
