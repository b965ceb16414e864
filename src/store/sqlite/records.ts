/** Refusals, what administrators did, prices by date, and forgetting. */
import type { DatabaseSync } from 'node:sqlite'
import { setImmediate as others } from 'node:timers/promises'
import type { Selectable } from 'kysely'
import type { AuditRow, PriceRow, RefusalRow } from '../../core/store.ts'
import type { Schema } from '../schema.ts'
import type { QueryBuilder } from './query-builder.ts'
import { Statement } from './statement.ts'

/** So many rows are forgotten at once; other requests get their turn in between. */
const SLICE = 1_000

export class Records {
  readonly #builder: QueryBuilder
  readonly #insertRefusals: Statement
  readonly #prices: Statement<Selectable<Schema['price']>>
  readonly #oldRefusals: Statement
  readonly #oldAudit: Statement

  constructor(db: DatabaseSync, builder: QueryBuilder) {
    this.#builder = builder
    this.#insertRefusals = new Statement(
      db,
      `insert into refusal (at, account_id, key_id, model, kind)
         select value ->> 'at', value ->> 'accountId', value ->> 'keyId', value ->> 'model', value ->> 'kind' from json_each(?) order by key`,
    )
    this.#prices = new Statement(db, 'select * from price order by seq')
    this.#oldRefusals = new Statement(db, `delete from refusal where seq in (select seq from refusal where at < ? limit ${SLICE})`)
    this.#oldAudit = new Statement(db, `delete from audit where seq in (select seq from audit where at < ? limit ${SLICE})`)
  }

  async insertRefusals(rows: readonly RefusalRow[]): Promise<void> {
    if (rows.length === 0) return
    await this.#insertRefusals.run(JSON.stringify(rows))
  }

  async refusals(accountId: string, limit: number): Promise<RefusalRow[]> {
    const db = await this.#builder()
    const rows = await db
      .selectFrom('refusal')
      .selectAll()
      .where('account_id', '=', accountId)
      .orderBy('seq', 'desc')
      .limit(limit)
      .execute()
    return rows.map((row) => ({ at: Number(row.at), accountId: row.account_id, keyId: row.key_id, model: row.model, kind: row.kind }))
  }

  async insertAudit({ at, byKeyId, action, object, details }: AuditRow): Promise<void> {
    const db = await this.#builder()
    await db
      .insertInto('audit')
      .values({ at: BigInt(at), by_key_id: byKeyId, action, object, details: JSON.stringify(details) })
      .execute()
  }

  async audit(before: number | null, limit: number): Promise<(AuditRow & { readonly seq: number })[]> {
    const db = await this.#builder()
    const rows = await db
      .selectFrom('audit')
      .selectAll()
      .$if(before !== null, (query) => query.where('seq', '<', BigInt(before ?? 0)))
      .orderBy('seq', 'desc')
      .limit(limit)
      .execute()
    return rows.map((row) => ({
      seq: Number(row.seq),
      at: Number(row.at),
      byKeyId: row.by_key_id,
      action: row.action,
      object: row.object,
      // Written by `insertAudit` only, from the same type.
      details: JSON.parse(row.details) as AuditRow['details'],
    }))
  }

  async insertPrices(rows: readonly PriceRow[]): Promise<void> {
    if (rows.length === 0) return
    const values = rows.map((row) => ({
      id: row.id,
      model: row.model,
      unit: row.unit,
      price_nano: BigInt(row.priceNano),
      extended: row.extended ? 1n : 0n,
      starts_at: BigInt(row.startsAt),
      created_at: BigInt(row.createdAt),
    }))
    const db = await this.#builder()
    await db.insertInto('price').values(values).execute()
  }

  async prices(): Promise<PriceRow[]> {
    const rows = await this.#prices.all()
    return rows.map((row) => ({
      id: row.id,
      model: row.model,
      unit: row.unit,
      priceNano: Number(row.price_nano),
      extended: row.extended === 1n,
      startsAt: Number(row.starts_at),
      createdAt: Number(row.created_at),
    }))
  }

  async forget(before: { readonly refusals: number; readonly audit: number }): Promise<number> {
    return (await inSlices(this.#oldRefusals, before.refusals)) + (await inSlices(this.#oldAudit, before.audit))
  }
}

async function inSlices(forget: Statement, before: number): Promise<number> {
  for (let gone = 0; ; ) {
    const rows = await forget.run(BigInt(before))
    gone += rows
    if (rows < SLICE) return gone
    await others()
  }
}
