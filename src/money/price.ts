/** What a run may cost, and what it did cost: the ledger's view of prices. */
import { amountOf, lines, rateOf } from '../core/money.ts'
import type { Amount, Line, Price, PriceList } from '../core/money.ts'
import type { Unit, Usage } from '../core/usage.ts'

/**
 * The most that a usage up to this ceiling can cost, to be held. How much of a prompt comes from a cache or goes into
 * one is known afterwards only, so every input token counts at the dearest of its rates; and a run near the line
 * between base and extended rates may end on either side of it. Null where something in it has no price: that is not nothing.
 */
export function quote(prices: PriceList, ceiling: Usage): Amount | null {
  const { base, extended } = prices
  if (!isPriced(base, ceiling) || (extended && !isPriced(extended.price, ceiling))) return null
  const atBase = worst(base, ceiling)
  if (!extended || inputOf(ceiling) <= extended.aboveInputTokens) return atBase
  const atExtended = worst(extended.price, ceiling)
  return atExtended > atBase ? atExtended : atBase
}

/** What a usage costs, line by line. */
export function price(prices: PriceList, usage: Usage): Line[] {
  return lines(prices, soundUsage(usage))
}

/**
 * The usage with whole, sensible counts: counts come from engines, a negative one has happened to others, and so has a
 * fraction of a token. What is no number, or below zero, is nothing, and `odd` is told.
 */
export function soundUsage(usage: Usage, odd?: () => void): Usage {
  if (isSound(usage)) return usage
  odd?.()
  return sound(usage)
}

/**
 * The lines that are charged for: those given, with what exceeds the limit taken off the last of them, so that they sum
 * up to what is paid. A line that was cut shows it: its amount is less than its count times its price.
 */
export function clip(of: readonly Line[], limit: Amount): readonly Line[] {
  let left = limit
  let cut: Line[] | null = null
  let index = 0
  for (const line of of) {
    const amount = line.amount < 0n ? 0n : line.amount > left ? left : line.amount
    left -= amount
    const whole = amount === line.amount && isCount(line.count)
    if (!whole) cut ??= of.slice(0, index)
    index++
    cut?.push(whole ? line : { ...line, count: nearestCount(line.count), amount })
  }
  return cut ?? of
}

function worst(rates: Price, usage: Usage): Amount {
  const input = Math.max(rates.inputToken ?? 0, rates.cacheReadToken ?? 0, rates.cacheWriteToken ?? 0)
  let sum = amountOf(inputOf(usage), input)
  // The keys of a Usage are Units by construction.
  for (const unit in usage) if (!INPUT.has(unit as Unit)) sum += amountOf(usage[unit as Unit] ?? 0, rateOf(rates, unit as Unit))
  return sum
}

const INPUT: ReadonlySet<Unit> = new Set<Unit>(['inputToken', 'cacheReadToken', 'cacheWriteToken'])

const inputOf = (usage: Usage): number => (usage.inputToken ?? 0) + (usage.cacheReadToken ?? 0) + (usage.cacheWriteToken ?? 0)

function isPriced(rates: Price, ceiling: Usage): boolean {
  // The keys of a Usage are Units by construction.
  for (const unit in ceiling) if (ceiling[unit as Unit] && rates[unit as Unit] === undefined) return false
  return true
}

function isSound(usage: Usage): boolean {
  // The keys of a Usage are Units by construction.
  for (const unit in usage) if (!isCount(usage[unit as Unit] ?? 0)) return false
  return true
}

function sound(usage: Usage): Usage {
  const out: Partial<Record<Unit, number>> = {}
  // As above.
  for (const unit in usage) out[unit as Unit] = nearestCount(usage[unit as Unit] ?? 0)
  return out
}

const isCount = (count: number): boolean => Number.isSafeInteger(count) && count >= 0

/** Not a number is none; part of a piece is a piece. */
const nearestCount = (count: number): number => (count > 0 ? Math.min(Math.ceil(count), Number.MAX_SAFE_INTEGER) : 0)
