/**
 * The hot write: settlements in batches, one transaction each, by prepared statements that write several rows at once
 * (kysely would cost ten times as much per row).
 * Invariant: balances and key sums change in the transaction that writes the transfers they sum up, and by those only.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Amount } from '../../core/money.ts'
import type { Bill, Settlement } from '../../core/store.ts'
import { MEMORY } from './database.ts'
import { Names } from './names.ts'
import { Rows } from './rows.ts'
import { WalSync } from './wal-sync.ts'

export class Commits {
  readonly #db: DatabaseSync
  readonly #last: StatementSync
  readonly #known: StatementSync
  readonly #transfers: Rows
  readonly #usage: Rows
  readonly #names: Names
  readonly #book: StatementSync
  readonly #spend: StatementSync
  readonly #disk: WalSync | null

  /** The schema must be there: statements are prepared against it. */
  constructor(db: DatabaseSync, path: string) {
    this.#db = db
    this.#last = db.prepare('select max(seq) as seq from transfer')
    this.#known = db.prepare('select seq from transfer where id = ?')
    this.#transfers = new Rows(db, 'transfer', 7, 'on conflict (id) do nothing')
    this.#usage = new Rows(db, 'usage_record', 6)
    this.#names = new Names(db)
    this.#book = db.prepare('update book set balance = balance + ? where seq = ?')
    this.#spend = db.prepare(
      'insert into key_spend (key_id, spent) values (?, ?) on conflict (key_id) do update set spent = spent + excluded.spent',
    )
    this.#disk = path === MEMORY ? null : new WalSync(path)
  }

  /** Writes all or none, then waits for the disk outside of the event loop. */
  async write(settlements: readonly Settlement[]): Promise<void> {
    this.#db.exec('begin immediate')
    try {
      if (!this.#insert(settlements)) this.#again(settlements)
      this.#db.exec('commit')
    } catch (error) {
      // A failed commit may have ended the transaction already.
      if (this.#db.isTransaction) this.#db.exec('rollback')
      this.#names.forget()
      throw error
    }
    await this.#disk?.sync()
  }

  async close(): Promise<void> {
    await this.#disk?.close()
  }

  /** Some were written by an earlier call: rare, so it is found out afterwards, and then the others are written alone. */
  #again(settlements: readonly Settlement[]): void {
    this.#db.exec('rollback')
    this.#names.forget()
    this.#db.exec('begin immediate')
    if (!this.#insert(this.#unknown(settlements))) throw new Error('a transfer was neither there nor taken')
  }

  #unknown(settlements: readonly Settlement[]): Settlement[] {
    const ids = new Set<string>()
    return settlements.filter((settlement) => {
      const id = idOf(settlement)
      if (ids.has(id) || this.#known.get(id)) return false
      ids.add(id)
      return true
    })
  }

  /** False, and the transaction is to be rolled back, where a transfer was there already. */
  #insert(settlements: readonly Settlement[]): boolean {
    const books = new Map<string, Amount>()
    const spends = new Map<string, Amount>()
    let seq = Number(this.#last.get()?.['seq'] ?? 0)
    this.#transfers.begin()
    this.#usage.begin()
    for (const settlement of settlements) {
      this.#insertTransfer(++seq, settlement)
      if (settlement.kind === 'settle') this.#insertUsage(seq, settlement)
      const { fromBook, toBook, amount } = settlement
      if (amount === 0n) continue
      add(books, fromBook, -amount)
      add(books, toBook, amount)
      if (settlement.kind === 'settle') add(spends, settlement.keyId, amount)
    }
    this.#usage.end()
    if (this.#transfers.end() !== settlements.length) return false
    for (const [id, delta] of books) {
      if (Number(this.#book.run(delta, this.#names.book(id)).changes) !== 1) throw new Error('a book is gone')
    }
    for (const [id, delta] of spends) this.#spend.run(id, delta)
    return true
  }

  #insertTransfer(seq: number, settlement: Settlement): void {
    const { amount } = settlement
    const moves = settlement.kind !== 'settle' || amount !== 0n
    this.#transfers.add7(
      seq,
      idOf(settlement),
      settlement.at,
      moves ? this.#names.book(settlement.fromBook) : null,
      moves ? this.#names.book(settlement.toBook) : null,
      amount,
      settlement.kind,
    )
  }

  #insertUsage(seq: number, bill: Bill): void {
    const { lines, executionMs } = bill
    for (let i = 0; i < lines.length; i++) {
      const line = lines[i]
      if (line) this.#usage.add6(seq, i, this.#names.usageKind(bill, line), line.count, line.amount, executionMs)
    }
  }
}

/** The id of the transfer that settles a request. */
export const settleId = (requestId: string): string => `settle:${requestId}`

const idOf = (settlement: Settlement): string => (settlement.kind === 'settle' ? settleId(settlement.requestId) : settlement.id)

function add(sums: Map<string, Amount>, id: string, delta: Amount): void {
  sums.set(id, (sums.get(id) ?? 0n) + delta)
}
