/** What an account has of one currency, and what its keys have spent: the numbers that holds and charges move. */
import { bookOf, monthStartOf } from '../core/book.ts'
import type { CapPeriod, SpendCaps } from '../core/call.ts'
import type { Amount, Currency } from '../core/money.ts'
import type { KeySpend } from '../core/store.ts'

/** A tenth of a DIEM: an allowance below it gives nothing. */
export const MIN_ALLOWANCE: Amount = 100_000_000n

/** A million dollars: more in one movement is a mistake, and sums stay far from what the store can hold. */
export const MAX_AMOUNT: Amount = 10n ** 15n

export type Purse = {
  readonly currency: Currency
  readonly book: string
  /** What came in minus what was charged, written or not. */
  balance: Amount
  /** The sum of the open holds. */
  held: Amount
  /** The part of the balance that is not written yet: below zero for charges. */
  pending: Amount
}

/** The DIEM of one UTC day. What is left in it when the day is over is never spent. */
export type DayPurse = Purse & {
  readonly day: number
  /** What allowances brought into its book, written or not. */
  minted: Amount
  /** The part of the balance that is to be brought in when it is first used. */
  unfunded: Amount
}

export const purseOf = (accountId: string, currency: Currency, balance: Amount): Purse => ({
  currency,
  book: bookOf(accountId, currency, 0),
  balance,
  held: 0n,
  pending: 0n,
})

/** The purse of a day whose book has this balance, to which allowances brought `minted`. */
export function dayPurseOf(accountId: string, day: number, allowance: Amount, stored: Amount, minted: Amount): DayPurse {
  const book = bookOf(accountId, 'DIEM', day)
  const purse: DayPurse = { currency: 'DIEM', book, day, balance: stored, held: 0n, pending: 0n, minted, unfunded: 0n }
  allow(purse, allowance)
  return purse
}

/** Makes the day worth this allowance, as far as it is not used yet: a day keeps what was brought into it. */
export function allow(purse: DayPurse, allowance: Amount): void {
  const whole = allowance < MIN_ALLOWANCE ? 0n : allowance
  const unfunded = whole > purse.minted ? whole - purse.minted : 0n
  purse.balance += unfunded - purse.unfunded
  purse.unfunded = unfunded
}

/** What nobody holds. */
export const freeIn = ({ balance, held }: Purse): Amount => (balance > held ? balance - held : 0n)

/** What a key spent and holds from a day on. Bundled credits are among the dollars. */
type Meter = { readonly from: number; usd: Amount; diem: Amount; usdHeld: Amount; diemHeld: Amount }

export type KeyState = { readonly id: string; uses: number } & Record<CapPeriod, Meter>

const PERIODS = ['EPOCH', 'MONTH', 'LIFETIME'] as const satisfies readonly CapPeriod[]

/** The first day of the period that a day is in. */
export function periodStart(period: CapPeriod, day: number): number {
  switch (period) {
    case 'EPOCH':
      return day
    case 'MONTH':
      return monthStartOf(day)
    case 'LIFETIME':
      return 0
  }
}

export const meterOf = (from: number, spent: KeySpend): Meter => ({ from, usd: spent.usd, diem: spent.diem, usdHeld: 0n, diemHeld: 0n })

/** Begins the periods that have begun since the key was used last. Nothing was spent in them: all spending goes through here. */
export function turnKey(key: KeyState, day: number): void {
  if (key.EPOCH.from >= day) return
  key.EPOCH = meterOf(day, NOTHING)
  const month = monthStartOf(day)
  if (key.MONTH.from < month) key.MONTH = meterOf(month, NOTHING)
}

const NOTHING: KeySpend = { usd: 0n, diem: 0n }

/** Adds to what a key holds, on this day. */
export function holdOfKey(key: KeyState, day: number, usd: Amount, diem: Amount): void {
  for (const period of PERIODS) {
    const meter = key[period]
    // A hold of a former period is none of the period now.
    if (meter.from > day) continue
    meter.usdHeld += usd
    meter.diemHeld += diem
  }
}

export function spendOfKey(key: KeyState, day: number, usd: Amount, diem: Amount): void {
  for (const period of PERIODS) {
    const meter = key[period]
    if (meter.from > day) continue
    meter.usd += usd
    meter.diem += diem
  }
}

/** What the caps of a key leave it in its period, its open holds taken off; null is without limit. */
export function roomOf(key: KeyState, caps: SpendCaps): { readonly usd: Amount | null; readonly diem: Amount | null } {
  const meter = key[caps.period]
  return {
    usd: caps.usd === null ? null : atLeastZero(caps.usd - meter.usd - meter.usdHeld),
    diem: caps.diem === null ? null : atLeastZero(caps.diem - meter.diem - meter.diemHeld),
  }
}

export const atLeastZero = (amount: Amount): Amount => (amount < 0n ? 0n : amount)
export const least = (a: Amount, b: Amount): Amount => (a < b ? a : b)
/** The lesser of the two, where the second is no limit at all when it is null. */
export const within = (amount: Amount, limit: Amount | null): Amount => (limit === null || amount < limit ? amount : limit)
