/** `/admin/prices`: what models cost from a moment on, without a restart. */
import { z } from 'zod'
import type { Audit } from '../../accounts/audit.ts'
import type { Catalog } from '../../catalog/catalog.ts'
import { type PricingInput, type UnitPrice, readPricing, showUnits } from '../../catalog/pricing.ts'
import { MAX_PRICE_ROWS } from '../../catalog/versions.ts'
import type { Clock } from '../../core/clock.ts'
import { fail, failField } from '../../core/errors.ts'
import { MODALITIES } from '../../core/modality.ts'
import type { Model } from '../../core/model.ts'
import type { PriceRow, Store } from '../../core/store.ts'
import { type AnyEndpoint, endpoint, json } from '../endpoint.ts'
import { decimal } from './amount.ts'
import { TAG, isoOf, time } from './wire.ts'

export type PriceSources = {
  readonly store: Pick<Store, 'prices' | 'insertPrices'>
  readonly audit: Audit
  readonly clock: Pick<Clock, 'now' | 'id'>
}

/** Later moments are a slip of the keyboard. */
const LATEST = Date.parse('2100-01-01T00:00:00Z')

const cost = z
  .strictObject({ usd: decimal, diem: decimal.optional() })
  .describe('In dollars; `diem` may be left out and is the same number.')
const rates = { input: cost.optional(), output: cost.optional(), cache_input: cost.optional(), cache_write: cost.optional() }
const pricing = z
  .strictObject({
    ...rates,
    extended: z.strictObject(rates).optional(),
    generation: cost.optional(),
    inpaint: cost.optional(),
    per_audio_second: cost.optional(),
    per_second: cost.optional(),
    per_thousand_characters: cost.optional(),
  })
  .describe('Prices by the fields of `pricing` in GET /models, for as many units as there. What is not named stays as it is.')

const body = z.strictObject({
  model: z.string().min(1).max(128).describe('The id of a model, as GET /models lists it.'),
  startsAt: z
    .union([z.literal('now'), z.iso.datetime({ offset: true }), z.iso.date()])
    .describe('From when on: `now`, an ISO time, or a date for its beginning in UTC. Not in the past.'),
  prices: pricing,
})

const shownPricing = z.looseObject({}).describe('As in GET /models.')
const version = z.object({
  id: z.string(),
  startsAt: time,
  createdAt: time,
  prices: shownPricing.describe('Only what this version changes.'),
})
const modelPrices = z.object({
  model: z.string(),
  type: z.enum(MODALITIES).nullable().describe('Null for a model that is not there at the moment.'),
  current: shownPricing.nullable().describe('What it costs now; null where it has no price, and is not sold.'),
  versions: z.array(version).describe('All that were ever set, in the order in which they begin.'),
})

const EXAMPLE = {
  model: 'llama-3.3-70b',
  type: 'text',
  current: { input: { usd: 0.7, diem: 0.7 }, output: { usd: 2.8, diem: 2.8 } },
  versions: [
    {
      id: '0190b2f4c7d84e3f9a1b2c3d4e5f6072',
      startsAt: '2099-01-01T00:00:00.000Z',
      createdAt: '2026-06-01T09:00:00.000Z',
      prices: { input: { usd: 0.8, diem: 0.8 } },
    },
  ],
} as const

export const priceEndpoints = (of: PriceSources): AnyEndpoint[] => [setPrices(of), listPrices(of)]

const setPrices = ({ store, audit, clock }: PriceSources): AnyEndpoint =>
  endpoint({
    method: 'POST',
    path: '/admin/prices',
    tag: TAG,
    summary: 'Set prices from a moment on',
    description: [
      'A version of a model’s prices, over those of the configuration. From its moment on GET /models shows it and requests are charged by it,',
      'without a restart; a request that began before is charged by the prices it began with. Nothing is changed once it is set: a later',
      'version replaces it, and one with the same moment takes it back. Every price is a whole number of nano-dollars per unit.',
      '',
      'A model that a local engine brought along has no price, and keys of accounts with a limit cannot use it, until it is set here; 0 is free.',
    ].join('\n'),
    scope: 'OPERATOR',
    body,
    answers: { 'application/json': { description: 'The version, and what the model costs now.', schema: z.object({ data: modelPrices }) } },
    example: {
      body: { model: EXAMPLE.model, startsAt: '2099-01-01T00:00:00Z', prices: { input: { usd: '0.8' } } },
      answer: { data: EXAMPLE },
    },
    errors: ['MODEL_NOT_FOUND'],
    async handle({ body: { model: id, startsAt, prices } }, { caller, catalog }) {
      const model = modelOf(catalog, id)
      const units = readPricing(model, present(prices), 'prices')
      const now = Math.round(clock.now())
      const rows = rowsOf(model, units, { id: clock.id(), startsAt: momentOf(startsAt, now), createdAt: now })
      if (catalog.pricesSet + rows.length > MAX_PRICE_ROWS) throw failField('prices', `at most ${MAX_PRICE_ROWS} prices can ever be set`)
      const [{ startsAt: from } = { startsAt: now }] = rows
      await audit.done(caller, 'price.set', id, { startsAt: isoOf(from), ...detailsOf(units) }, () => store.insertPrices(rows))
      catalog.addPrices(rows)
      return json({ data: shown(catalog, id, rows) })
    },
  })

