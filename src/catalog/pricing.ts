/**
 * Where in a model's public `pricing` the price of a unit stands: what an operator writes there → prices per unit, and
 * prices per unit → what `GET /models` shows. Both ways by one table, so that what callers see is what they pay.
 */
import { type Failure, failField } from '../core/errors.ts'
import type { Modality } from '../core/modality.ts'
import type { Model } from '../core/model.ts'
import type { Price, PriceList } from '../core/money.ts'
import type { Unit } from '../core/usage.ts'
import { MAX_NANO, nanoPerUnit } from './price.ts'

/** Dollars, and Diem where they are given: those cost the same. Strings are decimals; numbers print as they were written. */
type CostInput = { readonly usd: number | string; readonly diem?: number | string | undefined }
/** A part of a `pricing`, as an operator writes it; what is not named stays as it is. */
export type PricingInput = { readonly [field: string]: CostInput | PricingInput | undefined }

/** The price of one unit: the base rate, or the one above the model's context threshold. */
export type UnitPrice = { readonly unit: Unit; readonly priceNano: number; readonly extended: boolean }

/** A field of `pricing`, the unit it is for, and for ten to the power of how many of them it is. */
type Place = { readonly field: string; readonly unit: Unit; readonly power: number }

const MILLION = 6
const INPUT: Place = { field: 'input', unit: 'inputToken', power: MILLION }
const OUTPUT: Place = { field: 'output', unit: 'outputToken', power: MILLION }
const TEXT: readonly Place[] = [
  INPUT,
  { field: 'cache_input', unit: 'cacheReadToken', power: MILLION },
  { field: 'cache_write', unit: 'cacheWriteToken', power: MILLION },
  OUTPUT,
]

/** What depends on a choice (resolution, quality, length, factor) has no price per unit, and so no place here. */
const PLACES: { readonly [M in Modality]: readonly Place[] } = {
  text: TEXT,
  embedding: [INPUT, OUTPUT],
  tts: [{ field: 'input', unit: 'character', power: MILLION }],
  asr: [{ field: 'per_audio_second', unit: 'audioSecond', power: 0 }],
  image: [{ field: 'generation', unit: 'image', power: 0 }],
  inpaint: [{ field: 'inpaint', unit: 'image', power: 0 }],
  music: [
    { field: 'generation', unit: 'call', power: 0 },
    { field: 'per_second', unit: 'audioSecond', power: 0 },
    { field: 'per_thousand_characters', unit: 'character', power: 3 },
  ],
  upscale: [],
  video: [],
}
/** A piece of music is sold in one of these ways; which of them is a matter of the configuration. */
const ONE_OF: ReadonlySet<Modality> = new Set<Modality>(['music', 'image'])

/**
 * What an operator wrote, unit by unit. Throws a 400 that names the field (below `at`) for one that this model has no price
 * in, for a price that is not a whole number of nano-dollars per unit or too high, and where there is none at all.
 */
export function readPricing(model: Model, pricing: PricingInput, at: string): UnitPrice[] {
  const { extended, ...base } = pricing
  const prices = unitsOf(model, base, at, false)
  if (extended !== undefined) {
    if (!model.prices.extended) throw failField(`${at}.extended`, `${model.id} has no rates for long requests`)
    if (isCost(extended)) throw failField(`${at}.extended`, 'takes prices by field, such as { "input": { "usd": 1 } }')
    prices.push(...unitsOf(model, extended, `${at}.extended`, true))
  }
  if (prices.length === 0) throw failField(at, `names no price; ${takes(model)}`)
  return prices
}

/** The same model at these prices: in its price list, and in what is shown of it. Units that it is not sold by are left out. */
export function withPrices(model: Model, units: Iterable<UnitPrice>): Model {
  const base: Partial<Record<Unit, number>> = { ...model.prices.base }
  const long: Partial<Record<Unit, number>> = { ...model.prices.extended?.price }
  const places = placesOf(model)
  for (const { unit, priceNano, extended } of units) {
    if (!places.some((place) => place.unit === unit)) continue
    if (!extended) base[unit] = priceNano
    else if (model.prices.extended) long[unit] = priceNano
  }
  const prices: PriceList = model.prices.extended ? { base, extended: { ...model.prices.extended, price: long } } : { base }
  const pricing = showPricing(model, prices)
  return { ...model, prices, spec: pricing === null ? model.spec : { ...model.spec, pricing } }
}

