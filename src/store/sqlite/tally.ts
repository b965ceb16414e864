/**
 * Adds everything up anew and holds it against the sums that are kept. On a connection of its own that sees one moment of the
 * database, in slices of a few milliseconds, so that neither writing nor serving waits for it.
 */
import { DatabaseSync } from 'node:sqlite'
import type { SQLInputValue } from 'node:sqlite'
import { setImmediate as turn } from 'node:timers/promises'
import { accountOfBook } from '../../core/book.ts'
import type { Amount, Currency } from '../../core/money.ts'
import type { BookSum, Difference, Tally } from '../../core/store.ts'
import { MEMORY } from './database.ts'

/** How many rows are added up at once. */
const SLICE_ROWS = 1_000
/** After so long the event loop gets a turn. */
const WORK_MS = 5
/** More than these would say nothing new; they are counted. */
const MAX_DIFFERENCES = 100

/** `shared` is used where the database is in memory and has one connection: then all is done in one go. */
export async function tally(path: string, shared: DatabaseSync): Promise<Tally> {
  if (path === MEMORY) {
    const sums = new Sums(shared)
    for (const _ of sums.slices());
    return sums.result()
  }
  const db = new DatabaseSync(path, { readOnly: true, readBigInts: true, timeout: 100 })
  try {
    db.exec('begin')
    const sums = new Sums(db)
    let started = performance.now()
    for (const _ of sums.slices()) {
      if (performance.now() - started < WORK_MS) continue
      await turn()
      started = performance.now()
    }
    return sums.result()
  } finally {
    db.close()
  }
}

/** Beyond any time that a clock can show. */
const EARLIEST = -(2n ** 53n)
const LATEST = 2n ** 53n

type Row = Record<string, string | bigint | null>

class Sums {
  readonly #db: DatabaseSync
  readonly #books = new Map<bigint, Amount>()
  readonly #differences: Difference[] = []
  #leftOut = 0
  #transfers = 0
  #usageRows = 0
  #sums: BookSum[] = []

  constructor(db: DatabaseSync) {
    this.#db = db
  }

  result(): Tally {
    return {
      transfers: this.#transfers,
      usageRows: this.#usageRows,
      sums: this.#sums,
      differences: this.#differences,
      leftOut: this.#leftOut,
    }
  }

  /** Does the work; yields wherever it may be interrupted. */
  *slices(): Generator<void> {
    const charged = yield* this.#addTransfers()
    yield* this.#compareBooks()
    const used = yield* this.#addUsage()
    // A usage row that belongs to no charge shows up here only.
    for (const currency of new Set([...charged.keys(), ...used.keys()])) {
      this.#compare('usage', 'all', currency, charged.get(currency) ?? 0n, used.get(currency) ?? 0n)
    }
  }

