/** Money: integer nano-dollars, prices per unit, and the one multiplication that turns counts into an amount. */
import type { Unit, Usage } from './usage.ts'

/** Nano-US-dollars (1 USD = 1_000_000_000). Always a whole number, so no sum ever rounds. */
export type Amount = bigint

/** What is paid with, in the order it is spent. Each is a ledger of its own; all count in nano-dollars. */
export const CURRENCIES = ['DIEM', 'BUNDLED_CREDITS', 'USD'] as const
export type Currency = (typeof CURRENCIES)[number]

/**
 * What one unit costs, in nano-dollars: whole numbers only, given as `number` because they are small
 * (at most 2^31, checked by the catalogue) and multiplied on the hot path.
 * A unit that is absent is not sold; a unit at 0 is free. The two are never confused.
 */
export type Price = Readonly<Partial<Record<Unit, number>>>

/** A price with the rates that apply to the whole request once its input is longer than `aboveInputTokens`. */
export type PriceList = {
  readonly base: Price
  readonly extended?: { readonly aboveInputTokens: number; readonly price: Price }
}

/** One priced unit of a run: what the usage record and the bill say. */
export type Line = { readonly unit: Unit; readonly count: number; readonly priceNano: number; readonly amount: Amount }

/** Dollars for people and JSON: exact for any amount below 9 million dollars. */
export const toUsd = (amount: Amount): number => Number(amount) / 1e9

/** A decimal string with nine digits at most and no trailing zeros: `1.25`, `0`, `-0.000000001`. */
export function formatUsd(amount: Amount): string {
  const sign = amount < 0n ? '-' : ''
  const digits = (amount < 0n ? -amount : amount).toString().padStart(10, '0')
  const whole = digits.slice(0, -9)
  let end = digits.length
  while (digits.charCodeAt(end - 1) === ZERO && end > whole.length) end--
  return end > whole.length ? `${sign}${whole}.${digits.slice(whole.length, end)}` : sign + whole
}

const ZERO = 0x30

/** The rates that apply to this usage: the extended ones replace the base ones for the whole request. */
export function ratesFor(prices: PriceList, usage: Usage): Price {
  const { extended } = prices
  if (!extended) return prices.base
  const input = (usage.inputToken ?? 0) + (usage.cacheReadToken ?? 0) + (usage.cacheWriteToken ?? 0)
  return input > extended.aboveInputTokens ? extended.price : prices.base
}

/**
 * Prices a usage, one line per unit that has a count.
 * A unit that the price does not name falls back to the unit it is a kind of (a cached input token is an input
 * token); a unit that has no price at all is a broken catalogue, which `unpriced` reports when the catalogue loads.
 */
export function lines(prices: PriceList, usage: Usage): Line[] {
  const rates = ratesFor(prices, usage)
  const out: Line[] = []
  // `Object.entries` would lose the key type; the keys of a Usage are Units by construction.
  for (const unit in usage) {
    const count = usage[unit as Unit]
    if (!count) continue
    const priceNano = rateOf(rates, unit as Unit)
    out.push({ unit: unit as Unit, count, priceNano, amount: amountOf(count, priceNano) })
  }
  return out
}

/**
 * Count times price, exactly. A product that a float holds exactly is what it seems, and three times cheaper than one of
 * bigints; one that a float would round comes out beyond the safe integers and is made again.
 */
export function amountOf(count: number, priceNano: number): Amount {
  const product = count * priceNano
  return Number.isSafeInteger(product) ? BigInt(product) : BigInt(count) * BigInt(priceNano)
}

/** The sum of the lines: the only way to get the amount of a run. */
export function total(of: readonly Line[]): Amount {
  let sum = 0n
  for (const line of of) sum += line.amount
  return sum
}

/** The rate of a unit; where there is none, that of the unit it is a kind of. */
export function rateOf(rates: Price, unit: Unit): number {
  const rate = rates[unit]
  if (rate !== undefined) return rate
  if (unit === 'cacheReadToken' || unit === 'cacheWriteToken') return rates.inputToken ?? 0
  return 0
}
