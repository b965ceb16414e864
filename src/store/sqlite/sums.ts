/**
 * What one batch adds to the books, to what keys spent, and to the days: summed up in memory, so that a batch costs a few
 * updates and not several per row.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { bookOf, revenueBook } from '../../core/book.ts'
import { CURRENCIES } from '../../core/money.ts'
import type { Amount, Currency } from '../../core/money.ts'
import type { Bill } from '../../core/store.ts'
import type { Names } from './names.ts'

/** Above any number of a day, so that one number can say both kind and day. */
const DAYS = 2 ** 20

type BookSum = { readonly currency: Currency; delta: Amount }
type KeySum = { usd: Amount; diem: Amount }
type DaySum = { readonly payer: number; readonly day: number; readonly kind: number; count: number; amount: Amount; requests: number }
type PayerSum = { readonly diemDay: number } & Record<Currency, Amount>

export class Sums {
  readonly #names: Names
  readonly #book: StatementSync
  readonly #key: StatementSync
  readonly #day: StatementSync
  readonly #books = new Map<string, BookSum>()
  /** What accounts paid, by account; of one day at a time. */
  readonly #payers = new Map<string, PayerSum>()
  /** By day, then by key. */
  readonly #keys = new Map<number, Map<string, KeySum>>()
  readonly #days = new Map<number, DaySum>()

  constructor(db: DatabaseSync, names: Names) {
    this.#names = names
    this.#book = db.prepare('update book set balance = balance + ? where seq = ?')
    this.#key = db.prepare(
      'insert into key_day (key_id, day, usd, diem) values (?, ?, ?, ?) on conflict do update set usd = usd + excluded.usd, diem = diem + excluded.diem',
    )
    this.#day = db.prepare(
      'insert into usage_day (payer_seq, day, kind_seq, count, amount, requests) values (?, ?, ?, ?, ?, ?) on conflict do update set count = count + excluded.count, amount = amount + excluded.amount, requests = requests + excluded.requests',
    )
  }

  begin(): void {
    this.#books.clear()
    this.#payers.clear()
    this.#keys.clear()
    this.#days.clear()
  }

  book(id: string, currency: Currency, delta: Amount): void {
    const sum = this.#books.get(id)
    if (sum) sum.delta += delta
    else this.#books.set(id, { currency, delta })
  }

  /** What a bill took from its account in one currency. */
  charge(bill: Bill, currency: Currency, amount: Amount): void {
    this.#payerOf(bill)[currency] += amount
    const key = this.#keyOf(bill)
    if (currency === 'DIEM') key.diem += amount
    else key.usd += amount
  }

  usage(payer: number, day: number, kind: number, count: number, amount: Amount): void {
    const id = kind * DAYS + day
    const sum = this.#days.get(id)
    if (!sum) {
      this.#days.set(id, { payer, day, kind, count, amount, requests: 1 })
      return
    }
    sum.count += count
    sum.amount += amount
    sum.requests++
  }

  /** Writes all sums. */
  end(): void {
    for (const [accountId, sum] of this.#payers) this.#spread(accountId, sum)
    for (const [id, { currency, delta }] of this.#books) {
      if (Number(this.#book.run(delta, this.#names.book(id, currency)).changes) !== 1) throw new Error('a book is gone')
    }
    for (const [day, keys] of this.#keys) for (const [keyId, { usd, diem }] of keys) this.#key.run(keyId, day, usd, diem)
    for (const { payer, day, kind, count, amount, requests } of this.#days.values())
      this.#day.run(payer, day, kind, count, amount, requests)
  }

  #payerOf({ accountId, diemDay }: Bill): PayerSum {
    const known = this.#payers.get(accountId)
    if (known && known.diemDay === diemDay) return known
    // Around midnight one account may pay from two days.
    if (known) this.#spread(accountId, known)
    const sum: PayerSum = { diemDay, DIEM: 0n, BUNDLED_CREDITS: 0n, USD: 0n }
    this.#payers.set(accountId, sum)
    return sum
  }

  #keyOf({ keyId, diemDay }: Bill): KeySum {
    let keys = this.#keys.get(diemDay)
    if (!keys) this.#keys.set(diemDay, (keys = new Map<string, KeySum>()))
    let sum = keys.get(keyId)
    if (!sum) keys.set(keyId, (sum = { usd: 0n, diem: 0n }))
    return sum
  }

  /** The two books of each charge. */
  #spread(accountId: string, sum: PayerSum): void {
    for (const currency of CURRENCIES) {
      const amount = sum[currency]
      if (amount === 0n) continue
      this.book(bookOf(accountId, currency, sum.diemDay), currency, -amount)
      this.book(revenueBook(currency), currency, amount)
    }
  }
}