/** A `pricing` of these prices alone, for showing a version of them. */
export function showUnits(model: Model, units: readonly UnitPrice[]): Record<string, unknown> {
  const of = (extended: boolean): Price =>
    Object.fromEntries(units.filter((one) => one.extended === extended).map(({ unit, priceNano }) => [unit, priceNano]))
  const places = PLACES[model.modality]
  const long = shown(places, of(true))
  return { ...shown(places, of(false)), ...(Object.keys(long).length > 0 && { extended: long }) }
}

/** What is shown already, with the prices per unit laid over it; null for a model that has no price at all. */
function showPricing({ modality, spec }: Model, { base, extended }: PriceList): Record<string, unknown> | null {
  const before = recordIn(spec['pricing'])
  const places = PLACES[modality]
  const pricing = { ...before, ...shown(places, base) }
  if (Object.keys(pricing).length === 0) return null
  return extended ? { ...pricing, extended: { ...recordIn(before['extended']), ...shown(places, extended.price) } } : pricing
}

function shown(places: readonly Place[], prices: Price): Record<string, { usd: number; diem: number }> {
  const out: Record<string, { usd: number; diem: number }> = {}
  for (const { field, unit, power } of places) {
    const nano = prices[unit]
    if (nano === undefined) continue
    // Read as the decimal that it is, so that it prints as that one and is read back to the same nano-dollars.
    const usd = Number(`${nano}e${power - 9}`)
    out[field] = { usd, diem: usd }
  }
  return out
}

function unitsOf(model: Model, pricing: PricingInput, at: string, extended: boolean): UnitPrice[] {
  const places = placesOf(model)
  return Object.entries(pricing).flatMap(([field, cost]) => {
    if (cost === undefined) return []
    const place = places.find((one) => one.field === field)
    if (!place || !isCost(cost)) throw failField(`${at}.${field}`, `is no price of ${model.id}; ${takes(model)}`)
    return [{ unit: place.unit, priceNano: nanoOf(cost, place, `${at}.${field}`), extended }]
  })
}

function nanoOf(cost: CostInput, { power }: Place, at: string): number {
  const nano = nanoPerUnit(cost.usd, power)
  if (nano === null) throw tooFine(at, power)
  if (nano > BigInt(MAX_NANO)) throw failField(`${at}.usd`, `must be at most ${MAX_NANO} nano-dollars per unit`)
  if (cost.diem !== undefined && nanoPerUnit(cost.diem, power) !== nano) throw failField(`${at}.diem`, 'must be the same as usd')
  return Number(nano)
}

const tooFine = (at: string, power: number): Failure =>
  failField(`${at}.usd`, `must come to a whole number of nano-dollars per unit: ${9 - power} decimals at most`)

/** Those that the model can be priced by; of ways to sell that exclude each other the one that its configuration chose. */
function placesOf({ modality, prices }: Model): readonly Place[] {
  const places = PLACES[modality]
  return ONE_OF.has(modality) ? places.filter(({ unit }) => prices.base[unit] !== undefined) : places
}

function takes(model: Model): string {
  const fields = placesOf(model).map(({ field }) => field)
  if (fields.length === 0) return 'what it costs depends on what is asked for, and is a matter of the configuration files'
  return `it takes ${fields.join(', ')}${model.prices.extended ? ', and the same below extended' : ''}`
}

const isCost = (value: CostInput | PricingInput): value is CostInput => typeof value['usd'] === 'number' || typeof value['usd'] === 'string'

/** The spec comes from files whose shapes were checked when they were read; what is no object has no fields. */
const recordIn = (value: unknown): Record<string, unknown> => (typeof value === 'object' && value !== null ? { ...value } : {})
