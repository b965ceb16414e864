/**
 * The names of the books. The ledger writes under them and the store sums them up; each is of one currency.
 * What an account has is in `account:<id>` (USD), `bundled:<id>`, and `diem:<id>:<day>`, one for each UTC day.
 */
import type { Currency } from './money.ts'

const DAY_MS = 86_400_000

/** Where money comes from. */
export const SOURCES = ['bank', 'stripe', 'x402', 'grants'] as const
export type Source = (typeof SOURCES)[number]

/** Where the allowance of a day comes from. */
export const DIEM_MINT = 'diem:mint'

/** The UTC day of a moment, as days since 1970. */
export const dayOf = (atMs: number): number => Math.floor(atMs / DAY_MS)
export const dayStartMs = (day: number): number => day * DAY_MS

/** The first day of the month that a day is in. */
export function monthStartOf(day: number): number {
  return day - new Date(dayStartMs(day)).getUTCDate() + 1
}

/** The book that an account pays from. `day` matters for DIEM only. */
export function bookOf(accountId: string, currency: Currency, day: number): string {
  switch (currency) {
    case 'DIEM':
      return `diem:${accountId}:${day}`
    case 'BUNDLED_CREDITS':
      return `bundled:${accountId}`
    case 'USD':
      return `account:${accountId}`
  }
}

/** Where charges go. */
export const revenueBook = (currency: Currency): string => `revenue${SUFFIX[currency]}`
export const sourceBook = (source: Source, currency: Currency): string => `${source}${SUFFIX[currency]}`

const SUFFIX = { DIEM: ':diem', BUNDLED_CREDITS: ':bundled', USD: '' } as const satisfies Record<Currency, string>

/** Whose book it is; null for those of the house. */
export function accountOfBook(book: string): string | null {
  const [kind = ''] = book.split(':', 1)
  const rest = book.slice(kind.length + 1)
  if (kind === 'account' || kind === 'bundled') return rest
  if (kind !== 'diem') return null
  const end = rest.lastIndexOf(':')
  return end < 0 ? null : rest.slice(0, end)
}
