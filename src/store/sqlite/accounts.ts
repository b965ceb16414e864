/** Accounts: reads and writes. */
import type { Kysely, Selectable } from 'kysely'
import type { AccountRow } from '../../core/store.ts'
import type { Schema } from '../schema.ts'

export class Accounts {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  async account(id: string): Promise<AccountRow | null> {
    const row = await this.#db.selectFrom('account').selectAll().where('id', '=', id).executeTakeFirst()
    return row ? fromTable(row) : null
  }

  async ofWallet(wallet: string): Promise<AccountRow | null> {
    const row = await this.#db.selectFrom('account').selectAll().where('wallet', '=', wallet).executeTakeFirst()
    return row ? fromTable(row) : null
  }

  async page(after: string | null, limit: number): Promise<AccountRow[]> {
    const rows = await this.#db
      .selectFrom('account')
      .selectAll()
      .$if(after !== null, (query) => query.where('id', '>', after ?? ''))
      .orderBy('id')
      .limit(limit)
      .execute()
    return rows.map(fromTable)
  }

  async withWallet(): Promise<AccountRow[]> {
    const rows = await this.#db.selectFrom('account').selectAll().where('wallet', 'is not', null).orderBy('id').execute()
    return rows.map(fromTable)
  }

  async insert(row: AccountRow): Promise<boolean> {
    const result = await this.#db
      .insertInto('account')
      .values(toTable(row))
      .onConflict((conflict) => conflict.doNothing())
      .executeTakeFirst()
    return result.numInsertedOrUpdatedRows === 1n
  }

  async replace(row: AccountRow): Promise<void> {
    await this.#db.updateTable('account').set(toTable(row)).where('id', '=', row.id).execute()
  }

  async change(id: string, fields: Partial<Omit<AccountRow, 'id' | 'createdAt'>>): Promise<AccountRow | null> {
    const set = columnsOf(fields)
    if (Object.keys(set).length === 0) return this.account(id)
    const row = await this.#db.updateTable('account').set(set).where('id', '=', id).returningAll().executeTakeFirst()
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

function toTable(row: AccountRow) {
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

function fromTable(row: Selectable<Schema['account']>): AccountRow {
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
