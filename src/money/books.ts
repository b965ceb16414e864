/**
 * The balances of the accounts in use and what their keys spent, in memory, where they are authoritative: the store
 * follows behind.
 * Invariant: an account or key that has an open hold, or a settlement that is not written yet, is never let go.
 */
import { fail } from '../core/errors.ts'
import type { Amount } from '../core/money.ts'
import type { Store } from '../core/store.ts'

/** How many accounts and keys are remembered, each, beyond those in use right now. */
export const MAX_AT_REST = 10_000
/** How many are looked at for one that is not in use. */
const EVICTION_LOOKS = 8
/** A load that was let go again before it was used is repeated so often. */
const LOAD_TRIES = 3

export type AccountState = {
  readonly id: string
  readonly book: string
  /** What came in minus what was charged, written or not. */
  balance: Amount
  /** The sum of the open holds. */
  held: Amount
  /** The part of what was charged that is not written yet. */
  unwritten: Amount
  /** How far below zero it may go; null is without limit. */
  creditNano: Amount | null
  /** Open holds and settlements that are not written yet. */
  uses: number
}

export type KeyState = { readonly id: string; spent: Amount; held: Amount; uses: number }

/** The name of an account's book in the store. */
export const bookOf = (accountId: string): string => `account:${accountId}`
/** Where charges go, and where top-ups come from. */
export const REVENUE = 'revenue'
export const BANK = 'bank'

export type BooksOptions = {
  readonly store: Pick<Store, 'account' | 'balance' | 'spentByKey'>
  /** Runs reads of the store while nothing is being written to it. */
  readonly between: <T>(work: () => Promise<T>) => Promise<T>
}

export class Books {
  readonly #store: BooksOptions['store']
  readonly #between: BooksOptions['between']
  readonly #accounts = new Map<string, AccountState>()
  readonly #keys = new Map<string, KeyState>()

  constructor({ store, between }: BooksOptions) {
    this.#store = store
    this.#between = between
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

  /**
   * Reads an account again that something else changed: its credit, or money that came in. To be called between
   * writes, when what the store says and what is not written yet add up to the truth.
   */
  async reread(id: string): Promise<Amount> {
    const account = this.#accounts.get(id)
    if (!account) return this.#store.balance(bookOf(id))
    const [row, balance] = await Promise.all([this.#store.account(id), this.#store.balance(bookOf(id))])
    if (row) account.creditNano = row.creditNano
    account.balance = balance - account.unwritten
    return account.balance
  }

  async #loadAccount(id: string): Promise<void> {
    if (this.#accounts.has(id)) return
    const [row, balance] = await ofStore(Promise.all([this.#store.account(id), this.#store.balance(bookOf(id))]))
    if (!row) throw fail('AUTHENTICATION_FAILED', { internal: 'the account of a key is not there' })
    if (this.#accounts.size >= MAX_AT_REST) letOneGo(this.#accounts)
    this.#accounts.set(id, { id, book: bookOf(id), balance, held: 0n, unwritten: 0n, creditNano: row.creditNano, uses: 0 })
  }

  async #loadKey(id: string): Promise<void> {
    if (this.#keys.has(id)) return
    const spent = await ofStore(this.#store.spentByKey(id))
    if (this.#keys.size >= MAX_AT_REST) letOneGo(this.#keys)
    this.#keys.set(id, { id, spent, held: 0n, uses: 0 })
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