const listPrices = ({ store }: PriceSources): AnyEndpoint =>
  endpoint({
    method: 'GET',
    path: '/admin/prices',
    tag: TAG,
    summary: 'Prices and their versions',
    description: 'What a model costs, and every version that was ever set for it; without `model`, of all models that have versions.',
    scope: 'OPERATOR',
    query: z.strictObject({ model: z.string().min(1).max(128).optional().describe('The id of a model.') }),
    answers: {
      'application/json': {
        description: 'By model, in the order of their ids.',
        schema: z.object({ object: z.literal('list'), data: z.array(modelPrices) }),
      },
    },
    example: { query: { model: EXAMPLE.model }, answer: { object: 'list', data: [EXAMPLE] } },
    errors: ['MODEL_NOT_FOUND'],
    async handle({ query }, { catalog }) {
      const byModel = Map.groupBy(await store.prices(), ({ model }) => model)
      if (query.model === undefined) {
        const ids = [...byModel.keys()].sort()
        return json({ object: 'list', data: ids.map((id) => shown(catalog, id, byModel.get(id) ?? [])) })
      }
      const rows = byModel.get(query.model) ?? []
      if (rows.length === 0) modelOf(catalog, query.model)
      return json({ object: 'list', data: [shown(catalog, query.model, rows)] })
    },
  })

function modelOf(catalog: Catalog, id: string): Model {
  const model = catalog.model(id)
  if (!model)
    throw fail('MODEL_NOT_FOUND', { say: 'Specified model not found: prices are set by the id that GET /models lists', param: 'model' })
  return model
}

function momentOf(startsAt: string, now: number): number {
  if (startsAt === 'now') return now
  const at = Date.parse(startsAt)
  if (Number.isNaN(at)) throw failField('startsAt', 'is no date of the calendar')
  if (at < now) throw failField('startsAt', 'is in the past; what was charged is not changed afterwards: say now, or a time to come')
  if (at > LATEST) throw failField('startsAt', `must be before ${isoOf(LATEST)}`)
  return at
}

type Version = Pick<PriceRow, 'id' | 'startsAt' | 'createdAt'>

/** One row per unit; what they have in common is the beginning of their ids. */
function rowsOf(model: Model, units: readonly UnitPrice[], version: Version): PriceRow[] {
  return units.map((one) => ({ ...version, ...one, id: `${version.id}:${one.unit}${one.extended ? ':extended' : ''}`, model: model.id }))
}

function shown(catalog: Catalog, id: string, rows: readonly PriceRow[]): z.infer<typeof modelPrices> {
  const model = catalog.model(id)
  const versions = [...Map.groupBy(rows, (row) => row.id.split(':', 1)[0] ?? '')]
    .map(([versionId, units]) => ({ versionId, units, startsAt: units[0]?.startsAt ?? 0, createdAt: units[0]?.createdAt ?? 0 }))
    .sort((a, b) => a.startsAt - b.startsAt)
    .map(({ versionId, units, startsAt, createdAt }) => ({
      id: versionId,
      startsAt: isoOf(startsAt),
      createdAt: isoOf(createdAt),
      prices: model ? showUnits(model, units) : {},
    }))
  const { pricing: current } = model?.spec ?? {}
  return {
    model: id,
    type: model?.modality ?? null,
    current: typeof current === 'object' && current !== null ? { ...current } : null,
    versions,
  }
}

/** Nano-dollars by unit: the audit keeps numbers. */
const detailsOf = (units: readonly UnitPrice[]): Record<string, number> =>
  Object.fromEntries(units.map(({ unit, extended, priceNano }) => [extended ? `${unit}.extended` : unit, priceNano]))

/** The schema's own fields, as the catalogue takes them. */
const present = (prices: z.infer<typeof pricing>): PricingInput => prices
