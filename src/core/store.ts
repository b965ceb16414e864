/** The store port: every read and write the server does, on one page. SQL lives behind it, content never reaches it. */
import type { KeyScope, ModelPrivacy, SpendCaps } from './call.ts'
import type { Amount, Currency, Line } from './money.ts'
import type { Modality } from './modality.ts'
import type { Unit } from './usage.ts'

export type AccountRow = {
  readonly id: string
  readonly name: string
  readonly plan: string
  /** How far below zero the balance may go, in nano-dollars; null is without limit (the operator's own account). */
  readonly creditNano: Amount | null
  /** The DIEM it may spend each UTC day, in nano-dollars; 0 where nothing is staked. */
  readonly diemAllowanceNano: Amount
  /** The wallet that its stake and its sign-in are known by, in lower case; null where there is none. No two share one. */
  readonly wallet: string | null
  readonly createdAt: number
  /** From then on its keys are refused; null while it is open. */
  readonly closedAt: number | null
}

export type KeyRow = {
  readonly id: string
  readonly accountId: string
  /** SHA-256 of the key, hexadecimal: the key itself is never kept. */
  readonly hash: string
  readonly last6: string
  readonly scope: KeyScope
  readonly description: string
  readonly caps: SpendCaps
  /** The cap in a currency of former days, which is shown and never reached. */
  readonly capVcuNano: Amount | null
  readonly modelPrivacy: ModelPrivacy
  /** The only models it may use, by id; null is all. */
  readonly models: readonly string[] | null
  readonly createdAt: number
  readonly expiresAt: number | null
  readonly revokedAt: number | null
  readonly lastUsedAt: number | null
}

/** One movement of money between two books of one currency, never changed once written. The same id again writes nothing. */
export type Transfer = {
  /** `topup:<source>:<payment id>`, `grant:<id>`, `epoch:<account>:<day>`, …: who retries uses the same id. */
  readonly id: string
  readonly at: number
  readonly currency: Currency
  readonly fromBook: string
  readonly toBook: string
  /** Positive nano-dollars. */
  readonly amount: Amount
  readonly kind: TransferKind
}

/** Money paid in, given or taken back by the operator, the day's allowance of DIEM, or given back for a charge. */
export type TransferKind = 'topup' | 'grant' | 'takeback' | 'allowance' | 'refund'

/** A line of a bill, in the currency that paid for it. Where several did, a line becomes several. */
export type PaidLine = Line & { readonly currency: Currency }

/**
 * What one settled run writes: a transfer per currency that paid, under the ids `settle:<requestId>:<currency>`, and its
 * usage line by line. Flat, because one per request waits to be written, and what waits is copied by the garbage collection.
 */
export type Bill = {
  readonly kind: 'settle'
  readonly requestId: string
  readonly at: number
  readonly accountId: string
  readonly keyId: string
  readonly model: string
  readonly modality: Modality
  readonly executionMs: number
  /** The UTC day whose allowance DIEM was taken from, as days since 1970: a run may end after midnight. */
  readonly diemDay: number
  /** Where they come to nothing no money moves; the usage is kept all the same. */
  readonly lines: readonly PaidLine[]
}

/** One priced unit of one settled run, as it is read back. */
export type UsageRow = {
  readonly requestId: string
  readonly at: number
  readonly accountId: string
  readonly keyId: string
  readonly model: string
  readonly modality: Modality
  readonly line: PaidLine
  readonly executionMs: number
}

/** Which usage of an account is wanted: from `from` on and before `to`, in ms since 1970; null is without bound. */
export type UsageFilter = {
  readonly accountId: string
  readonly currency: Currency | null
  readonly from: number | null
  readonly to: number | null
}

/** A place in an account's usage: what comes after it in the order of time, or before it. Opaque to callers. */
export type UsagePlace = { readonly at: number; readonly seq: number; readonly line: number }

/** A row of a statement: with the tokens of its whole run, which rows on other pages and in other currencies tell of too. */
export type UsageEntry = UsageRow & { readonly promptTokens: number; readonly completionTokens: number }

export type UsagePage = { readonly rows: readonly UsageEntry[] /** Null where there is no more. */; readonly next: UsagePlace | null }

