/**
 * What the rows of the ledger repeat, written once and pointed at by number: books, and kinds of usage (whose, for which
 * model, of which unit, at which price). It makes a settlement a third of the size.
 * Invariant: a number that is remembered is in the database, or in the transaction under way; `forget` follows a rollback.
 * Where somebody deletes such rows by hand, the write fails whole, and the next try finds out.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Line } from '../../core/money.ts'
import type { Bill } from '../../core/store.ts'

/** How many books and kinds are remembered, each; then all are forgotten and looked up again. */
const REMEMBERED_MAX = 20_000

type UsageKind = {
  readonly seq: number
  readonly accountId: string
  readonly modality: string
  readonly unit: string
  readonly priceNano: number
}

export class Names {
  readonly #findBook: StatementSync
  readonly #addBook: StatementSync
  readonly #findKind: StatementSync
  readonly #addKind: StatementSync
  readonly #books = new Map<string, number>()
  /** By key, then by model. */
  readonly #kinds = new Map<string, Map<string, UsageKind[]>>()
  #kindCount = 0

  constructor(db: DatabaseSync) {
    this.#findBook = db.prepare('select seq from book where id = ?')
    this.#addBook = db.prepare('insert into book (id, balance) values (?, 0)')
    this.#findKind = db.prepare(
      'select seq from usage_kind where key_id = ? and model = ? and unit = ? and price_nano = ? and account_id = ? and modality = ?',
    )
    this.#addKind = db.prepare('insert into usage_kind (key_id, model, unit, price_nano, account_id, modality) values (?, ?, ?, ?, ?, ?)')
  }

  /** To be called inside a transaction that writes, like `usageKind`. */
  book(id: string): number {
    return this.#books.get(id) ?? this.#learnBook(id)
  }

  usageKind(bill: Bill, line: Line): number {
    const kinds = this.#kinds.get(bill.keyId)?.get(bill.model)
    if (kinds) {
      for (const kind of kinds)
        if (
          kind.unit === line.unit &&
          kind.priceNano === line.priceNano &&
          kind.accountId === bill.accountId &&
          kind.modality === bill.modality
        )
          return kind.seq
    }
    return this.#learnKind(bill, line)
  }

  forget(): void {
    this.#books.clear()
    this.#kinds.clear()
    this.#kindCount = 0
  }

  #learnBook(id: string): number {
    if (this.#books.size >= REMEMBERED_MAX) this.forget()
    const seq = numberOf(this.#findBook.get(id)?.['seq'] ?? this.#addBook.run(id).lastInsertRowid)
    this.#books.set(id, seq)
    return seq
  }

  #learnKind({ accountId, keyId, model, modality }: Bill, { unit, priceNano }: Line): number {
    if (this.#kindCount >= REMEMBERED_MAX) this.forget()
    const values = [keyId, model, unit, priceNano, accountId, modality] as const
    const seq = numberOf(this.#findKind.get(...values)?.['seq'] ?? this.#addKind.run(...values).lastInsertRowid)
    const ofKey = this.#kinds.get(keyId) ?? new Map<string, UsageKind[]>()
    const ofModel = ofKey.get(model) ?? []
    ofModel.push({ seq, accountId, modality, unit, priceNano })
    this.#kinds.set(keyId, ofKey.set(model, ofModel))
    this.#kindCount++
    return seq
  }
}

/** A place in a table, which counts up from 1 and stays far below what a float holds. */
const numberOf = (seq: unknown): number => Number(seq)
