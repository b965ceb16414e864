/**
 * The hot write: settlements in batches, one transaction each, by prepared statements that write several rows at once
 * (kysely would cost ten times as much per row).
 * Invariant: balances and sums change in the transaction that writes the transfers they sum up, and by those only.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { accountOfBook, bookOf, dayOf, revenueBook } from '../../core/book.ts'
import { CURRENCIES } from '../../core/money.ts'
import type { Amount, Currency } from '../../core/money.ts'
import type { Bill, Settlement, Transfer } from '../../core/store.ts'
import { MEMORY } from './database.ts'
import { Names } from './names.ts'
import { Rows } from './rows.ts'
import { Sums } from './sums.ts'
import { WalSync } from './wal-sync.ts'

export class Commits {
  readonly #db: DatabaseSync
  readonly #last: StatementSync
  readonly #known: StatementSync
  readonly #transfers: Rows
  readonly #usage: Rows
  readonly #names: Names
  readonly #sums: Sums
  readonly #disk: WalSync | null
  #seq = 0
  #first = 0

  /** The schema must be there: statements are prepared against it. */
  constructor(db: DatabaseSync, path: string) {
    this.#db = db
    this.#last = db.prepare('select max(seq) as seq from transfer')
    this.#known = db.prepare('select seq from transfer where id = ?')
    this.#transfers = new Rows(db, 'transfer (seq, id, at, payer_seq, from_book, to_book, amount, kind)', 'on conflict (id) do nothing')
    this.#usage = new Rows(db, 'usage_record')
    this.#names = new Names(db)
    this.#sums = new Sums(db, this.#names)
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
    const seen = new Set<string>()
    return settlements.filter((settlement) => {
      const ids = settlement.kind === 'settle' ? settleIds(settlement.requestId) : [settlement.id]
      if (ids.some((id) => seen.has(id) || this.#known.get(id))) return false
      for (const id of ids) seen.add(id)
      return true
    })
  }

  /** False, and the transaction is to be rolled back, where a transfer was there already. */
  #insert(settlements: readonly Settlement[]): boolean {
    this.#first = Number(this.#last.get()?.['seq'] ?? 0)
    this.#seq = this.#first
    this.#transfers.begin()
    this.#usage.begin()
    this.#sums.begin()
    for (const settlement of settlements) {
      if (settlement.kind === 'settle') this.#insertBill(settlement)
      else this.#insertTransfer(settlement)
    }
    this.#usage.end()
    if (this.#transfers.end() !== this.#seq - this.#first) return false
    this.#sums.end()
    return true
  }

  #insertTransfer({ id, at, currency, fromBook, toBook, amount, kind }: Transfer): void {
    const accountId = accountOfBook(toBook) ?? accountOfBook(fromBook)
    const payer = accountId === null ? null : this.#names.payer(accountId)
    const from = this.#names.book(fromBook, currency)
    const to = this.#names.book(toBook, currency)
    this.#transfers.add8(++this.#seq, id, at, payer, from, to, amount, kind)
    this.#sums.book(fromBook, currency, -amount)
    this.#sums.book(toBook, currency, amount)
  }

  /** A transfer per currency; nearly always there is one. */
  #insertBill(bill: Bill): void {
    const { lines } = bill
    const first = lines[0]?.currency ?? 'USD'
    let amount = 0n
    let mixed = false
    for (const line of lines) {
      amount += line.amount
      if (line.currency !== first) mixed = true
    }
    if (!mixed) {
      this.#insertCharge(bill, first, amount)
      return
    }
    for (const currency of CURRENCIES) {
      let part = 0n
      let any = false
      for (const line of lines)
        if (line.currency === currency) {
          part += line.amount
          any = true
        }
      if (any) this.#insertCharge(bill, currency, part)
    }
  }

  #insertCharge(bill: Bill, currency: Currency, amount: Amount): void {
    const { at, accountId, lines, executionMs, diemDay } = bill
    const seq = ++this.#seq
    const payer = this.#names.payer(accountId)
    const id = settleId(bill.requestId, currency)
    if (amount === 0n) this.#transfers.add8(seq, id, at, payer, null, null, amount, 'settle')
    else {
      const from = this.#names.book(bookOf(accountId, currency, diemDay), currency)
      const to = this.#names.book(revenueBook(currency), currency)
      this.#transfers.add8(seq, id, at, payer, from, to, amount, 'settle')
      this.#sums.charge(bill, currency, amount)
    }
    const day = dayOf(at)
    for (let i = 0; i < lines.length; i++) {
      const line = lines[i]
      if (line?.currency !== currency) continue
      const kind = this.#names.usageKind(bill, line)
      this.#usage.add8(payer, at, seq, i, kind, line.count, line.amount, executionMs)
      this.#sums.usage(payer, day, kind, line.count, line.amount)
    }
  }
}

/** The id of the transfer that settles a request in one currency. */
const settleId = (requestId: string, currency: Currency): string => `settle:${requestId}:${currency}`

export const settleIds = (requestId: string): string[] => CURRENCIES.map((currency) => settleId(requestId, currency))

/** The request of a charge, out of the id of its transfer. */
export const requestOf = (transferId: string): string => transferId.slice('settle:'.length, transferId.lastIndexOf(':'))
