/**
 * Moves money: reserves the most that a run can cost, charges what it did cost, gives back the rest. Decides in memory
 * and at once; what is charged is noted down before anybody hears of it, and the store follows within milliseconds.
 * Owns: balances, holds, what keys have spent. Does not own: prices (catalogue), counting (gauges), who pays whom outside.
 * Invariants: each hold ends exactly once. Charged is never more than held, nor less than nothing. No account goes below
 * its credit, no other currency below zero. Every charge is one transfer per currency between two books, so all books of
 * a currency are together always zero.
 */
import { dayOf, dayStartMs } from '../core/book.ts'
import type { CapPeriod, Caller } from '../core/call.ts'
import type { Clock } from '../core/clock.ts'
import { fail } from '../core/errors.ts'
import type { Modality } from '../core/modality.ts'
import { total } from '../core/money.ts'
import type { Amount, Currency, Line } from '../core/money.ts'
import type { Bill, KeySpend, PaidLine, Store, Transfer } from '../core/store.ts'
import { type AccountState, Books, unavailable } from './books.ts'
import { cut } from './cut.ts'
import { Funds } from './funds.ts'
import { clip } from './price.ts'
import {
  type DayPurse,
  type KeyState,
  MAX_AMOUNT,
  type Purse,
  atLeastZero,
  freeIn,
  holdOfKey,
  least as lesser,
  roomOf,
  spendOfKey,
  turnKey,
  within,
} from './purse.ts'
import { refusalOf, tooDear, unpriced } from './refusal.ts'
import { Writer } from './writer.ts'

/** Open holds and settlements not yet written, together: what is remembered, and so what a store that is away can cost. */
export const MAX_UNWRITTEN = 20_000
/** Money that is reserved for a run. To be ended by `settle` or `release`, whichever comes first; the rest is ignored. */
export type Hold = {
  readonly requestId: string
  /** The sum of the three parts: between what was wanted and the least. */
  readonly amount: Amount
  readonly diem: Amount
  readonly bundled: Amount
  readonly usd: Amount
  /** What the account had before this run. Bundled credits are among the dollars. */
  readonly balance: KeySpend
  /** The UTC day it was made on: whose DIEM it takes, and which periods of the key it counts in. */
  readonly day: number
  readonly account: AccountState
  readonly purse: DayPurse
  readonly key: KeyState
  readonly caps: Caller['caps']
  /** What it came to; null while it is open. The ledger's to write. */
  charged: Charge | null
}

/** What a run was charged. Bundled credits are among the dollars. */
export type Charge = { readonly usd: Amount; readonly diem: Amount }

const FREE: Charge = { usd: 0n, diem: 0n }

/** What the usage records say of a run besides its lines. */
export type RunFacts = { readonly model: string; readonly modality: Modality; readonly executionMs: number }

export type LedgerOptions = {
  readonly store: LedgerStore
  readonly clock: Pick<Clock, 'now'>
  /** Told once when settlements can no longer be kept safe, and once when they can again. */
  readonly onStoreAway?: (away: boolean) => void
  /** Told when an engine counted less than nothing or no number, with our own constant word for it. */
  readonly onAlarm?: (what: 'odd_usage') => void
}

export type LedgerStore = Pick<
  Store,
  'account' | 'changeAccount' | 'balance' | 'minted' | 'spentByKey' | 'hasTransfer' | 'usageOf' | 'note' | 'commit'
>

/** What waits to be written, with what must be corrected in memory when it is. */
export type Entry = BillEntry | TransferEntry
type BillEntry = Bill & { readonly hold: Hold; readonly parts: { readonly diem: Amount; readonly bundled: Amount; readonly usd: Amount } }
export type TransferEntry = Transfer & { readonly account: AccountState; readonly purse: Purse; readonly delta: Amount }

/** What an account has, and what of it runs under way hold; what a day is worth in DIEM, and when the next begins. */
export type Balances = Readonly<Record<Currency, { readonly balance: Amount; readonly held: Amount }>> & {
  readonly diemAllowance: Amount
  /** Milliseconds since 1970. */
  readonly nextEpochAt: number
}

export class Ledger {
  readonly #clock: Pick<Clock, 'now'>
  readonly #books: Books
  readonly #writer: Writer<Entry>
  readonly #onAlarm: (what: 'odd_usage') => void
  /** The requests that have an open hold. */
  readonly #open = new Set<string>()
  #closed = false
  #day = 0
  readonly #funds: Funds
  // Money that comes in, is given, taken back or given back, beside what runs cost: see there.
  readonly topUp: Funds['topUp']
  readonly grant: Funds['grant']
  readonly takeBack: Funds['takeBack']
  readonly refund: Funds['refund']
  readonly setAllowance: Funds['setAllowance']
  readonly reload: Funds['reload']