  /** Every transfer into the sums of its books, every charge against its usage. Returns what was charged, by currency. */
  *#addTransfers(): Generator<void, Map<string, Amount>> {
    const charged = new Map<string, Amount>()
    const last = this.#number('select coalesce(max(seq), 0) as n from transfer')
    const moved = this.#db.prepare(
      `select from_book as book, -sum(amount) as sum, count(*) as n from transfer where seq > ?1 and seq <= ?2 group by 1
       union all select to_book, sum(amount), 0 from transfer where seq > ?1 and seq <= ?2 group by 1`,
    )
    const mixed = this.#db.prepare(
      `select transfer.id, source.currency, amount from transfer join book source on source.seq = from_book join book target on target.seq = to_book
       where transfer.seq > ? and transfer.seq <= ? and source.currency <> target.currency`,
    )
    const bills = this.#db.prepare(
      `select transfer.id, transfer.amount, coalesce(currency, '') as currency, (select coalesce(sum(u.amount), 0) from usage_record u
         where u.payer_seq = transfer.payer_seq and u.at = transfer.at and u.transfer_seq = transfer.seq) as used
       from transfer left join book on book.seq = from_book where kind = 'settle' and transfer.seq > ? and transfer.seq <= ?`,
    )
    for (let from = 0; from < last; from += SLICE_ROWS) {
      const range = [from, Math.min(from + SLICE_ROWS, last)]
      for (const { book, sum, n } of rows(moved.all(...range))) {
        this.#transfers += Number(n)
        if (typeof book === 'bigint') this.#books.set(book, (this.#books.get(book) ?? 0n) + whole(sum))
      }
      for (const { id, currency, amount } of rows(mixed.all(...range)))
        this.#compare('currency', String(id), String(currency), 0n, whole(amount))
      for (const { id, amount, used, currency } of rows(bills.all(...range))) {
        add(charged, String(currency), whole(amount))
        this.#compare('charge', String(id), String(currency), whole(amount), whole(used))
      }
      yield
    }
    // What was charged in no currency is nothing.
    charged.delete('')
    return charged
  }

  *#compareBooks(): Generator<void> {
    const sums = new Map<string, { currency: Currency; books: string; count: number; balance: Amount; recomputed: Amount }>()
    const page = this.#db.prepare('select seq, id, currency, balance from book where seq > ? order by seq limit ?')
    for (let after = 0n; ; ) {
      const some = rows(page.all(after, SLICE_ROWS))
      for (const { seq, id, currency, balance } of some) {
        after = whole(seq)
        const kept = whole(balance)
        const recomputed = this.#books.get(after) ?? 0n
        this.#compare('book', String(id), String(currency), kept, recomputed)
        const books = groupOf(String(id))
        const key = `${String(currency)} ${books}`
        const sum = sums.get(key) ?? { currency: currencyOf(currency), books, count: 0, balance: 0n, recomputed: 0n }
        sums.set(key, { ...sum, count: sum.count + 1, balance: sum.balance + kept, recomputed: sum.recomputed + recomputed })
      }
      yield
      if (some.length < SLICE_ROWS) break
    }
    this.#sums = [...sums.values()]
  }

  /** Every usage row against the sums of its day and of its key. Returns what was used, by currency. */
  *#addUsage(): Generator<void, Map<string, Amount>> {
    const used = new Map<string, Amount>()
    const payers = rows(this.#db.prepare('select seq, id from payer order by seq').all())
    for (const { seq, id } of payers) {
      const days = yield* this.#usageOf(whole(seq))
      for (const [key, sum] of days) add(used, key.split(' ', 2)[1] ?? '', sum)
      this.#compareDays(whole(seq), String(id), days)
      this.#compareKeys(whole(seq))
      yield
    }
    used.delete('')
    return used
  }

  /** What an account used, by day and currency. Rows of one moment are never parted. */
  *#usageOf(payer: bigint): Generator<void, Map<string, Amount>> {
    const days = new Map<string, Amount>()
    const boundary = this.#db.prepare('select at from usage_record where payer_seq = ? and at >= ? order by at limit 1 offset ?')
    const slice = this.#db.prepare(
      `select u.at / 86400000 as day, currency, sum(u.amount) as sum, count(*) as n from usage_record u join usage_kind k on k.seq = kind_seq
       where u.payer_seq = ? and u.at >= ? and u.at < ? group by 1, 2`,
    )
    for (let from = EARLIEST; from < LATEST; ) {
      const at = rows([boundary.get(payer, from, SLICE_ROWS) ?? {}])[0]?.['at']
      const to = typeof at !== 'bigint' ? LATEST : at > from ? at : from + 1n
      for (const { day, currency, sum, n } of rows(slice.all(payer, from, to))) {
        this.#usageRows += Number(n)
        add(days, `${String(day)} ${String(currency)}`, whole(sum))
      }
      from = to
      yield
    }
    return days
  }

  #compareDays(payer: bigint, accountId: string, days: ReadonlyMap<string, Amount>): void {
    const kept = new Map<string, Amount>()
    const sums = this.#db.prepare(
      `select day, currency, sum(d.amount) as sum from usage_day d join usage_kind k on k.seq = kind_seq where d.payer_seq = ? group by 1, 2`,
    )
    for (const { day, currency, sum } of rows(sums.all(payer))) kept.set(`${String(day)} ${String(currency)}`, whole(sum))
    for (const key of new Set([...kept.keys(), ...days.keys()])) {
      const [day = '', currency = ''] = key.split(' ', 2)
      this.#compare('day', `${accountId} ${day}`, currency, kept.get(key) ?? 0n, days.get(key) ?? 0n)
    }
  }

  /** What keys are said to have spent against the daily sums. Bundled credits count as dollars there. */
  #compareKeys(payer: bigint): void {
    const sums = this.#db.prepare(
      `select key_id, currency = 'DIEM' as is_diem, sum(d.amount) as sum,
         (select coalesce(sum(case when currency = 'DIEM' then diem else usd end), 0) from key_day where key_day.key_id = k.key_id) as kept
       from usage_day d join usage_kind k on k.seq = kind_seq where d.payer_seq = ? group by 1, 2`,
    )
    for (const { key_id: keyId, is_diem: isDiem, sum, kept } of rows(sums.all(payer))) {
      this.#compare('key', String(keyId), isDiem === 1n ? 'DIEM' : 'USD', whole(kept), whole(sum))
    }
  }

  #compare(what: Difference['what'], id: string, currency: string, kept: Amount, recomputed: Amount): void {
    if (kept === recomputed) return
    if (this.#differences.length < MAX_DIFFERENCES) this.#differences.push({ what, id, currency: currencyOf(currency), kept, recomputed })
    else this.#leftOut++
  }

  #number(query: string, ...parameters: SQLInputValue[]): number {
    return Number(rows([this.#db.prepare(query).get(...parameters) ?? {}])[0]?.['n'] ?? 0)
  }
}

/** House books are named; those of accounts are many, and go together by their kind. */
const groupOf = (book: string): string => (accountOfBook(book) === null ? book : `${book.slice(0, book.indexOf(':'))}:*`)

/** The database is opened so that whole numbers come as bigint, and the tables have texts and whole numbers only. */
const rows = (of: readonly unknown[]): Row[] => of as Row[]

const whole = (value: string | bigint | null | undefined): Amount => (typeof value === 'bigint' ? value : 0n)

/** The column holds what `Currency` names and nothing else; a book that is not there has none, and counts as dollars. */
const currencyOf = (value: unknown): Currency => (value === 'DIEM' || value === 'BUNDLED_CREDITS' ? value : 'USD')

function add(sums: Map<string, Amount>, key: string, amount: Amount): void {
  sums.set(key, (sums.get(key) ?? 0n) + amount)
}
