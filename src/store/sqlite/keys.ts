/** Keys: reads and writes. Of the key itself there is a hash. */
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { type Kysely, type Selectable, sql } from 'kysely'
import type { KeyRow } from '../../core/store.ts'
import type { Schema } from '../schema.ts'

export class Keys {
  readonly #db: Kysely<Schema>
  readonly #raw: DatabaseSync
  #byHash: StatementSync | null = null

  constructor(db: Kysely<Schema>, raw: DatabaseSync) {
    this.#db = db
    this.#raw = raw
  }

  /** The read that every key in use costs each second: prepared once. */
  async byHash(hash: string): Promise<KeyRow | null> {
    this.#byHash ??= this.#raw.prepare('select * from api_key where hash = ?')
    // A row of the table is what `schema.ts` says it is: every one is written by `toTable`.
    const row = this.#byHash.get(hash) as Selectable<Schema['api_key']> | undefined
    return Promise.resolve(row ? fromTable(row) : null)
  }

  async key(id: string): Promise<KeyRow | null> {
    const row = await this.#db.selectFrom('api_key').selectAll().where('id', '=', id).executeTakeFirst()
    return row ? fromTable(row) : null
  }

  async ofAccount(accountId: string): Promise<KeyRow[]> {
    const rows = await this.#db
      .selectFrom('api_key')
      .selectAll()
      .where('account_id', '=', accountId)
      .where('revoked_at', 'is', null)
      .orderBy('created_at', 'desc')
      .orderBy('id', 'desc')
      .execute()
    return rows.map(fromTable)
  }

  async count(): Promise<number> {
    const row = await this.#db
      .selectFrom('api_key')
      .select(({ fn }) => fn.countAll<bigint>().as('count'))
      .executeTakeFirstOrThrow()
    return Number(row.count)
  }

  async insert(row: KeyRow): Promise<boolean> {
    const result = await this.#db
      .insertInto('api_key')
      .values({ ...toTable(row), last_used_at: numberOrNull(row.lastUsedAt) })
      .onConflict((conflict) => conflict.column('id').doNothing())
      .executeTakeFirst()
    return result.numInsertedOrUpdatedRows === 1n
  }

  async replace(row: KeyRow): Promise<void> {
    await this.#db.updateTable('api_key').set(toTable(row)).where('id', '=', row.id).execute()
  }

  /** Each slice is one statement, and so one write to the disk. */
  async touch(uses: readonly { readonly keyId: string; readonly at: number }[]): Promise<void> {
    for (let from = 0; from < uses.length; from += TOUCH_ROWS) {
      const slice = JSON.stringify(uses.slice(from, from + TOUCH_ROWS))
      await sql`update api_key set last_used_at = used.at
        from (select value ->> 'keyId' as id, max(value ->> 'at') as at from json_each(${slice}) group by 1) as used
        where api_key.id = used.id and (last_used_at is null or last_used_at < used.at)`.execute(this.#db)
    }
  }
}

/** What is written in one go holds up everything else for so long. */
const TOUCH_ROWS = 500

/**
 * A cap may be larger than what the column holds as a number with a sign, and is never negative: it is kept as the same 64
 * bits without one.
 */
const capToTable = (cap: bigint | null): bigint | null => (cap === null ? null : BigInt.asIntN(64, cap))
const capFromTable = (cap: bigint | null): bigint | null => (cap === null ? null : BigInt.asUintN(64, cap))

const numberOrNull = (value: number | null): bigint | null => (value === null ? null : BigInt(value))

function toTable(row: KeyRow) {
  return {
    id: row.id,
    account_id: row.accountId,
    hash: row.hash,
    last6: row.last6,
    scope: row.scope,
    description: row.description,
    cap_period: row.caps.period,
    cap_usd_nano: capToTable(row.caps.usd),
    cap_diem_nano: capToTable(row.caps.diem),
    cap_vcu_nano: capToTable(row.capVcuNano),
    model_privacy: row.modelPrivacy,
    models: row.models === null ? null : JSON.stringify(row.models),
    created_at: BigInt(row.createdAt),
    expires_at: numberOrNull(row.expiresAt),
    revoked_at: numberOrNull(row.revokedAt),
  }
}

function fromTable(row: Selectable<Schema['api_key']>): KeyRow {
  return {
    id: row.id,
    accountId: row.account_id,
    hash: row.hash,
    last6: row.last6,
    scope: row.scope,
    description: row.description,
    caps: { period: row.cap_period, usd: capFromTable(row.cap_usd_nano), diem: capFromTable(row.cap_diem_nano) },
    capVcuNano: capFromTable(row.cap_vcu_nano),
    modelPrivacy: row.model_privacy,
    models: modelsOf(row.models),
    createdAt: Number(row.created_at),
    expiresAt: row.expires_at === null ? null : Number(row.expires_at),
    revokedAt: row.revoked_at === null ? null : Number(row.revoked_at),
    lastUsedAt: row.last_used_at === null ? null : Number(row.last_used_at),
  }
}

/** Nobody but `toTable` writes the column. A list that cannot be read allows no model rather than all. */
function modelsOf(text: string | null): readonly string[] | null {
  if (text === null) return null
  const list: unknown = JSON.parse(text)
  return Array.isArray(list) ? list.filter((id) => typeof id === 'string') : []
}
