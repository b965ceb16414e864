/** Cuts a bill at the borders between the currencies that pay for it. */
import type { Amount, Currency, Line } from '../core/money.ts'
import type { PaidLine } from '../core/store.ts'

/** What each currency pays, in the order they are spent. */
export type Parts = { readonly diem: Amount; readonly bundled: Amount; readonly usd: Amount }

/**
 * The lines, each in the currency that pays for it; a line that several pay becomes several, in their order. Amounts and
 * counts of the parts sum up to those of the line: an earlier part counts the whole units that its amount covers, the last
 * one the rest. A line of nothing goes with what is being paid with where it stands.
 * The parts must sum up to the lines.
 */
export function cut(lines: readonly Line[], parts: Parts): readonly PaidLine[] {
  const only = onlyCurrency(parts)
  if (only !== null) return lines.map((line) => paid(line, line.count, line.amount, only))
  const purses: { readonly currency: Currency; left: Amount }[] = [
    { currency: 'DIEM', left: parts.diem },
    { currency: 'BUNDLED_CREDITS', left: parts.bundled },
    { currency: 'USD', left: parts.usd },
  ]
  const purse = purses.filter(({ left }) => left > 0n).values()
  let now = purse.next().value
  const out: PaidLine[] = []
  for (const line of lines) {
    let { count, amount } = line
    while (now && amount > now.left) {
      const part = now.left
      const covered = line.priceNano > 0 ? Math.min(count, Number(part / BigInt(line.priceNano))) : 0
      if (part > 0n) out.push(paid(line, covered, part, now.currency))
      if (part > 0n) count -= covered
      amount -= part
      const next = purse.next().value
      if (!next) break
      now = next
    }
    out.push(paid(line, count, amount, now?.currency ?? 'USD'))
    if (now) now.left -= amount
  }
  return out
}

function onlyCurrency({ diem, bundled, usd }: Parts): Currency | null {
  if (diem === 0n && bundled === 0n) return 'USD'
  if (bundled === 0n && usd === 0n) return 'DIEM'
  return diem === 0n && usd === 0n ? 'BUNDLED_CREDITS' : null
}

/** Field by field, in one order: a copy of the line would be slower, and the rows are written from these. */
const paid = ({ unit, priceNano }: Line, count: number, amount: Amount, currency: Currency): PaidLine => ({
  unit,
  count,
  priceNano,
  amount,
  currency,
})