/** The sum of one UTC day, key, model, unit and currency, written together with the usage that it sums up. */
export type UsageDay = {
  /** Days since 1970. */
  readonly day: number
  readonly keyId: string
  readonly model: string
  readonly modality: Modality
  readonly unit: Unit
  readonly currency: Currency
  readonly count: number
  readonly amount: Amount
  readonly requests: number
}

/** What a key has spent, in nano-dollars. Bundled credits count as USD. */
export type KeySpend = { readonly usd: Amount; readonly diem: Amount }

/** What is written together, all of it or nothing. */
export type Settlement = Bill | Transfer

export type BookRow = { readonly id: string; readonly currency: Currency; readonly balance: Amount }

/** One movement as it is read back, newest first. A charge is the sum of a run in one currency. */
export type Movement = {
  readonly seq: number
  readonly id: string
  readonly at: number
  readonly kind: TransferKind | 'settle'
  readonly currency: Currency
  readonly fromBook: string
  readonly toBook: string
  readonly amount: Amount
  /** Of a charge only. */
  readonly requestId: string | null
  readonly model: string | null
}

/** The books of one name, or of one kind where every account has one (`account:*`), added up. */
export type BookSum = {
  readonly currency: Currency
  readonly books: string
  readonly count: number
  /** What is kept as their balances, and what their transfers come to. */
  readonly balance: Amount
  readonly recomputed: Amount
}

/** A sum that is kept and what it should be. */
export type Difference = {
  /**
   * A book, a charge that its usage does not come to, all charges of a currency, a day of an account, a key; or a transfer
   * between currencies.
   */
  readonly what: 'book' | 'charge' | 'usage' | 'day' | 'key' | 'currency'
  readonly id: string
  readonly currency: Currency
  readonly kept: Amount
  readonly recomputed: Amount
}

/** Everything that was ever written, added up anew, next to the sums that are kept: of one moment. */
export type Tally = {
  readonly transfers: number
  readonly usageRows: number
  readonly sums: readonly BookSum[]
  /** The first hundred; `leftOut` counts the others. */
  readonly differences: readonly Difference[]
  readonly leftOut: number
}

export type RefusalRow = {
  readonly at: number
  readonly accountId: string
  readonly keyId: string
  readonly model: string
  readonly kind: 'RPM' | 'TPM' | 'RPD' | 'FAILED_REQUESTS' | 'UNSUPPORTED_FEATURE_REQUESTS'
}

/** What an administrator did: ids, names of fields and numbers; no key and no content. Never changed. */
export type AuditRow = {
  readonly at: number
  readonly byKeyId: string
  /** Such as `account.create`, `credit.grant`, `key.revoke`, `price.set`. */
  readonly action: string
  /** The id of what it was done to. */
  readonly object: string
  readonly details: Readonly<Record<string, string | number | boolean | null>>
}

/** The price of one unit of a model from a moment on, instead of the configuration's. Never changed; a later one replaces it. */
export type PriceRow = {
  readonly id: string
  readonly model: string
  readonly unit: Unit
  readonly priceNano: number
  /** Whether it is the rate above the model's context threshold. */
  readonly extended: boolean
  readonly startsAt: number
  readonly createdAt: number
}

