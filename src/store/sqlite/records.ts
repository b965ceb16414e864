/** Refusals, what administrators did, prices by date, and forgetting. */
import { setImmediate as others } from 'node:timers/promises'
import { sql } from 'kysely'
import type { Kysely } from 'kysely'
import type { AuditRow, PriceRow, RefusalRow } from '../../core/store.ts'
import type { Schema } from '../schema.ts'

/** So many rows are forgotten at once; other requests get their turn in between. */
const SLICE = 1_000

export class Records {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
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
    await this.#db.insertInto('refusal').values(values).execute()
  }

  async refusals(accountId: string, limit: number): Promise<RefusalRow[]> {
    const rows = await this.#db
      .selectFrom('refusal')
      .selectAll()
      .where('account_id', '=', accountId)
      .orderBy('seq', 'desc')
      .limit(limit)
      .execute()
    return rows.map((row) => ({ at: Number(row.at), accountId: row.account_id, keyId: row.key_id, model: row.model, kind: row.kind }))
  }

  async insertAudit({ at, byKeyId, action, object, details }: AuditRow): Promise<void> {
    await this.#db
      .insertInto('audit')
      .values({ at: BigInt(at), by_key_id: byKeyId, action, object, details: JSON.stringify(details) })
      .execute()
  }

  async audit(before: number | null, limit: number): Promise<(AuditRow & { readonly seq: number })[]> {
    const rows = await this.#db
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
    await this.#db.insertInto('price').values(values).execute()
  }

  async prices(): Promise<PriceRow[]> {
    const rows = await this.#db.selectFrom('price').selectAll().orderBy('seq').execute()
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
    return (await this.#forget('refusal', before.refusals)) + (await this.#forget('audit', before.audit))
  }

  async #forget(table: 'refusal' | 'audit', before: number): Promise<number> {
    for (let gone = 0; ; ) {
      const { numAffectedRows = 0n } = await sql`
        delete from ${sql.table(table)} where seq in (select seq from ${sql.table(table)} where at < ${BigInt(before)} limit ${sql.lit(SLICE)})
      `.execute(this.#db)
      gone += Number(numAffectedRows)
      if (numAffectedRows < BigInt(SLICE)) return gone
      await others()
    }
  }
}
