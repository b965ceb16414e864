/** Keys: reads and writes. Of the key itself there is a hash. */
import type { DatabaseSync } from 'node:sqlite'
import type { Selectable } from 'kysely'
import type { KeyRow } from '../../core/store.ts'
import type { Schema } from '../schema.ts'
import type { QueryBuilder } from './query-builder.ts'
import { Statement, insertInto, updateById } from './statement.ts'

type Row = Selectable<Schema['api_key']>

/** All but the last use, which moves by itself. */
const COLUMNS = [
  'id',
  'account_id',
  'hash',
  'last6',
  'scope',
  'description',
  'cap_period',
  'cap_usd_nano',
  'cap_diem_nano',
  'cap_vcu_nano',
  'model_privacy',
  'models',
  'created_at',
  'expires_at',
  'revoked_at',
] as const

export class Keys {
  readonly #builder: QueryBuilder
  readonly #byHash: Statement<Row>
  readonly #byId: Statement<Row>
  readonly #count: Statement<{ count: bigint }>
  readonly #insert: Statement
  readonly #replace: Statement
  readonly #touch: Statement

  constructor(db: DatabaseSync, builder: QueryBuilder) {
    this.#builder = builder
    this.#byHash = new Statement(db, 'select * from api_key where hash = ?')
    this.#byId = new Statement(db, 'select * from api_key where id = ?')
    this.#count = new Statement(db, 'select count(*) as count from api_key')
    this.#insert = new Statement(db, `${insertInto('api_key', [...COLUMNS, 'last_used_at'])} on conflict (id) do nothing`)
    this.#replace = new Statement(db, updateById('api_key', COLUMNS))
    this.#touch = new Statement(
      db,
      `update api_key set last_used_at = used.at
         from (select value ->> 'keyId' as id, max(value ->> 'at') as at from json_each(?) group by 1) as used
         where api_key.id = used.id and (last_used_at is null or last_used_at < used.at)`,
    )
  }

  /** The read that every key in use costs each second. */
  async byHash(hash: string): Promise<KeyRow | null> {
    const row = await this.#byHash.one(hash)
    return row ? fromTable(row) : null
  }

  async key(id: string): Promise<KeyRow | null> {
    const row = await this.#byId.one(id)
    return row ? fromTable(row) : null
  }

  async ofAccount(accountId: string): Promise<KeyRow[]> {
    const db = await this.#builder()
    const rows = await db
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
    return Number((await this.#count.one())?.count ?? 0n)
  }

  async insert(row: KeyRow): Promise<boolean> {
    return (await this.#insert.write({ ...toTable(row), last_used_at: numberOrNull(row.lastUsedAt) })) === 1
  }

  async replace(row: KeyRow): Promise<void> {
    await this.#replace.write(toTable(row))
  }

  /** Each slice is one statement, and so one write to the disk. */
  async touch(uses: readonly { readonly keyId: string; readonly at: number }[]): Promise<void> {
    for (let from = 0; from < uses.length; from += TOUCH_ROWS) {
      await this.#touch.run(JSON.stringify(uses.slice(from, from + TOUCH_ROWS)))
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

function toTable(row: KeyRow): Pick<Row, (typeof COLUMNS)[number]> {
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

function fromTable(row: Row): KeyRow {
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
