/** Books and what moved between them, as it is read back. */
import { sql } from 'kysely'
import type { Kysely } from 'kysely'
import type { Amount, Currency } from '../../core/money.ts'
import type { BookRow, KeySpend, Movement } from '../../core/store.ts'
import type { Schema } from '../schema.ts'
import { requestOf } from './commits.ts'

export class Movements {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  async balance(book: string): Promise<Amount> {
    const row = await this.#db.selectFrom('book').select('balance').where('id', '=', book).executeTakeFirst()
    return row?.balance ?? 0n
  }

  books(): Promise<BookRow[]> {
    return this.#db.selectFrom('book').select(['id', 'currency', 'balance']).orderBy('id').execute()
  }

  /** What allowances brought into a book. */
  async minted(book: string): Promise<Amount> {
    const row = await this.#db
      .selectFrom('transfer')
      .select(({ fn }) => fn.sum<bigint | null>('amount').as('sum'))
      .where('kind', '=', sql.lit('allowance'))
      .where('to_book', '=', ({ selectFrom }) => selectFrom('book').select('book.seq').where('book.id', '=', book))
      .executeTakeFirst()
    return row?.sum ?? 0n
  }

  async has(transferId: string): Promise<boolean> {
    return (await this.#db.selectFrom('transfer').select('seq').where('id', '=', transferId).executeTakeFirst()) !== undefined
  }

  async spentByKey(keyId: string, fromDay: number): Promise<KeySpend> {
    const row = await this.#db
      .selectFrom('key_day')
      .select(({ fn }) => [fn.sum<bigint | null>('usd').as('usd'), fn.sum<bigint | null>('diem').as('diem')])
      .where('key_id', '=', keyId)
      .where('day', '>=', BigInt(fromDay))
      .executeTakeFirst()
    return { usd: row?.usd ?? 0n, diem: row?.diem ?? 0n }
  }

  async spentByKeys(accountId: string, fromDay: number): Promise<ReadonlyMap<string, KeySpend>> {
    const rows = await this.#db
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
    const payer = await this.#db.selectFrom('payer').select('seq').where('id', '=', accountId).executeTakeFirst()
    if (!payer) return []
    const most = BigInt(skip + limit)
    const { rows: charges } = await sql<{ seq: bigint }>`
      select transfer_seq as seq from usage_record where payer_seq = ${payer.seq} group by at, transfer_seq having sum(amount) > 0
        order by at desc, transfer_seq desc limit ${most}`.execute(this.#db)
    const others = await this.#db
      .selectFrom('transfer')
      .select('seq')
      .where('payer_seq', '=', payer.seq)
      .where('kind', '<>', sql.lit('settle'))
      .orderBy('seq', 'desc')
      .limit(Number(most))
      .execute()
    const seqs = [...charges, ...others].map(({ seq }) => seq)
    if (seqs.length === 0) return []
    const rows = await this.#rows()
      .where('transfer.seq', 'in', seqs)
      .orderBy('transfer.at', 'desc')
      .orderBy('transfer.seq', 'desc')
      .limit(limit)
      .offset(skip)
      .execute()
    return rows.map(movementOf)
  }

  async byId(id: string): Promise<Movement | null> {
    const row = await this.#rows().where('transfer.id', '=', id).executeTakeFirst()
    return row ? movementOf(row) : null
  }

  async all(after: number, limit: number): Promise<Movement[]> {
    const rows = await this.#rows().where('transfer.seq', '>', BigInt(after)).orderBy('transfer.seq').limit(limit).execute()
    return rows.map(movementOf)
  }

  #rows() {
    return (
      this.#db
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
