/** Prices of the files, in dollars per many units → whole nano-dollars per unit. Decimal arithmetic, never floats. */
import type { Price, PriceList } from '../core/money.ts'
import type { Unit } from '../core/usage.ts'
import type { Cost, ModelEntry } from './entry.ts'
import { problem } from './problem.ts'

/** A price above this is a mistake, and would not fit the arithmetic of the hot path. */
export const MAX_NANO = 2 ** 31

/** How many units a price is for, as a power of ten. */
const ONE = 0
const THOUSAND = 3
const MILLION = 6

/**
 * The nano-dollars of one unit when ten to the `power` units cost `usd` dollars, or null where that is not whole.
 * A number prints as the shortest decimal that it was read from, so what is computed with is what the file says. A string
 * must be a decimal without a sign.
 */
export function nanoPerUnit(usd: number | string, power: number): bigint | null {
  const [mantissa = '0', exponent = '0'] = String(usd).split('e')
  const [whole = '0', fraction = ''] = mantissa.split('.')
  const digits = BigInt(whole + fraction)
  const shift = Number(exponent) - fraction.length + 9 - power
  if (shift >= 0) return digits * 10n ** BigInt(shift)
  const divisor = 10n ** BigInt(-shift)
  return digits % divisor === 0n ? digits / divisor : null
}

/**
 * What one unit of a model costs. A unit whose price depends on a choice (resolution, quality, scale, length) is not
 * in the list: the endpoint that takes the choice looks it up in the spec.
 * Throws a `CatalogProblem` for a price that is not a whole number of nano-dollars per unit, or too high.
 */
export function priceList(entry: ModelEntry): PriceList {
  const { pricing } = entry.spec
  if (pricing) checkDeep(entry, pricing, 'spec.pricing', entry.type === 'text' || entry.type === 'embedding' || entry.type === 'tts')
  switch (entry.type) {
    case 'text': {
      const { extended, ...base } = entry.spec.pricing
      if (!extended) return { base: tokens(entry, base, 'spec.pricing') }
      return {
        base: tokens(entry, base, 'spec.pricing'),
        extended: { aboveInputTokens: extended.context_token_threshold, price: tokens(entry, extended, 'spec.pricing.extended') },
      }
    }
    case 'embedding':
      return { base: tokens(entry, entry.spec.pricing, 'spec.pricing') }
    case 'tts':
      return { base: one(entry, 'character', entry.spec.pricing.input, 'spec.pricing.input', MILLION) }
    case 'asr':
      return { base: one(entry, 'audioSecond', entry.spec.pricing.per_audio_second, 'spec.pricing.per_audio_second', ONE) }
    case 'image':
      return { base: one(entry, 'image', entry.spec.pricing.generation, 'spec.pricing.generation', ONE) }
    case 'inpaint':
      return { base: one(entry, 'image', entry.spec.pricing.inpaint, 'spec.pricing.inpaint', ONE) }
    case 'music':
      return { base: music(entry, entry.spec.pricing) }
    case 'upscale':
    case 'video':
      return { base: {} }
  }
}

function music(entry: ModelEntry, pricing: Extract<ModelEntry, { type: 'music' }>['spec']['pricing']): Price {
  if ('generation' in pricing) return one(entry, 'call', pricing.generation, 'spec.pricing.generation', ONE)
  if ('per_second' in pricing) return one(entry, 'audioSecond', pricing.per_second, 'spec.pricing.per_second', ONE)
  if ('per_thousand_characters' in pricing) {
    return one(entry, 'character', pricing.per_thousand_characters, 'spec.pricing.per_thousand_characters', THOUSAND)
  }
  return {}
}

type TokenRates = { input: Cost; output: Cost; cache_input?: Cost | undefined; cache_write?: Cost | undefined }

function tokens(entry: ModelEntry, rates: TokenRates, at: string): Price {
  return {
    ...one(entry, 'inputToken', rates.input, `${at}.input`, MILLION),
    ...one(entry, 'cacheReadToken', rates.cache_input, `${at}.cache_input`, MILLION),
    ...one(entry, 'cacheWriteToken', rates.cache_write, `${at}.cache_write`, MILLION),
    ...one(entry, 'outputToken', rates.output, `${at}.output`, MILLION),
  }
}

function one(entry: ModelEntry, unit: Unit, cost: Cost | undefined, field: string, power: number): Price {
  if (!cost) return {}
  const nano = whole(entry, cost.usd, `${field}.usd`, power)
  if (nano > BigInt(MAX_NANO)) throw refuse(entry, `${field}.usd`, `must be at most ${MAX_NANO} nano-dollars per unit`)
  return { [unit]: Number(nano) }
}

/** Every number of a price must be whole nano-dollars, those too that no unit's price is made of yet. */
function checkDeep(entry: ModelEntry, value: object, at: string, perMillion: boolean): void {
  for (const key of Object.keys(value)) {
    const inner: unknown = Reflect.get(value, key)
    const field = `${at}.${key}`
    if (typeof inner === 'object' && inner !== null) {
      checkDeep(entry, inner, field, perMillion)
    } else if ((key === 'usd' || key === 'diem') && typeof inner === 'number') {
      whole(entry, inner, field, perMillion ? MILLION : at.endsWith('per_thousand_characters') ? THOUSAND : ONE)
    }
  }
}

function whole(entry: ModelEntry, dollars: number, field: string, power: number): bigint {
  const nano = nanoPerUnit(dollars, power)
  if (nano === null) throw refuse(entry, field, `must come to a whole number of nano-dollars per unit, which ${dollars} does not`)
  return nano
}

const refuse = (entry: ModelEntry, field: string, why: string) => problem(`models/${entry.type}.json: ${entry.id}: ${field} ${why}`)
