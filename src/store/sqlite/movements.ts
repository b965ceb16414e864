/** Books and what moved between them, as it is read back. */
import type { DatabaseSync } from 'node:sqlite'
import type { Kysely } from 'kysely'
import type { Amount, Currency } from '../../core/money.ts'
import type { BookRow, KeySpend, Movement } from '../../core/store.ts'
import type { Schema } from '../schema.ts'
import { requestOf } from './commits.ts'
import type { QueryBuilder } from './query-builder.ts'
import { Statement } from './statement.ts'

type Seq = { readonly seq: bigint }

export class Movements {
  readonly #builder: QueryBuilder
  readonly #balance: Statement<{ balance: bigint }>
  readonly #minted: Statement<{ sum: bigint | null }>
  readonly #has: Statement<Seq>
  readonly #spent: Statement<{ usd: bigint | null; diem: bigint | null }>
  readonly #charges: Statement<Seq>
  readonly #others: Statement<Seq>

  constructor(db: DatabaseSync, builder: QueryBuilder) {
    this.#builder = builder
    this.#balance = new Statement(db, 'select balance from book where id = ?')
    this.#minted = new Statement(
      db,
      "select sum(amount) as sum from transfer where kind = 'allowance' and to_book = (select seq from book where id = ?)",
    )
    this.#has = new Statement(db, 'select seq from transfer where id = ?')
    this.#spent = new Statement(db, 'select sum(usd) as usd, sum(diem) as diem from key_day where key_id = ? and day >= ?')
    this.#charges = new Statement(
      db,
      `select transfer_seq as seq from usage_record where payer_seq = ? group by at, transfer_seq having sum(amount) > 0
         order by at desc, transfer_seq desc limit ?`,
    )
    // An index holds these by their kind, written as it is here.
    this.#others = new Statement(db, "select seq from transfer where payer_seq = ? and kind <> 'settle' order by seq desc limit ?")
  }

  async balance(book: string): Promise<Amount> {
    return (await this.#balance.one(book))?.balance ?? 0n
  }

  async books(): Promise<BookRow[]> {
    const db = await this.#builder()
    return db.selectFrom('book').select(['id', 'currency', 'balance']).orderBy('id').execute()
  }

  /** What allowances brought into a book. */
  async minted(book: string): Promise<Amount> {
    return (await this.#minted.one(book))?.sum ?? 0n
  }

  async has(transferId: string): Promise<boolean> {
    return (await this.#has.one(transferId)) !== undefined
  }

  async spentByKey(keyId: string, fromDay: number): Promise<KeySpend> {
    const row = await this.#spent.one(keyId, BigInt(fromDay))
    return { usd: row?.usd ?? 0n, diem: row?.diem ?? 0n }
  }

  async spentByKeys(accountId: string, fromDay: number): Promise<ReadonlyMap<string, KeySpend>> {
    const db = await this.#builder()
    const rows = await db
      .selectFrom('key_day')
      .select(({ fn }) => ['key_id', fn.sum<bigint>('usd').as('usd'), fn.sum<bigint>('diem').as('diem')])
      .where('key_id', 'in', ({ selectFrom }) =>
        selectFrom('usage_kind')
          .innerJoin('payer', 'payer.seq', 'usage_kind.payer_seq')
          .select('usage_kind.key_id')
          .distinct()
          .where('payer.id', '=', accountId),
      )
      .where('day', '>=', BigInt(fromDay))
      .groupBy('key_id')
      .execute()
    return new Map(rows.map(({ key_id, usd, diem }) => [key_id, { usd, diem }]))
  }

  /** Charges come out of the account's usage, which is in the order of time; all else is rare and has an index of its own. */
  async ofAccount(accountId: string, skip: number, limit: number): Promise<Movement[]> {
    const db = await this.#builder()
    const payer = await db.selectFrom('payer').select('seq').where('id', '=', accountId).executeTakeFirst()
    if (!payer) return []
    const most = BigInt(skip + limit)
    const charges = await this.#charges.all(payer.seq, most)
    const others = await this.#others.all(payer.seq, most)
    const seqs = [...charges, ...others].map(({ seq }) => seq)
    if (seqs.length === 0) return []
    const rows = await movementRows(db)
      .where('transfer.seq', 'in', seqs)
      .orderBy('transfer.at', 'desc')
      .orderBy('transfer.seq', 'desc')
      .limit(limit)
      .offset(skip)
      .execute()
    return rows.map(movementOf)
  }

  async byId(id: string): Promise<Movement | null> {
    const row = await movementRows(await this.#builder())
      .where('transfer.id', '=', id)
      .executeTakeFirst()
    return row ? movementOf(row) : null
  }

  async all(after: number, limit: number): Promise<Movement[]> {
    const db = await this.#builder()
    const rows = await movementRows(db).where('transfer.seq', '>', BigInt(after)).orderBy('transfer.seq').limit(limit).execute()
    return rows.map(movementOf)
  }
}

function movementRows(db: Kysely<Schema>) {
  return (
    db
      .selectFrom('transfer')
      // Those of nothing are between no books.
      .innerJoin('book as source', 'source.seq', 'transfer.from_book')
      .innerJoin('book as target', 'target.seq', 'transfer.to_book')
      .select(['transfer.seq', 'transfer.id', 'transfer.at', 'transfer.kind', 'transfer.amount'])
      .select(['source.id as from', 'target.id as to', 'source.currency'])
      .select(({ selectFrom }) =>
        selectFrom('usage_record')
          .innerJoin('usage_kind', 'usage_kind.seq', 'usage_record.kind_seq')
          .select('model')
          .whereRef('usage_record.payer_seq', '=', 'transfer.payer_seq')
          .whereRef('usage_record.at', '=', 'transfer.at')
          .whereRef('usage_record.transfer_seq', '=', 'transfer.seq')
          .limit(1)
          .as('model'),
      )
  )
}

type Found = {
  readonly seq: bigint
  readonly id: string
  readonly at: bigint
  readonly kind: Movement['kind']
  readonly amount: Amount
  readonly from: string
  readonly to: string
  readonly currency: Currency
  readonly model: string | null
}

const movementOf = ({ seq, id, at, kind, amount, from, to, currency, model }: Found): Movement => ({
  seq: Number(seq),
  id,
  at: Number(at),
  kind,
  currency,
  fromBook: from,
  toBook: to,
  amount,
  requestId: kind === 'settle' ? requestOf(id) : null,
  model: kind === 'settle' ? model : null,
})
