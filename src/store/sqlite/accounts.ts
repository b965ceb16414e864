/** Accounts: reads and writes. */
import type { DatabaseSync } from 'node:sqlite'
import type { Selectable } from 'kysely'
import type { AccountRow } from '../../core/store.ts'
import type { Schema } from '../schema.ts'
import type { QueryBuilder } from './query-builder.ts'
import { Statement, insertInto, updateById } from './statement.ts'

type Row = Selectable<Schema['account']>

const COLUMNS = ['id', 'name', 'plan', 'credit_nano', 'diem_allowance_nano', 'wallet', 'created_at', 'closed_at'] as const

export class Accounts {
  readonly #builder: QueryBuilder
  readonly #byId: Statement<Row>
  readonly #byWallet: Statement<Row>
  readonly #withWallet: Statement<Row>
  readonly #insert: Statement
  readonly #replace: Statement

  constructor(db: DatabaseSync, builder: QueryBuilder) {
    this.#builder = builder
    this.#byId = new Statement(db, 'select * from account where id = ?')
    this.#byWallet = new Statement(db, 'select * from account where wallet = ?')
    this.#withWallet = new Statement(db, 'select * from account where wallet is not null order by id')
    this.#insert = new Statement(db, `${insertInto('account', COLUMNS)} on conflict do nothing`)
    this.#replace = new Statement(db, updateById('account', COLUMNS))
  }

  async account(id: string): Promise<AccountRow | null> {
    const row = await this.#byId.one(id)
    return row ? fromTable(row) : null
  }

  async ofWallet(wallet: string): Promise<AccountRow | null> {
    const row = await this.#byWallet.one(wallet)
    return row ? fromTable(row) : null
  }

  async page(after: string | null, limit: number): Promise<AccountRow[]> {
    const db = await this.#builder()
    const rows = await db
      .selectFrom('account')
      .selectAll()
      .$if(after !== null, (query) => query.where('id', '>', after ?? ''))
      .orderBy('id')
      .limit(limit)
      .execute()
    return rows.map(fromTable)
  }

  async withWallet(): Promise<AccountRow[]> {
    return (await this.#withWallet.all()).map(fromTable)
  }

  async insert(row: AccountRow): Promise<boolean> {
    return (await this.#insert.write(toTable(row))) === 1
  }

  async replace(row: AccountRow): Promise<void> {
    await this.#replace.write(toTable(row))
  }

  async change(id: string, fields: Partial<Omit<AccountRow, 'id' | 'createdAt'>>): Promise<AccountRow | null> {
    const set = columnsOf(fields)
    if (Object.keys(set).length === 0) return this.account(id)
    const db = await this.#builder()
    const row = await db.updateTable('account').set(set).where('id', '=', id).returningAll().executeTakeFirst()
    return row ? fromTable(row) : null
  }
}

/** Only what is named. */
function columnsOf({ name, plan, creditNano, diemAllowanceNano, wallet, closedAt }: Partial<AccountRow>) {
  return {
    ...(name !== undefined && { name }),
    ...(plan !== undefined && { plan }),
    ...(creditNano !== undefined && { credit_nano: creditNano }),
    ...(diemAllowanceNano !== undefined && { diem_allowance_nano: diemAllowanceNano }),
    ...(wallet !== undefined && { wallet }),
    ...(closedAt !== undefined && { closed_at: closedAt === null ? null : BigInt(closedAt) }),
  }
}

function toTable(row: AccountRow): Pick<Row, (typeof COLUMNS)[number]> {
  return {
    id: row.id,
    name: row.name,
    plan: row.plan,
    credit_nano: row.creditNano,
    diem_allowance_nano: row.diemAllowanceNano,
    wallet: row.wallet,
    created_at: BigInt(row.createdAt),
    closed_at: row.closedAt === null ? null : BigInt(row.closedAt),
  }
}

function fromTable(row: Row): AccountRow {
  return {
    id: row.id,
    name: row.name,
    plan: row.plan,
    creditNano: row.credit_nano,
    diemAllowanceNano: row.diem_allowance_nano,
    wallet: row.wallet,
    createdAt: Number(row.created_at),
    closedAt: row.closed_at === null ? null : Number(row.closed_at),
  }
}
