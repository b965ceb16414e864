/** The store port: every read and write the server does, on one page. SQL lives behind it, content never reaches it. */
import type { KeyScope } from './call.ts'
import type { Amount, Line } from './money.ts'
import type { Modality } from './modality.ts'

export type AccountRow = {
  readonly id: string
  readonly name: string
  readonly plan: string
  /** How far below zero the balance may go, in nano-dollars; null is without limit (the operator's own account). */
  readonly creditNano: Amount | null
  readonly createdAt: number
}

export type KeyRow = {
  readonly id: string
  readonly accountId: string
  /** SHA-256 of the key, hexadecimal: the key itself is never kept. */
  readonly hash: string
  readonly last6: string
  readonly scope: KeyScope
  readonly description: string
  readonly spendCapNano: Amount | null
  readonly createdAt: number
  readonly expiresAt: number | null
  readonly revokedAt: number | null
}

/** One movement of money between two books, never changed once written. The same id again writes nothing. */
export type Transfer = {
  /** `topup:<payment id>`: who retries uses the same id. */
  readonly id: string
  readonly at: number
  readonly fromBook: string
  readonly toBook: string
  /** Positive nano-dollars. */
  readonly amount: Amount
  readonly kind: 'topup' | 'adjust'
}

/**
 * What one settled run writes: a transfer under the id `settle:<requestId>`, and its usage line by line. Flat, because one
 * per request waits to be written, and what waits is copied by the garbage collection.
 */
export type Bill = {
  readonly kind: 'settle'
  readonly requestId: string
  readonly at: number
  readonly fromBook: string
  readonly toBook: string
  /** The sum of the lines. Where it is zero no money moves; the usage is kept all the same. */
  readonly amount: Amount
  readonly accountId: string
  readonly keyId: string
  readonly model: string
  readonly modality: Modality
  readonly executionMs: number
  readonly lines: readonly Line[]
}

/** One priced unit of one settled run, as it is read back. */
export type UsageRow = {
  readonly requestId: string
  readonly at: number
  readonly accountId: string
  readonly keyId: string
  readonly model: string
  readonly modality: Modality
  readonly line: Line
  readonly executionMs: number
}

/** What is written together, all of it or nothing. */
export type Settlement = Bill | Transfer

export type RefusalRow = {
  readonly at: number
  readonly accountId: string
  readonly keyId: string
  readonly model: string
  readonly kind: 'RPM' | 'TPM' | 'RPD' | 'FAILED_REQUESTS'
}

/** All sums are of what is committed. Every method rejects when the database is away; none waits for ever. */
export type Store = {
  /** Creates or upgrades the schema. Safe to call at every start, and by several processes at once. */
  migrate(): Promise<void>
  /** Resolves when the database answers. */
  ping(): Promise<void>
  close(): Promise<void>

  account(id: string): Promise<AccountRow | null>
  /** Writes an account that is not there yet; the same id again changes nothing. */
  insertAccount(row: AccountRow): Promise<void>

  keyByHash(hash: string): Promise<KeyRow | null>
  countKeys(): Promise<number>
  /** Writes a key; false, and nothing written, where its id is taken. Rejects where another key has the same hash. */
  insertKey(row: KeyRow): Promise<boolean>
  /** Writes all fields of the key that has this id; nothing where there is none. */
  replaceKey(row: KeyRow): Promise<void>

  /** Balance of one book: what came in minus what went out. */
  balance(book: string): Promise<Amount>
  /** What a key has spent in its lifetime. */
  spentByKey(keyId: string): Promise<Amount>
  /**
   * Applies transfers that are not there yet, with their usage rows, in one transaction; resolves once they would
   * survive a loss of power. A bill of nothing goes by the id of its transfer like any other.
   * After a rejection all of them are written or none: the same call again finds out.
   */
  commit(settlements: readonly Settlement[]): Promise<void>
  /** The usage rows of a request, for support and tests; in the order they were written. */
  usageOf(requestId: string): Promise<UsageRow[]>

  insertRefusals(rows: readonly RefusalRow[]): Promise<void>
  refusals(accountId: string, limit: number): Promise<RefusalRow[]>
}
