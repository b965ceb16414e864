/** Dollars as JSON numbers, to and from nano-dollars: exactly, or not at all. */
import { type Amount, formatUsd } from '../../core/money.ts'

const NANO_DIGITS = 9
/** So many digits survive in a JSON number, whatever they are. */
const SAFE_DIGITS = 15

/**
 * The nano-dollars of a number of dollars, as it is written in decimal; null where it is finer than a nano-dollar, or has
 * more digits than the number that came can be trusted to hold. Not negative.
 */
export function nanoOf(dollars: number): Amount | null {
  if (!Number.isFinite(dollars) || dollars < 0) return null
  const [mantissa = '', exponent = '0'] = String(dollars).split('e')
  const [whole = '', fraction = ''] = mantissa.split('.')
  const digits = BigInt(whole + fraction)
  if (digits.toString().length > SAFE_DIGITS) return null
  const shift = Number(exponent) - fraction.length + NANO_DIGITS
  return shift < 0 ? null : digits * 10n ** BigInt(shift)
}

/** The number that is written like the amount. */
export const dollarsOf = (amount: Amount): number => Number(formatUsd(amount))
