/** What a Rialto's database says of one request: its usage records and the transfer that paid for it. */
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect } from 'vitest'

export type Charged = {
  /** The amount of the transfer. */
  readonly amount: number
  readonly fromBook: string | null
  readonly lines: readonly { readonly unit: string; readonly count: number; readonly priceNano: number; readonly amount: number }[]
}

/** Null where nothing was settled under this id. */
export function chargedFor(home: string, requestId: string): Charged | null {
  const db = new DatabaseSync(join(home, 'rialto.db'), { readOnly: true })
  try {
    const transfer = db
      .prepare(
        'SELECT transfer.seq, amount, book.id AS from_book FROM transfer LEFT JOIN book ON book.seq = from_book WHERE transfer.id = ?',
      )
      .get(`settle:${requestId}`)
    if (transfer === undefined) return null
    const rows = db
      .prepare(
        'SELECT unit, count, price_nano, amount FROM usage_record JOIN usage_kind ON usage_kind.seq = kind_seq WHERE transfer_seq = ? ORDER BY line',
      )
      .all(transfer['seq'] ?? 0)
    return {
      amount: Number(transfer['amount']),
      fromBook: transfer['from_book'] === null ? null : String(transfer['from_book']),
      lines: rows.map((row) => ({
        unit: String(row['unit']),
        count: Number(row['count']),
        priceNano: Number(row['price_nano']),
        amount: Number(row['amount']),
      })),
    }
  } finally {
    db.close()
  }
}

/** The same, once it is written: the store follows the answer within moments. Its lines sum up to its amount. */
export async function charge(home: string, requestId: string): Promise<Charged> {
  let found: Charged | null = null
  await expect.poll(() => (found = chargedFor(home, requestId)), { timeout: 10_000, interval: 20 }).not.toBeNull()
  if (found === null) throw new Error('nothing was charged')
  const { amount, lines }: Charged = found
  expect(lines.reduce((sum, line) => sum + line.amount, 0)).toBe(amount)
  return found
}