  constructor({ store, clock, onStoreAway = () => undefined, onAlarm = () => undefined }: LedgerOptions) {
    this.#clock = clock
    this.#onAlarm = onAlarm
    this.#writer = new Writer<Entry>({ store, onAway: onStoreAway }, written)
    const between = <T>(work: () => Promise<T>): Promise<T> => this.#writer.between(work)
    this.#books = new Books({ store, between, today: () => this.#today() })
    const funds = new Funds({
      store,
      books: this.#books,
      writer: this.#writer,
      now: () => Math.round(clock.now()),
      today: () => this.#today(),
    })
    this.#funds = funds
    this.topUp = funds.topUp
    this.grant = funds.grant
    this.takeBack = funds.takeBack
    this.refund = funds.refund
    this.setAllowance = funds.setAllowance
    this.reload = funds.reload
  }

  /** How many holds are open, how many settlements wait to be written, and whether they cannot be kept safe at the moment. */
  get status(): { readonly openHolds: number; readonly unwritten: number; readonly storeAway: boolean } {
    return { openHolds: this.#open.size, unwritten: this.#writer.size, storeAway: this.#writer.away }
  }

  /**
   * Reserves what is affordable of `wanted`, at least `least`, for the run with this id, which must never have been used; a
   * promise only where the account or the key is not in memory yet. `wanted` is null where the price is not known, which
   * is refused to accounts that pay. Throws (or rejects with) `INSUFFICIENT_BALANCE`, `API_KEY_USD_SPEND_LIMIT_EXCEEDED`,
   * `API_KEY_DIEM_SPEND_LIMIT_EXCEEDED`, or a 503 where too much is not written yet. A run that costs nothing is always let in.
   */
  hold(requestId: string, caller: Caller, wanted: Amount | null, least: Amount | null = wanted): Hold | Promise<Hold> {
    const account = this.#books.account(caller.accountId)
    const key = this.#books.key(caller.keyId)
    if (account && key) return this.#reserve(requestId, caller, wanted, least, account, key)
    return this.#loadAndReserve(requestId, caller, wanted, least)
  }

  /**
   * Charges the lines of a run, up to what is held, and ends the hold: DIEM pays first, then bundled credits, then dollars,
   * each with what was held of it and what is free by now. Survives the death of the process once this returns. Returns
   * what was charged; on a hold that has ended already it changes nothing and returns what that came to.
   */
  settle(hold: Hold, lines: readonly Line[], facts: RunFacts): Charge {
    if (hold.charged !== null) return hold.charged
    const due = clip(lines, hold.amount)
    this.#end(hold)
    if (due.length === 0) return (hold.charged = FREE)
    const { account, key, purse } = hold
    const parts = this.#partsOf(hold, total(due))
    const { diem, bundled } = parts
    // An allowance that grew during the run pays for it, and is brought in before it does.
    if (diem !== 0n && hold.day === this.#today() && purse === account.diem) this.#funds.fund(account)
    take(purse, diem)
    take(account.bundled, bundled)
    take(account.usd, parts.usd)
    const usd = parts.usd + bundled
    if (usd !== 0n || diem !== 0n) spendOfKey(key, hold.day, usd, diem)
    account.uses++
    key.uses++
    hold.charged = { usd, diem }
    this.#writer.add(billOf(hold, parts, cut(due, parts), facts, Math.round(this.#clock.now())))
    return hold.charged
  }

  /** Gives all of a hold back. On one that has ended already it changes nothing. */
  release(hold: Hold): void {
    if (hold.charged !== null) return
    this.#end(hold)
    hold.charged = FREE
  }

  /** Counts a usage that cannot be: it was taken for nothing. */
  readonly oddUsage = (): void => this.#onAlarm('odd_usage')

  async balances(accountId: string): Promise<Balances> {
    const account = this.#books.account(accountId) ?? (await this.#books.loadAccount(accountId))
    this.#books.turn(account)
    const { diem, bundled, usd, allowanceNano } = account
    return {
      DIEM: { balance: diem.balance, held: diem.held },
      BUNDLED_CREDITS: { balance: bundled.balance, held: bundled.held },
      USD: { balance: usd.balance, held: usd.held },
      diemAllowance: allowanceNano,
      nextEpochAt: dayStartMs(this.#today() + 1),
    }
  }

  /** What a key has spent in the period now, charges that are not written yet among it. Bundled credits count as USD. */
  async spent(keyId: string, period: CapPeriod): Promise<KeySpend> {
    const key = this.#books.key(keyId) ?? (await this.#books.loadKey(keyId))
    turnKey(key, this.#today())
    const { usd, diem } = key[period]
    return { usd, diem }
  }

  /** Forgets what is remembered of a key that no run is under way for: somebody else changed it in the store. */
  invalidateKey(keyId: string): void {
    this.#books.forgetKey(keyId)
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

  async #loadAndReserve(requestId: string, caller: Caller, wanted: Amount | null, least: Amount | null): Promise<Hold> {
    const { account, key } = await this.#books.load(caller.accountId, caller.keyId)
    return this.#reserve(requestId, caller, wanted, least, account, key)
  }

  /** Check and reservation in one synchronous step, so that no two requests ever count on the same money. */
  #reserve(requestId: string, caller: Caller, priced: Amount | null, fewest: Amount | null, account: AccountState, key: KeyState): Hold {
    if (this.#closed) throw fail('SHUTTING_DOWN')
    if (this.#open.size + this.#writer.size >= MAX_UNWRITTEN) throw unavailable('too much is not written yet')
    if ((priced === null || fewest === null) && account.creditNano !== null) throw unpriced()
    const wanted = lesser(priced ?? 0n, MAX_AMOUNT)
    const least = fewest ?? 0n
    if (wanted < 0n || least < 0n) throw fail('UNKNOWN_ERROR', { internal: 'a negative hold' })
    if (least > MAX_AMOUNT) throw tooDear(least)
    this.#books.turn(account)
    const day = this.#today()
    turnKey(key, day)

    const { caps } = caller
    const room = roomOf(key, caps)
    const { diem: purse, bundled: credits, usd: dollars } = account
    const diem = within(lesser(wanted, freeIn(purse)), room.diem)
    const bundled = within(lesser(wanted - diem, freeIn(credits)), room.usd)
    const owed = account.creditNano === null ? null : atLeastZero(dollars.balance - dollars.held + account.creditNano)
    const usd = within(within(wanted - diem - bundled, owed), room.usd === null ? null : room.usd - bundled)
    const amount = diem + bundled + usd
    if (amount < least) throw refusalOf(caller, account, key, least)
    const others = this.#open.size
    // To add and look whether it grew is half the work of looking first.
    if (this.#open.add(requestId).size === others) throw fail('UNKNOWN_ERROR', { internal: 'a hold with this id is open' })

    const balance = { usd: dollars.balance + credits.balance, diem: purse.balance }
    const hold: Hold = { requestId, amount, diem, bundled, usd, balance, day, account, purse, key, caps, charged: null }
    if (diem !== 0n) {
      purse.held += diem
      if (purse.unfunded > 0n) this.#funds.fund(account)
    }
    credits.held += bundled
    dollars.held += usd
    account.uses++
    key.uses++
    if (amount !== 0n) holdOfKey(key, day, bundled + usd, diem)
    return hold
  }

  #end({ requestId, amount, diem, bundled, usd, day, account, purse, key }: Hold): void {
    purse.held -= diem
    account.bundled.held -= bundled
    account.usd.held -= usd
    account.uses--
    key.uses--
    if (amount !== 0n) holdOfKey(key, day, -(bundled + usd), -diem)
    this.#open.delete(requestId)
  }

  /** What each currency pays of a charge. The hold has ended, so what was held is free again, and its own is never short. */
  #partsOf({ diem: ownDiem, bundled: ownBundled, day, account, purse, key, caps }: Hold, charge: Amount): BillEntry['parts'] {
    let diem = ownDiem
    // What is left of a day that is over is for the holds of that day only.
    if (diem < charge && day === this.#today()) {
      const free = within(freeIn(purse), roomOf(key, caps).diem)
      if (free > diem) diem = free
    }
    diem = lesser(diem, charge)
    // No more than its own and the dollars' part of the hold together: both count in one cap.
    const rest = charge - diem
    const free = rest > ownBundled ? freeIn(account.bundled) : 0n
    const bundled = lesser(free > ownBundled ? free : ownBundled, rest)
    return { diem, bundled, usd: rest - bundled }
  }

  /** The UTC day. It never goes back: what a day has been used for would be forgotten. */
  #today(): number {
    const day = dayOf(this.#clock.now())
    if (day > this.#day) this.#day = day
    return this.#day
  }
}

function take(purse: Purse, amount: Amount): void {
  if (amount === 0n) return
  purse.balance -= amount
  purse.pending -= amount
}

/** What the store has is no longer the part of a balance that it does not have. */
function written(entry: Entry): void {
  if (entry.kind !== 'settle') {
    entry.purse.pending -= entry.delta
    entry.account.uses--
    return
  }
  const { hold, parts } = entry
  hold.purse.pending += parts.diem
  hold.account.bundled.pending += parts.bundled
  hold.account.usd.pending += parts.usd
  hold.account.uses--
  hold.key.uses--
}

function billOf(hold: Hold, parts: BillEntry['parts'], lines: readonly PaidLine[], facts: RunFacts, at: number): BillEntry {
  return {
    kind: 'settle',
    requestId: hold.requestId,
    at,
    accountId: hold.account.id,
    keyId: hold.key.id,
    model: facts.model,
    modality: facts.modality,
    // The store takes whole numbers only, and one row that it refuses would hold up all behind it.
    executionMs: Math.max(0, Math.round(facts.executionMs)) || 0,
    diemDay: hold.day,
    lines,
    hold,
    parts,
  }
}
