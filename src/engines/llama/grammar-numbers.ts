/** Ranges of whole numbers as grammars: digit by digit, so that nothing outside of the range can be written. */

/** The most digits that a number keeps exactly. */
const MOST = 999_999_999_999_999

/** The whole numbers from `least` to `most`, both included; null is without a bound, as far as numbers are exact. */
export function integerRange(least: number | null, most: number | null): string {
  const low = Math.max(-MOST, Math.ceil(least ?? -MOST))
  const high = Math.min(MOST, Math.floor(most ?? MOST))
  if (low > high) throw new RangeError('an empty range')
  const parts: string[] = []
  if (low < 0) parts.push(`"-" (${natural(Math.max(1, -Math.min(high, -1)), -low)})`)
  if (high >= 0) parts.push(natural(Math.max(0, low), high))
  return parts.join(' | ')
}

/** Numbers from 0 on without a sign. */
function natural(low: number, high: number): string {
  const parts: string[] = []
  let from = low
  while (from <= high) {
    const length = String(from).length
    const to = Math.min(high, 10 ** length - 1)
    parts.push(sameLength(String(from), String(to)))
    from = to + 1
  }
  return parts.join(' | ')
}

function sameLength(low: string, high: string): string {
  if (low === '') return ''
  const [a = '0', b = '0'] = [low[0], high[0]]
  const [lowRest, highRest] = [low.slice(1), high.slice(1)]
  const rest = lowRest.length
  if (isAll('0', lowRest) && isAll('9', highRest)) return `${digit(a, b)}${any(rest)}`
  if (a === b) return `"${a}" (${sameLength(lowRest, highRest)})`
  const parts = [`"${a}" (${sameLength(lowRest, '9'.repeat(rest))})`]
  if (Number(b) - Number(a) > 1) parts.push(`${digit(String(Number(a) + 1), String(Number(b) - 1))}${any(rest)}`)
  parts.push(`"${b}" (${sameLength('0'.repeat(rest), highRest)})`)
  return parts.join(' | ')
}

const digit = (a: string, b: string): string => (a === b ? `"${a}"` : `[${a}-${b}]`)
const any = (count: number): string => (count === 0 ? '' : ` [0-9]{${count}}`)
const isAll = (one: string, text: string): boolean => text === one.repeat(text.length)