/** All sums are of what is committed. Every method rejects when the database is away; none waits for ever. */
export type Store = {
  /** Creates or upgrades the schema, and commits what `note` kept. Safe to call at every start, and by several processes at once. */
  migrate(): Promise<void>
  /** Resolves when the database answers. */
  ping(): Promise<void>
  close(): Promise<void>

  account(id: string): Promise<AccountRow | null>
  accountOfWallet(wallet: string): Promise<AccountRow | null>
  /** In the order of their ids, those after `after`. */
  accounts(after: string | null, limit: number): Promise<AccountRow[]>
  /** Writes an account that is not there yet; false, and nothing changed, where its id or wallet is taken. */
  insertAccount(row: AccountRow): Promise<boolean>
  /** Writes all fields of the account that has this id; nothing where there is none. */
  replaceAccount(row: AccountRow): Promise<void>
  /**
   * Writes these fields of an account and leaves the others, so that two who change different ones lose nothing. Resolves with
   * the account as it is then, null where there is none; rejects where its wallet is another's.
   */
  changeAccount(id: string, fields: Partial<Omit<AccountRow, 'id' | 'createdAt'>>): Promise<AccountRow | null>
  /** The accounts that have a wallet, for the reader of stakes. */
  accountsWithWallet(): Promise<AccountRow[]>

  keyByHash(hash: string): Promise<KeyRow | null>
  key(id: string): Promise<KeyRow | null>
  /** Those of an account that are not revoked, newest first. */
  keysOf(accountId: string): Promise<KeyRow[]>
  countKeys(): Promise<number>
  /** Writes a key; false, and nothing written, where its id is taken. Rejects where another key has the same hash. */
  insertKey(row: KeyRow): Promise<boolean>
  /** Writes all fields of the key that has this id but the last use; nothing where there is none. */
  replaceKey(row: KeyRow): Promise<void>
  /** Moves the last uses of keys forward, never back. */
  touchKeys(uses: readonly { readonly keyId: string; readonly at: number }[]): Promise<void>

  /** Balance of one book: what came in minus what went out; 0 for one that nobody wrote to. */
  balance(book: string): Promise<Amount>
  /** What the transfers of kind `allowance` brought into a book. */
  minted(book: string): Promise<Amount>
  books(): Promise<BookRow[]>
  /** Whether there is a transfer with this id. */
  hasTransfer(id: string): Promise<boolean>
  /** What a key has spent from this UTC day (days since 1970) on; from 0 on it is all. */
  spentByKey(keyId: string, fromDay: number): Promise<KeySpend>
  /** What all keys of an account have spent from this UTC day on, by key. */
  spentByKeys(accountId: string, fromDay: number): Promise<ReadonlyMap<string, KeySpend>>
  /**
   * Writes down a settlement so that it survives the death of this process (not of the machine) until it is committed.
   * Synchronous, a few microseconds. Throws where that cannot be done: a full disk, say.
   */
  note(settlement: Settlement): void
  /**
   * Applies transfers that are not there yet, with their usage rows and daily sums, in one transaction; resolves once
   * they would survive a loss of power. A bill of nothing goes by the id of its transfer like any other.
   * After a rejection all of them are written or none: the same call again finds out.
   */
  commit(settlements: readonly Settlement[]): Promise<void>
  /** The usage rows of a request, for support and tests; in the order they were written. */
  usageOf(requestId: string): Promise<UsageRow[]>
  /** A page of an account's usage by time. `skip` rows are left out first. */
  usage(filter: UsageFilter, order: 'asc' | 'desc', skip: number, limit: number): Promise<readonly UsageEntry[]>
  /** The page that begins after `after`, in the order of time. */
  usageAfter(filter: UsageFilter, after: UsagePlace | null, limit: number): Promise<UsagePage>
  countUsage(filter: UsageFilter): Promise<number>
  /** Daily sums of an account, both days included. */
  usageDays(accountId: string, fromDay: number, toDay: number): Promise<UsageDay[]>
  /** What moved in and out of the books of an account, newest first. */
  movements(accountId: string, skip: number, limit: number): Promise<Movement[]>
  /** One by its id; null where there is none. */
  movement(id: string): Promise<Movement | null>
  /** Every movement there is, oldest first, those after `after`: the export. */
  allMovements(after: number, limit: number): Promise<Movement[]>
  /** Adds everything up anew, beside whatever else is going on. Takes as long as there is much; ask for one at a time. */
  tally(): Promise<Tally>

  insertRefusals(rows: readonly RefusalRow[]): Promise<void>
  refusals(accountId: string, limit: number): Promise<RefusalRow[]>

  insertAudit(row: AuditRow): Promise<void>
  /** Newest first; those before `before`, by their place. */
  audit(before: number | null, limit: number): Promise<(AuditRow & { readonly seq: number })[]>

  insertPrices(rows: readonly PriceRow[]): Promise<void>
  /** All that was ever set, oldest first. */
  prices(): Promise<PriceRow[]>

  /** Forgets refusals and audit lines older than these moments, in slices. Returns how many rows went. */
  forget(before: { readonly refusals: number; readonly audit: number }): Promise<number>
}
