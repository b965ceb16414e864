/**
 * The purses of the accounts in use and what their keys spent, in memory, where they are authoritative: the store
 * follows behind.
 * Invariant: an account or key that has an open hold, or a settlement that is not written yet, is never let go.
 */
import { fail } from '../core/errors.ts'
import type { Amount } from '../core/money.ts'
import type { Store } from '../core/store.ts'
import { type DayPurse, type KeyState, type Purse, allow, dayPurseOf, meterOf, periodStart, purseOf } from './purse.ts'

/** How many accounts and keys are remembered, each, beyond those in use right now. */
export const MAX_AT_REST = 10_000
/** How many are looked at for one that is not in use. */
const EVICTION_LOOKS = 8
/** A load that was let go again before it was used is repeated so often. */
const LOAD_TRIES = 3

export type AccountState = {
  readonly id: string
  readonly usd: Purse
  readonly bundled: Purse
  /** Of the day now; holds keep that of theirs. */
  diem: DayPurse
  /** What each day is worth. */
  allowanceNano: Amount
  /** How far below zero the dollars may go; null is without limit. */
  creditNano: Amount | null
  /** Open holds and settlements that are not written yet. */
  uses: number
}

export type BooksStore = Pick<Store, 'account' | 'balance' | 'minted' | 'spentByKey'>

export type BooksOptions = {
  readonly store: BooksStore
  /** Runs reads of the store while nothing is being written to it. */
  readonly between: <T>(work: () => Promise<T>) => Promise<T>
  /** The UTC day, which never goes back. */
  readonly today: () => number
}

export class Books {
  readonly #store: BooksStore
  readonly #between: BooksOptions['between']
  readonly #today: () => number
  readonly #accounts = new Map<string, AccountState>()
  readonly #keys = new Map<string, KeyState>()

  constructor({ store, between, today }: BooksOptions) {
    this.#store = store
    this.#between = between
    this.#today = today
  }

  get accounts(): Iterable<AccountState> {
    return this.#accounts.values()
  }

  account(id: string): AccountState | undefined {
    return this.#accounts.get(id)
  }

  key(id: string): KeyState | undefined {
    return this.#keys.get(id)
  }

  /** Both, loaded where they are not there yet. Rejects with a 503 where the store is away. */
  async load(accountId: string, keyId: string): Promise<{ account: AccountState; key: KeyState }> {
    for (let tries = 0; tries < LOAD_TRIES; tries++) {
      const account = this.#accounts.get(accountId)
      const key = this.#keys.get(keyId)
      if (account && key) return { account, key }
      await this.#between(async () => {
        await this.#loadAccount(accountId)
        await this.#loadKey(keyId)
      })
    }
    throw unavailable('books are crowded')
  }

  async loadAccount(id: string): Promise<AccountState> {
    for (let tries = 0; tries < LOAD_TRIES; tries++) {
      const account = this.#accounts.get(id)
      if (account) return account
      await this.#between(() => this.#loadAccount(id))
    }
    throw unavailable('books are crowded')
  }

  async loadKey(id: string): Promise<KeyState> {
    for (let tries = 0; tries < LOAD_TRIES; tries++) {
      const key = this.#keys.get(id)
      if (key) return key
      await this.#between(() => this.#loadKey(id))
    }
    throw unavailable('books are crowded')
  }

  /**
   * Reads an account again that something else changed: its credit, its allowance, or money that came in. To be called
   * between writes, when what the store says and what is not written yet add up to the truth.
   */
  async reread(id: string): Promise<AccountState> {
    const account = this.#accounts.get(id)
    if (!account) return this.#loadAccount(id)
    this.turn(account)
    const { diem, usd, bundled } = account
    const [row, ...stored] = await ofStore(
      Promise.all([
        this.#store.account(id),
        this.#store.balance(usd.book),
        this.#store.balance(bundled.book),
        this.#store.balance(diem.book),
      ]),
    )
    const purses = [usd, bundled, diem]
    purses.forEach((purse, i) => {
      purse.balance = (stored[i] ?? 0n) + purse.pending
    })
    diem.balance += diem.unfunded
    if (row) {
      account.creditNano = row.creditNano
      account.allowanceNano = row.diemAllowanceNano
      allow(account.diem, account.allowanceNano)
    }
    return account
  }

  /** Begins a new day for an account that was last used before it. */
  turn(account: AccountState): void {
    const day = this.#today()
    // Nothing can be in the new day's book: whatever goes there goes through this account.
    if (account.diem.day < day) account.diem = dayPurseOf(account.id, day, account.allowanceNano, 0n, 0n)
  }

  /** Forgets what a key spent, unless it is in use: the next request reads it from the store. */
  forgetKey(id: string): void {
    if (this.#keys.get(id)?.uses === 0) this.#keys.delete(id)
  }

  async #loadAccount(id: string): Promise<AccountState> {
    const known = this.#accounts.get(id)
    if (known) return known
    const day = this.#today()
    const usd = purseOf(id, 'USD', 0n)
    const bundled = purseOf(id, 'BUNDLED_CREDITS', 0n)
    const { book } = dayPurseOf(id, day, 0n, 0n, 0n)
    const [row, usdStored, bundledStored, diemStored, minted] = await ofStore(
      Promise.all([
        this.#store.account(id),
        this.#store.balance(usd.book),
        this.#store.balance(bundled.book),
        this.#store.balance(book),
        this.#store.minted(book),
      ]),
    )
    if (!row) throw fail('AUTHENTICATION_FAILED', { internal: 'the account of a key is not there' })
    usd.balance = usdStored
    bundled.balance = bundledStored
    const { creditNano, diemAllowanceNano: allowanceNano } = row
    const diem = dayPurseOf(id, day, allowanceNano, diemStored, minted)
    const account: AccountState = { id, usd, bundled, diem, allowanceNano, creditNano, uses: 0 }
    if (this.#accounts.size >= MAX_AT_REST) letOneGo(this.#accounts)
    this.#accounts.set(id, account)
    return account
  }

  async #loadKey(id: string): Promise<void> {
    if (this.#keys.has(id)) return
    const day = this.#today()
    const month = periodStart('MONTH', day)
    const [today, thisMonth, all] = await ofStore(Promise.all([day, month, 0].map((from) => this.#store.spentByKey(id, from))))
    if (!today || !thisMonth || !all) throw unavailable('the store did not answer for a key')
    if (this.#keys.size >= MAX_AT_REST) letOneGo(this.#keys)
    this.#keys.set(id, { id, EPOCH: meterOf(day, today), MONTH: meterOf(month, thisMonth), LIFETIME: meterOf(0, all), uses: 0 })
  }
}

/** The store is away, or holds more than it should: nothing that the caller did, and soon over. */
export const unavailable = (internal: string) =>
  fail('MODEL_AT_CAPACITY', {
    say: 'The server cannot account for more requests at the moment; try again shortly',
    retryAfterMs: 1_000,
    internal,
  })

/** Why the store failed is for its own log: a driver's message may say anything. */
async function ofStore<T>(read: Promise<T>): Promise<T> {
  try {
    return await read
  } catch {
    throw unavailable('the store did not answer for an account')
  }
}

/** The first that is not in use; those that are move to the end. Where all are, the map grows: uses are bounded. */
function letOneGo(map: Map<string, { uses: number; id: string }>): void {
  let looks = 0
  for (const [id, state] of map) {
    map.delete(id)
    if (state.uses === 0) return
    map.set(id, state)
    if (++looks === EVICTION_LOOKS) return
  }
}
