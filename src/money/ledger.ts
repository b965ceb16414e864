/**
 * Moves money: reserves the most that a run can cost, charges what it did cost, gives back the rest. Decides in memory
 * and at once; the store follows within milliseconds.
 * Owns: balances, holds, what keys have spent. Does not own: prices (catalogue), counting (gauges), who pays whom outside.
 * Invariants: each hold ends exactly once. Charged is never more than held, nor less than nothing. No account goes
 * below its credit. Every charge is one transfer between two books, so all books together are always zero.
 */
import type { Caller } from '../core/call.ts'
import type { Clock } from '../core/clock.ts'
import { fail } from '../core/errors.ts'
import type { Modality } from '../core/modality.ts'
import { formatUsd, total } from '../core/money.ts'
import type { Amount, Line } from '../core/money.ts'
import type { Bill, Store, Transfer } from '../core/store.ts'
import { BANK, bookOf, Books, REVENUE, unavailable } from './books.ts'
import type { AccountState, KeyState } from './books.ts'
import { clip } from './price.ts'
import { Writer } from './writer.ts'

/** Open holds and settlements not yet written, together: what is remembered, and so what a store that is away can cost. */
export const MAX_UNWRITTEN = 20_000
/** A million dollars: more in one movement is a mistake, and sums stay far from what the store can hold. */
export const MAX_AMOUNT: Amount = 10n ** 15n

/** Money that is reserved for a run. To be ended by `settle` or `release`, whichever comes first; the rest is ignored. */
export type Hold = {
  readonly requestId: string
  readonly amount: Amount
  /** The balance of the account before this run. */
  readonly balance: Amount
  readonly account: AccountState
  readonly key: KeyState
  /** What it came to; null while it is open. The ledger's to write. */
  charged: Amount | null
}

/** What the usage records say of a run besides its lines. */
export type RunFacts = { readonly model: string; readonly modality: Modality; readonly executionMs: number }

export type LedgerOptions = {
  readonly store: Pick<Store, 'account' | 'balance' | 'spentByKey' | 'commit'>
  readonly clock: Pick<Clock, 'now'>
  /** Told once when the store stops taking settlements, and once when it takes them again. */
  readonly onStoreAway?: (away: boolean) => void
}

/** A bill that waits, and whose it is. */
type Entry = Bill & { readonly account: AccountState; readonly key: KeyState }

export class Ledger {
  readonly #clock: Pick<Clock, 'now'>
  readonly #books: Books
  readonly #writer: Writer<Entry>
  readonly #store: LedgerOptions['store']
  /** The requests that have an open hold. */
  readonly #open = new Set<string>()
  #closed = false

