/** Numbers for a JSON schema: small and round ones first, then along the bounds. */
import { numberOf } from './schema-check.ts'
import type { Rule, Supply } from './schema-check.ts'

const MAX_TRIES = 1000

/** Proposals, most of which fit; the caller checks. */
export function* numbers(rules: readonly Rule[], whole: boolean): Supply<number> {
  const low = Math.max(
    -Infinity,
    ...rules.flatMap((rule) => [numberOf(rule, 'minimum') ?? -Infinity, numberOf(rule, 'exclusiveMinimum') ?? -Infinity]),
  )
  const high = Math.min(
    Infinity,
    ...rules.flatMap((rule) => [numberOf(rule, 'maximum') ?? Infinity, numberOf(rule, 'exclusiveMaximum') ?? Infinity]),
  )
  const steps = rules.map((rule) => numberOf(rule, 'multipleOf') ?? 0).filter((step) => step > 0)
  const step = Math.max(0, ...steps) || (whole ? 1 : 0)

  if (step > 0) return yield* multiples(step, low, high)
  yield* [1, 0]
  if (Number.isFinite(low) && Number.isFinite(high)) yield* [(low + high) / 2, low + (high - low) / 4, low, high]
  for (let i = 0; i < MAX_TRIES; i++) {
    if (Number.isFinite(low)) yield low + i / 2
    else yield Number.isFinite(high) ? high - i / 2 : 1.5 + i / 2
  }
}

function* multiples(step: number, low: number, high: number): Supply<number> {
  const places = placesOf(step)
  const times = (count: number): number => {
    const product = count * step
    return Math.abs(product) < 1e21 ? Number(product.toFixed(places)) + 0 : product
  }
  if (low <= step && step <= high) yield step
  if (low <= 0 && high >= 0) yield 0
  const first = Number.isFinite(low) ? Math.ceil(low / step) - 1 : Number.isFinite(high) ? Math.floor(high / step) + 1 : 2
  const direction = Number.isFinite(low) || !Number.isFinite(high) ? 1 : -1
  for (let i = 0; i < MAX_TRIES; i++) yield times(first + i * direction)
}

/** Decimal places of a number, up to 20. */
function placesOf(number: number): number {
  for (let places = 0; places < 20; places++) if (Number(number.toFixed(places)) === number) return places
  return 20
}
