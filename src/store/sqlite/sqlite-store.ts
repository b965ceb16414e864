/**
 * The store over one SQLite file, for one process: the default, and all that a single server needs.
 * Invariant: no transaction stays open across an `await` once `migrate` is done; everything shares one connection.
 */
import type { DatabaseSync } from 'node:sqlite'
import { Kysely, SqliteDialect } from 'kysely'
import { Migrator } from 'kysely/migration'
import type { Selectable } from 'kysely'
import type { AccountRow, KeyRow, RefusalRow, Settlement, Store, UsageRow } from '../../core/store.ts'
import type { Amount } from '../../core/money.ts'
import type { Schema } from '../schema.ts'
import { forKysely, openDatabase, whenFree } from './database.ts'
import { Commits, settleId } from './commits.ts'
import { provider } from './migrations.ts'

/** Opens the database file, creating it where there is none; `:memory:` is one that nobody keeps. Call `migrate` next. */
export async function openSqliteStore(path: string): Promise<Store> {
  return new SqliteStore(await openDatabase(path), path)
}

class SqliteStore implements Store {
  readonly #db: DatabaseSync
  readonly #path: string
  readonly #kysely: Kysely<Schema>
  #commits: Commits | null = null

  constructor(db: DatabaseSync, path: string) {
    this.#db = db
    this.#path = path
    this.#kysely = new Kysely<Schema>({ dialect: new SqliteDialect({ database: forKysely(db) }) })
  }

  /** All steps in one transaction, which also keeps other processes out: SQLite's DDL rolls back like any write. */
  async migrate(): Promise<void> {
    await whenFree(() => this.#db.exec('begin immediate'))
    try {
      const { error } = await new Migrator({ db: this.#kysely, provider }).migrateToLatest()
      if (error) throw error instanceof Error ? error : new Error('the migration failed')
      this.#db.exec('commit')
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('rollback')
      throw error
    }
    this.#commits ??= new Commits(this.#db, this.#path)
  }

  async ping(): Promise<void> {
    await this.#kysely.selectFrom('book').select('id').limit(1).execute()
  }

  async close(): Promise<void> {
    if (!this.#db.isOpen) return
    await this.#commits?.close()
    await this.#kysely.destroy()
    this.#db.close()
  }

  async account(id: string): Promise<AccountRow | null> {
    const row = await this.#kysely.selectFrom('account').selectAll().where('id', '=', id).executeTakeFirst()
    if (!row) return null
    return { id: row.id, name: row.name, plan: row.plan, creditNano: row.credit_nano, createdAt: Number(row.created_at) }
  }

  async insertAccount(row: AccountRow): Promise<void> {
    await this.#kysely
      .insertInto('account')
      .values({ id: row.id, name: row.name, plan: row.plan, credit_nano: row.creditNano, created_at: BigInt(row.createdAt) })
      .onConflict((conflict) => conflict.column('id').doNothing())
      .execute()
  }

  async keyByHash(hash: string): Promise<KeyRow | null> {
    const row = await this.#kysely.selectFrom('api_key').selectAll().where('hash', '=', hash).executeTakeFirst()
    return row ? fromKeyTable(row) : null
  }

  async countKeys(): Promise<number> {
    const row = await this.#kysely
      .selectFrom('api_key')
      .select(({ fn }) => fn.countAll<bigint>().as('count'))
      .executeTakeFirstOrThrow()
    return Number(row.count)
  }

  async insertKey(row: KeyRow): Promise<boolean> {
    const result = await this.#kysely
      .insertInto('api_key')
      .values(toKeyTable(row))
      .onConflict((conflict) => conflict.column('id').doNothing())
      .executeTakeFirst()
    return result.numInsertedOrUpdatedRows === 1n
  }

  async replaceKey(row: KeyRow): Promise<void> {
    await this.#kysely.updateTable('api_key').set(toKeyTable(row)).where('id', '=', row.id).execute()
  }

  async balance(book: string): Promise<Amount> {
    const row = await this.#kysely.selectFrom('book').select('balance').where('id', '=', book).executeTakeFirst()
    return row?.balance ?? 0n
  }

  async spentByKey(keyId: string): Promise<Amount> {
    const row = await this.#kysely.selectFrom('key_spend').select('spent').where('key_id', '=', keyId).executeTakeFirst()
    return row?.spent ?? 0n
  }

  async commit(settlements: readonly Settlement[]): Promise<void> {
    if (settlements.length === 0) return
    if (!this.#commits) throw new Error('commit before migrate')
    await this.#commits.write(settlements)
  }

  async usageOf(requestId: string): Promise<UsageRow[]> {
    const rows = await this.#kysely
      .selectFrom('usage_record')
      .innerJoin('transfer', 'transfer.seq', 'usage_record.transfer_seq')
      .innerJoin('usage_kind', 'usage_kind.seq', 'usage_record.kind_seq')
      .select('transfer.at')
      .selectAll('usage_kind')
      .select(['count', 'usage_record.amount', 'execution_ms'])
      .where('transfer.id', '=', settleId(requestId))
      .orderBy('line')
      .execute()
    return rows.map((row) => ({
      requestId,
      at: Number(row.at),
      accountId: row.account_id,
      keyId: row.key_id,
      model: row.model,
      modality: row.modality,
      line: { unit: row.unit, count: Number(row.count), priceNano: Number(row.price_nano), amount: row.amount },
      executionMs: Number(row.execution_ms),
    }))
  }

  async insertRefusals(rows: readonly RefusalRow[]): Promise<void> {
    if (rows.length === 0) return
    const values = rows.map((row) => ({
      at: BigInt(row.at),
      account_id: row.accountId,
      key_id: row.keyId,
      model: row.model,
      kind: row.kind,
    }))
    await this.#kysely.insertInto('refusal').values(values).execute()
  }

  async refusals(accountId: string, limit: number): Promise<RefusalRow[]> {
    const rows = await this.#kysely
      .selectFrom('refusal')
      .selectAll()
      .where('account_id', '=', accountId)
      .orderBy('seq', 'desc')
      .limit(limit)
      .execute()
    return rows.map((row) => ({ at: Number(row.at), accountId: row.account_id, keyId: row.key_id, model: row.model, kind: row.kind }))
  }
}

function toKeyTable(row: KeyRow) {
  return {
    id: row.id,
    account_id: row.accountId,
    hash: row.hash,
    last6: row.last6,
    scope: row.scope,
    description: row.description,
    spend_cap_nano: row.spendCapNano,
    created_at: BigInt(row.createdAt),
    expires_at: row.expiresAt === null ? null : BigInt(row.expiresAt),
    revoked_at: row.revokedAt === null ? null : BigInt(row.revokedAt),
  }
}

function fromKeyTable(row: Selectable<Schema['api_key']>): KeyRow {
  return {
    id: row.id,
    accountId: row.account_id,
    hash: row.hash,
    last6: row.last6,
    scope: row.scope,
    description: row.description,
    spendCapNano: row.spend_cap_nano,
    createdAt: Number(row.created_at),
    expiresAt: row.expires_at === null ? null : Number(row.expires_at),
    revokedAt: row.revoked_at === null ? null : Number(row.revoked_at),
  }
}