  constructor({ store, clock, onStoreAway = () => undefined }: LedgerOptions) {
    this.#store = store
    this.#clock = clock
    this.#writer = new Writer<Entry>({ store, onAway: onStoreAway }, ({ account, key, amount }) => {
      account.unwritten -= amount
      account.uses--
      key.uses--
    })
    this.#books = new Books({ store, between: (work) => this.#writer.between(work) })
  }

  /** How many holds are open, how many settlements wait to be written, and whether the last write failed. */
  get status(): { readonly openHolds: number; readonly unwritten: number; readonly storeAway: boolean } {
    return { openHolds: this.#open.size, unwritten: this.#writer.size, storeAway: this.#writer.away }
  }

  /**
   * Reserves `amount` for the run with this id, which must never have been used; a promise only where the account or the key is
   * not in memory yet. Throws (or rejects with) `INSUFFICIENT_BALANCE`, `API_KEY_USD_SPEND_LIMIT_EXCEEDED`, or a 503
   * where too much is not written yet. A run that costs nothing is always let in.
   */
  hold(requestId: string, caller: Caller, amount: Amount): Hold | Promise<Hold> {
    const account = this.#books.account(caller.accountId)
    const key = this.#books.key(caller.keyId)
    if (account && key) return this.#reserve(requestId, caller, amount, account, key)
    return this.#loadAndReserve(requestId, caller, amount)
  }

  /**
   * Charges the lines of a run, up to what is held, and ends the hold. Returns what was charged. On a hold that has ended
   * already it changes nothing and returns what that came to.
   */
  settle(hold: Hold, lines: readonly Line[], facts: RunFacts): Amount {
    if (hold.charged !== null) return hold.charged
    const paid = clip(lines, hold.amount)
    const charged = total(paid)
    const { account, key } = hold
    this.#end(hold, charged)
    account.balance -= charged
    account.unwritten += charged
    key.spent += charged
    if (paid.length === 0) return charged
    account.uses++
    key.uses++
    this.#writer.add(billOf(hold, charged, paid, facts, Math.round(this.#clock.now())))
    return charged
  }

  /** Gives all of a hold back. On one that has ended already it changes nothing. */
  release(hold: Hold): void {
    if (hold.charged === null) this.#end(hold, 0n)
  }

  /**
   * Puts money on an account; the same payment again changes nothing. Resolves with the balance once it is written; after
   * a rejection the same call again finishes the job.
   */
  async topUp(accountId: string, amount: Amount, paymentId: string): Promise<Amount> {
    if (amount <= 0n || amount > MAX_AMOUNT) {
      throw fail('INVALID_REQUEST', {
        say: `A payment must be more than 0 and at most ${formatUsd(MAX_AMOUNT)} USD`,
        internal: 'top-up amount',
      })
    }
    const transfer: Transfer = {
      id: `topup:${paymentId}`,
      at: Math.round(this.#clock.now()),
      fromBook: BANK,
      toBook: bookOf(accountId),
      amount,
      kind: 'topup',
    }
    return this.#writer.between(async () => {
      if (!(await this.#store.account(accountId)))
        throw fail('INVALID_REQUEST', { say: 'There is no such account', internal: 'top-up account' })
      await this.#writer.writeNow(transfer)
      return this.#books.reread(accountId)
    })
  }

  /** The balance of an account, holds not taken off; a promise only where it is not in memory. */
  balance(accountId: string): Amount | Promise<Amount> {
    const account = this.#books.account(accountId)
    return account ? account.balance : this.#books.loadAccount(accountId).then((loaded) => loaded.balance)
  }

  /** Reads an account again whose credit or balance was changed in the store by somebody else. Resolves with the balance. */
  reload(accountId: string): Promise<Amount> {
    return this.#writer.between(async () => {
      // What is neither queued nor surely written would be counted twice.
      await this.#writer.settleUncertain()
      return this.#books.reread(accountId)
    })
  }

  /** Resolves when everything settled so far is written; rejects when the store is away. */
  flush(): Promise<void> {
    return this.#writer.flush()
  }

  /** Takes no more holds and writes what is left, for a bounded time. Returns how many settlements could not be written. */
  close(): Promise<number> {
    this.#closed = true
    return this.#writer.close()
  }

  async #loadAndReserve(requestId: string, caller: Caller, amount: Amount): Promise<Hold> {
    const { account, key } = await this.#books.load(caller.accountId, caller.keyId)
    return this.#reserve(requestId, caller, amount, account, key)
  }

  /** Check and reservation in one synchronous step, so that no two requests ever count on the same money. */
  #reserve(requestId: string, caller: Caller, amount: Amount, account: AccountState, key: KeyState): Hold {
    if (this.#closed) throw fail('SHUTTING_DOWN')
    if (this.#open.size + this.#writer.size >= MAX_UNWRITTEN) throw unavailable('too much is not written yet')
    if (amount < 0n) throw fail('UNKNOWN_ERROR', { internal: 'a negative hold' })
    if (amount > 0n) checkFunds(caller, amount, account, key)
    const others = this.#open.size
    // To add and look whether it grew is half the work of looking first.
    if (this.#open.add(requestId).size === others) throw fail('UNKNOWN_ERROR', { internal: 'a hold with this id is open' })
    const hold: Hold = { requestId, amount, balance: account.balance, account, key, charged: null }
    account.held += amount
    account.uses++
    key.held += amount
    key.uses++
    return hold
  }

  #end(hold: Hold, charged: Amount): void {
    hold.charged = charged
    hold.account.held -= hold.amount
    hold.account.uses--
    hold.key.held -= hold.amount
    hold.key.uses--
    this.#open.delete(hold.requestId)
  }
}

function checkFunds(caller: Caller, amount: Amount, account: AccountState, key: KeyState): void {
  if (amount > MAX_AMOUNT) {
    throw fail('INSUFFICIENT_BALANCE', {
      say: `This request could cost ${formatUsd(amount)} USD, more than one request may; ask for less output`,
      internal: 'hold above the maximum',
    })
  }
  if (account.creditNano !== null) {
    const available = account.balance - account.held + account.creditNano
    if (amount > available) {
      throw fail('INSUFFICIENT_BALANCE', {
        say: `Insufficient balance: this request may cost up to ${formatUsd(amount)} USD and ${formatUsd(atLeastZero(available))} USD are available. Top up, ask for less output, or wait for requests under way to end`,
        internal: 'balance',
      })
    }
  }
  if (caller.spendCapNano !== null) {
    const left = caller.spendCapNano - key.spent - key.held
    if (amount > left) {
      throw fail('API_KEY_USD_SPEND_LIMIT_EXCEEDED', {
        say: `API key USD spend limit exceeded: this request may cost up to ${formatUsd(amount)} USD and ${formatUsd(atLeastZero(left))} USD of the key's ${formatUsd(caller.spendCapNano)} USD are left`,
        internal: 'spend cap',
      })
    }
  }
}

const atLeastZero = (amount: Amount): Amount => (amount < 0n ? 0n : amount)

function billOf(hold: Hold, amount: Amount, lines: readonly Line[], facts: RunFacts, at: number): Entry {
  const { account, key } = hold
  return {
    kind: 'settle',
    requestId: hold.requestId,
    at,
    fromBook: account.book,
    toBook: REVENUE,
    amount,
    accountId: account.id,
    keyId: key.id,
    model: facts.model,
    modality: facts.modality,
    // The store takes whole numbers only, and one row that it refuses would hold up all behind it.
    executionMs: Math.max(0, Math.round(facts.executionMs)) || 0,
    lines,
    account,
    key,
  }
}
