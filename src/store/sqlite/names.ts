/**
 * What the rows of the ledger repeat, written once and pointed at by number: accounts, books, and kinds of usage (whose,
 * for which model, of which unit, at which price, paid in what). It makes a settlement a third of the size.
 * Invariant: a number that is remembered is in the database, or in the transaction under way; `forget` follows a rollback.
 * Where somebody deletes such rows by hand, the write fails whole, and the next try finds out.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Currency } from '../../core/money.ts'
import type { Bill, PaidLine } from '../../core/store.ts'

/** How many of each are remembered; then all are forgotten and looked up again. */
const REMEMBERED_MAX = 20_000

type UsageKind = {
  readonly seq: number
  readonly accountId: string
  readonly modality: string
  readonly unit: string
  readonly priceNano: number
  readonly currency: Currency
}

export class Names {
  readonly #findPayer: StatementSync
  readonly #addPayer: StatementSync
  readonly #findBook: StatementSync
  readonly #addBook: StatementSync
  readonly #findKind: StatementSync
  readonly #addKind: StatementSync
  readonly #payers = new Map<string, number>()
  readonly #books = new Map<string, number>()
  /** By key, then by model. */
  readonly #kinds = new Map<string, Map<string, UsageKind[]>>()
  #kindCount = 0

  constructor(db: DatabaseSync) {
    this.#findPayer = db.prepare('select seq from payer where id = ?')
    this.#addPayer = db.prepare('insert into payer (id) values (?)')
    this.#findBook = db.prepare('select seq from book where id = ?')
    this.#addBook = db.prepare('insert into book (id, currency, balance) values (?, ?, 0)')
    this.#findKind = db.prepare(
      'select seq from usage_kind where payer_seq = ? and key_id = ? and model = ? and unit = ? and price_nano = ? and modality = ? and currency = ?',
    )
    this.#addKind = db.prepare(
      'insert into usage_kind (payer_seq, key_id, model, unit, price_nano, modality, currency) values (?, ?, ?, ?, ?, ?, ?)',
    )
  }

  /** The number of an account. To be called inside a transaction that writes, like the others. */
  payer(accountId: string): number {
    return this.#payers.get(accountId) ?? this.#learnPayer(accountId)
  }

  book(id: string, currency: Currency): number {
    return this.#books.get(id) ?? this.#learnBook(id, currency)
  }

  usageKind(bill: Bill, line: PaidLine): number {
    const kinds = this.#kinds.get(bill.keyId)?.get(bill.model)
    if (kinds) {
      for (const kind of kinds)
        if (
          kind.unit === line.unit &&
          kind.priceNano === line.priceNano &&
          kind.currency === line.currency &&
          kind.accountId === bill.accountId &&
          kind.modality === bill.modality
        )
          return kind.seq
    }
    return this.#learnKind(bill, line)
  }

  forget(): void {
    this.#payers.clear()
    this.#books.clear()
    this.#kinds.clear()
    this.#kindCount = 0
  }

  #learnPayer(id: string): number {
    if (this.#payers.size >= REMEMBERED_MAX) this.#payers.clear()
    const seq = numberOf(this.#findPayer.get(id)?.['seq'] ?? this.#addPayer.run(id).lastInsertRowid)
    this.#payers.set(id, seq)
    return seq
  }

  #learnBook(id: string, currency: Currency): number {
    if (this.#books.size >= REMEMBERED_MAX) this.#books.clear()
    const seq = numberOf(this.#findBook.get(id)?.['seq'] ?? this.#addBook.run(id, currency).lastInsertRowid)
    this.#books.set(id, seq)
    return seq
  }

  #learnKind({ accountId, keyId, model, modality }: Bill, { unit, priceNano, currency }: PaidLine): number {
    if (this.#kindCount >= REMEMBERED_MAX) {
      this.#kinds.clear()
      this.#kindCount = 0
    }
    const values = [this.payer(accountId), keyId, model, unit, priceNano, modality, currency] as const
    const seq = numberOf(this.#findKind.get(...values)?.['seq'] ?? this.#addKind.run(...values).lastInsertRowid)
    const ofKey = this.#kinds.get(keyId) ?? new Map<string, UsageKind[]>()
    const ofModel = ofKey.get(model) ?? []
    ofModel.push({ seq, accountId, modality, unit, priceNano, currency })
    this.#kinds.set(keyId, ofKey.set(model, ofModel))
    this.#kindCount++
    return seq
  }
}

/** A place in a table, which counts up from 1 and stays far below what a float holds. */
const numberOf = (seq: unknown): number => Number(seq)
