/** Accounts, keys, transfers between books, usage, and the log of refusals. */
import { sql } from 'kysely'
import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'

/** Columns hold what they say or the write fails: SQLite would otherwise turn an overflowing sum into a float. */
const STRICT = sql`strict`
const STRICT_CLUSTERED = sql`strict, without rowid`

export const first: Migration = {
  async up(db: Kysely<unknown>) {
    await accountsAndKeys(db)
    await money(db)
    await refusals(db)
  },
}

async function accountsAndKeys(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('account')
    .addColumn('id', 'text', (c) => c.primaryKey())
    .addColumn('name', 'text', (c) => c.notNull())
    .addColumn('plan', 'text', (c) => c.notNull())
    .addColumn('credit_nano', 'integer')
    .addColumn('created_at', 'integer', (c) => c.notNull())
    .modifyEnd(STRICT)
    .execute()

  await db.schema
    .createTable('api_key')
    .addColumn('id', 'text', (c) => c.primaryKey())
    .addColumn('account_id', 'text', (c) => c.notNull().references('account.id'))
    .addColumn('hash', 'text', (c) => c.notNull().unique())
    .addColumn('last6', 'text', (c) => c.notNull())
    .addColumn('scope', 'text', (c) => c.notNull())
    .addColumn('description', 'text', (c) => c.notNull())
    .addColumn('spend_cap_nano', 'integer')
    .addColumn('created_at', 'integer', (c) => c.notNull())
    .addColumn('expires_at', 'integer')
    .addColumn('revoked_at', 'integer')
    .modifyEnd(STRICT)
    .execute()
}

async function money(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('transfer')
    .addColumn('seq', 'integer', (c) => c.primaryKey())
    .addColumn('id', 'text', (c) => c.notNull().unique())
    .addColumn('at', 'integer', (c) => c.notNull())
    .addColumn('from_book', 'integer')
    .addColumn('to_book', 'integer')
    .addColumn('amount', 'integer', (c) => c.notNull())
    .addColumn('kind', 'text', (c) => c.notNull())
    .addCheckConstraint(
      'moves_or_nothing',
      sql`(amount > 0 and from_book <> to_book) or (amount = 0 and from_book is null and to_book is null)`,
    )
    .modifyEnd(STRICT)
    .execute()

  await db.schema
    .createTable('book')
    .addColumn('seq', 'integer', (c) => c.primaryKey())
    .addColumn('id', 'text', (c) => c.notNull().unique())
    .addColumn('balance', 'integer', (c) => c.notNull())
    .modifyEnd(STRICT)
    .execute()

  await db.schema
    .createTable('key_spend')
    .addColumn('key_id', 'text', (c) => c.primaryKey())
    .addColumn('spent', 'integer', (c) => c.notNull())
    .modifyEnd(STRICT_CLUSTERED)
    .execute()

  await usage(db)
}

async function usage(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('usage_kind')
    .addColumn('seq', 'integer', (c) => c.primaryKey())
    .addColumn('account_id', 'text', (c) => c.notNull())
    .addColumn('key_id', 'text', (c) => c.notNull())
    .addColumn('model', 'text', (c) => c.notNull())
    .addColumn('modality', 'text', (c) => c.notNull())
    .addColumn('unit', 'text', (c) => c.notNull())
    .addColumn('price_nano', 'integer', (c) => c.notNull())
    .addUniqueConstraint('usage_kind_once', ['key_id', 'model', 'unit', 'price_nano', 'account_id', 'modality'])
    .modifyEnd(STRICT)
    .execute()

  await db.schema
    .createTable('usage_record')
    .addColumn('transfer_seq', 'integer', (c) => c.notNull())
    .addColumn('line', 'integer', (c) => c.notNull())
    .addColumn('kind_seq', 'integer', (c) => c.notNull().references('usage_kind.seq'))
    .addColumn('count', 'integer', (c) => c.notNull())
    .addColumn('amount', 'integer', (c) => c.notNull().check(sql`amount >= 0`))
    .addColumn('execution_ms', 'integer', (c) => c.notNull())
    .addPrimaryKeyConstraint('usage_record_order', ['transfer_seq', 'line'])
    .modifyEnd(STRICT_CLUSTERED)
    .execute()
}

async function refusals(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('refusal')
    .addColumn('seq', 'integer', (c) => c.primaryKey())
    .addColumn('at', 'integer', (c) => c.notNull())
    .addColumn('account_id', 'text', (c) => c.notNull())
    .addColumn('key_id', 'text', (c) => c.notNull())
    .addColumn('model', 'text', (c) => c.notNull())
    .addColumn('kind', 'text', (c) => c.notNull())
    .modifyEnd(STRICT)
    .execute()
  await db.schema.createIndex('refusal_by_account').on('refusal').columns(['account_id', 'seq']).execute()
}
