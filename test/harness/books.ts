/** What a Rialto's database says of one request: its usage records and the transfers that paid for it. */
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect } from 'vitest'

export type Charged = {
  /** The amount of the transfers, all currencies together. */
  readonly amount: number
  /** The book of the first of them. */
  readonly fromBook: string | null
  readonly lines: readonly {
    readonly unit: string
    readonly count: number
    readonly priceNano: number
    readonly amount: number
    readonly currency: string
  }[]
}

/** Null where nothing was settled under this id. */
export function chargedFor(home: string, requestId: string): Charged | null {
  const db = new DatabaseSync(join(home, 'rialto.db'), { readOnly: true })
  try {
    const ids = ['DIEM', 'BUNDLED_CREDITS', 'USD'].map((currency) => `settle:${requestId}:${currency}`)
    const transfers = db
      .prepare(
        'SELECT amount, book.id AS from_book FROM transfer LEFT JOIN book ON book.seq = from_book WHERE transfer.id IN (?, ?, ?) ORDER BY transfer.seq',
      )
      .all(...ids)
    if (transfers.length === 0) return null
    const rows = db
      .prepare(
        'SELECT unit, count, price_nano, usage_record.amount, currency FROM usage_record JOIN usage_kind ON usage_kind.seq = kind_seq JOIN transfer ON transfer.seq = transfer_seq WHERE transfer.id IN (?, ?, ?) ORDER BY line',
      )
      .all(...ids)
    const from = transfers.find((transfer) => transfer['from_book'] !== null)
    return {
      amount: transfers.reduce((sum, transfer) => sum + Number(transfer['amount']), 0),
      fromBook: from === undefined ? null : String(from['from_book']),
      lines: rows.map((row) => ({
        unit: String(row['unit']),
        count: Number(row['count']),
        priceNano: Number(row['price_nano']),
        amount: Number(row['amount']),
        currency: String(row['currency']),
      })),
    }
  } finally {
    db.close()
  }
}

/** What every settled request was charged, all currencies together, by request: for many at once. */
export function allCharges(home: string): ReadonlyMap<string, number> {
  const db = new DatabaseSync(join(home, 'rialto.db'), { readOnly: true })
  try {
    const charges = new Map<string, number>()
    for (const { id, amount } of db.prepare("SELECT id, amount FROM transfer WHERE kind = 'settle'").all()) {
      const requestId = String(id).split(':')[1] ?? ''
      charges.set(requestId, (charges.get(requestId) ?? 0) + Number(amount))
    }
    return charges
  } finally {
    db.close()
  }
}

/** What one was charged, once it is written: the store follows the answer within moments. Its lines sum up to its amount. */
export async function charge(home: string, requestId: string): Promise<Charged> {
  let found: Charged | null = null
  await expect.poll(() => (found = chargedFor(home, requestId)), { timeout: 10_000, interval: 20 }).not.toBeNull()
  if (found === null) throw new Error('nothing was charged')
  const { amount, lines }: Charged = found
  expect(lines.reduce((sum, line) => sum + line.amount, 0)).toBe(amount)
  return found
}

/** The balance of every book, by its name, and what each currency sums up to. */
export function booksOf(home: string): { readonly books: ReadonlyMap<string, bigint>; readonly sums: Readonly<Record<string, bigint>> } {
  const db = new DatabaseSync(join(home, 'rialto.db'), { readOnly: true, readBigInts: true })
  try {
    const rows = db.prepare('SELECT id, currency, balance FROM book').all()
    const sums: Record<string, bigint> = {}
    const books = new Map<string, bigint>()
    for (const { id, currency, balance } of rows) {
      books.set(String(id), BigInt(String(balance)))
      sums[String(currency)] = (sums[String(currency)] ?? 0n) + BigInt(String(balance))
    }
    return { books, sums }
  } finally {
    db.close()
  }
}
