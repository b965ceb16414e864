/**
 * The store over one SQLite file, for one process: the default, and all that a single server needs.
 * Invariant: no transaction stays open across an `await` once `migrate` is done; everything shares one connection.
 */
import type { DatabaseSync } from 'node:sqlite'
import type { Settlement, Store } from '../../core/store.ts'
import { Accounts } from './accounts.ts'
import { Commits } from './commits.ts'
import { openDatabase, whenFree } from './database.ts'
import { Journal } from './journal.ts'
import { Keys } from './keys.ts'
import { migrate } from './migrate.ts'
import { Movements } from './movements.ts'
import { type QueryBuilder, queryBuilder } from './query-builder.ts'
import { Records } from './records.ts'
import { Statement } from './statement.ts'
import { tally } from './tally.ts'
import { UsageDays } from './usage-days.ts'
import { Usages } from './usage.ts'

/** Opens the database file, creating it where there is none; `:memory:` is one that nobody keeps. Call `migrate` next. */
export async function openSqliteStore(path: string): Promise<Store> {
  return storeOver(await openDatabase(path), path)
}

/** The port, line by line: what is not about the file itself is in the file of its subject. */
function storeOver(db: DatabaseSync, path: string): Store {
  const builder = queryBuilder(db)
  const life = new Life(db, path, builder)
  const accounts = new Accounts(db, builder)
  const keys = new Keys(db, builder)
  const usageDays = new UsageDays(db)
  const usage = new Usages(builder, usageDays)
  const movements = new Movements(db, builder)
  const records = new Records(db, builder)
  return {
    migrate: () => life.migrate(),
    ping: () => life.ping(),
    close: () => life.close(),

    account: (id) => accounts.account(id),
    accountOfWallet: (wallet) => accounts.ofWallet(wallet),
    accounts: (after, limit) => accounts.page(after, limit),
    insertAccount: (row) => accounts.insert(row),
    replaceAccount: (row) => accounts.replace(row),
    changeAccount: (id, fields) => accounts.change(id, fields),
    accountsWithWallet: () => accounts.withWallet(),

    keyByHash: (hash) => keys.byHash(hash),
    key: (id) => keys.key(id),
    keysOf: (accountId) => keys.ofAccount(accountId),
    countKeys: () => keys.count(),
    insertKey: (row) => keys.insert(row),
    replaceKey: (row) => keys.replace(row),
    touchKeys: (uses) => keys.touch(uses),

    balance: (book) => movements.balance(book),
    minted: (book) => movements.minted(book),
    books: () => movements.books(),
    hasTransfer: (id) => movements.has(id),
    movement: (id) => movements.byId(id),
    spentByKey: (keyId, fromDay) => movements.spentByKey(keyId, fromDay),
    spentByKeys: (accountId, fromDay) => movements.spentByKeys(accountId, fromDay),
    note: (settlement) => life.note(settlement),
    commit: (settlements) => life.commit(settlements),
    movements: (accountId, skip, limit) => movements.ofAccount(accountId, skip, limit),
    allMovements: (after, limit) => movements.all(after, limit),
    tally: () => tally(path, db),

    usageOf: (requestId) => usage.ofRequest(requestId),
    usage: (filter, order, skip, limit) => usage.page(filter, order, skip, limit),
    usageAfter: (filter, after, limit) => usage.after(filter, after, limit),
    countUsage: (filter) => usage.count(filter),
    usageDays: (accountId, fromDay, toDay) => usageDays.read(accountId, fromDay, toDay),

    insertRefusals: (rows) => records.insertRefusals(rows),
    refusals: (accountId, limit) => records.refusals(accountId, limit),
    insertAudit: (row) => records.insertAudit(row),
    audit: (before, limit) => records.audit(before, limit),
    insertPrices: (rows) => records.insertPrices(rows),
    prices: () => records.prices(),
    forget: (before) => records.forget(before),
  }
}

/** The file: its schema, what is written to it, its journal, its end. */
class Life {
  readonly #db: DatabaseSync
  readonly #path: string
  readonly #builder: QueryBuilder
  readonly #ping: Statement
  readonly #journal: Journal
  #commits: Commits | null = null

  constructor(db: DatabaseSync, path: string, builder: QueryBuilder) {
    this.#db = db
    this.#path = path
    this.#builder = builder
    this.#ping = new Statement(db, 'select id from book limit 1')
    this.#journal = new Journal(path)
  }

  async migrate(): Promise<void> {
    await migrate(this.#db, this.#builder)
    const commits = (this.#commits ??= new Commits(this.#db, this.#path))
    await this.#journal.open((found) => whenFree(() => commits.write(found)))
  }

  async ping(): Promise<void> {
    await this.#ping.one()
  }

  note(settlement: Settlement): void {
    this.#journal.note(settlement)
  }

  async commit(settlements: readonly Settlement[]): Promise<void> {
    if (settlements.length === 0) return
    if (!this.#commits) throw new Error('commit before migrate')
    this.#journal.turn()
    await this.#commits.write(settlements)
    this.#journal.committed(settlements)
  }

  async close(): Promise<void> {
    if (!this.#db.isOpen) return
    await this.#commits?.close()
    this.#journal.close()
    this.#db.close()
  }
}
