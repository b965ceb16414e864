import { array, assert, boolean, constantFrom, integer, property, record } from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Failure } from '../core/errors.ts'
import type { Model } from '../core/model.ts'
import type { PriceRow } from '../core/store.ts'
import { Catalog } from './catalog.ts'
import { MAX_NANO } from './price.ts'
import { type PricingInput, readPricing, showUnits, withPrices } from './pricing.ts'
import { NO_NAMES, engine, modelFiles, shippedCatalog, shippedEntries, testClock, textEntry } from './testing.ts'
import { buildModel } from './build.ts'
import { PriceVersions } from './versions.ts'

const START = Date.parse('2026-06-01T00:00:00Z')
const DAY = 86_400_000
const dollars = (usd: number) => ({ usd, diem: usd })

let rows = 0
const row = (more: Partial<PriceRow> = {}): PriceRow => ({
  id: `v${rows++}`,
  model: 'm',
  unit: 'inputToken',
  priceNano: 5,
  extended: false,
  startsAt: START,
  createdAt: START,
  ...more,
})

const LONG = { extended: { context_token_threshold: 100, input: dollars(2), output: dollars(4) } }

function setUp(pricing: object = { input: dollars(1), output: dollars(2) }) {
  const clock = testClock(START)
  const entries = [textEntry('m', {}, { pricing }), textEntry('other')]
  const catalog = new Catalog({ entries, names: NO_NAMES, engines: [engine('one'), engine('local', { lists: true })], clock })
  const base = (name = 'm') => catalog.resolve(name, 'text').model.prices.base
  const shown = (name = 'm') => catalog.get(name)?.model_spec['pricing']
  return { clock, catalog, base, shown }
}

describe('a price that an operator set', () => {
  it('counts from its moment on, in what is charged and in what is shown, without a restart', () => {
    const { clock, catalog, base, shown } = setUp()
    catalog.addPrices([row({ priceNano: 3_000, startsAt: START + DAY })])

    clock.time = START + DAY - 1
    expect([base(), shown()]).toEqual([
      { inputToken: 1_000, outputToken: 2_000 },
      { input: dollars(1), output: dollars(2) },
    ])
    expect(catalog.list('text')[0]?.model_spec['pricing']).toEqual({ input: dollars(1), output: dollars(2) })
    clock.time = START + DAY

    expect([base(), shown()]).toEqual([
      { inputToken: 3_000, outputToken: 2_000 },
      { input: dollars(3), output: dollars(2) },
    ])
    expect(catalog.list('text')[0]?.model_spec['pricing']).toEqual({ input: dollars(3), output: dollars(2) })
    expect(base('other')).toEqual({ inputToken: 1_000, outputToken: 2_000 })
  })

  it('leaves who began under the old price with the old price', () => {
    const { clock, catalog, base } = setUp()
    catalog.addPrices([row({ priceNano: 3_000, startsAt: START + DAY })])
    const { model } = catalog.resolve('m', 'text')

    clock.time = START + DAY

    expect(base()).toMatchObject({ inputToken: 3_000 })
    expect(model.prices.base).toEqual({ inputToken: 1_000, outputToken: 2_000 })
    expect(catalog.deployments(model)).toHaveLength(1)
  })

  it('counts at once where its moment has come', () => {
    const { catalog, base } = setUp()
    base()

    catalog.addPrices([row({ unit: 'outputToken', priceNano: 0 })])

    expect(base()).toEqual({ inputToken: 1_000, outputToken: 0 })
  })

  it('gives a class of tokens a price that the configuration has none for', () => {
    const { catalog, base, shown } = setUp()

    catalog.addPrices([row({ unit: 'cacheReadToken', priceNano: 100 })])

    expect(base()).toEqual({ inputToken: 1_000, outputToken: 2_000, cacheReadToken: 100 })
    expect(shown()).toEqual({ input: dollars(1), cache_input: dollars(0.1), output: dollars(2) })
  })

  it('changes the rates of long requests apart from the others', () => {
    const { catalog, shown } = setUp({ input: dollars(1), output: dollars(2), ...LONG })

    catalog.addPrices([row({ priceNano: 7_000, extended: true })])

    expect(catalog.resolve('m', 'text').model.prices).toEqual({
      base: { inputToken: 1_000, outputToken: 2_000 },
      extended: { aboveInputTokens: 100, price: { inputToken: 7_000, outputToken: 4_000 } },
    })
    expect(shown()).toMatchObject({ input: dollars(1), extended: { context_token_threshold: 100, input: dollars(7), output: dollars(4) } })
  })

  it('makes a found model one that costs, also after its engine was away, and until then it is free', () => {
    const { catalog, base, shown } = setUp()
    const has = { up: true, models: [{ name: 'qwen3:4b', modality: 'text', contextTokens: null }] } as const
    catalog.reach('local', has)
    expect([base('qwen3:4b'), shown('qwen3:4b')]).toEqual([
      { inputToken: 0, outputToken: 0 },
      { input: dollars(0), output: dollars(0) },
    ])

    catalog.addPrices([row({ model: 'qwen3:4b' }), row({ model: 'qwen3:4b', unit: 'outputToken', priceNano: 9 })])
    expect(base('qwen3:4b')).toEqual({ inputToken: 5, outputToken: 9 })
    catalog.reach('local', { up: true, models: [] })
    catalog.reach('local', has)

    expect(base('qwen3:4b')).toEqual({ inputToken: 5, outputToken: 9 })
    expect(shown('qwen3:4b')).toEqual({ input: dollars(0.005), output: dollars(0.009) })
  })

  it('is remembered for a model that is not there, and does no harm', () => {
    const { catalog, base } = setUp()

    catalog.addPrices([row({ model: 'gone' }), row({ unit: 'videoSecond' }), row({ extended: true })])

    expect(base()).toEqual({ inputToken: 1_000, outputToken: 2_000 })
    expect(catalog.model('gone')).toBeNull()
    expect(catalog.pricesSet).toBe(3)
  })
})

describe('versions of prices', () => {
  it('are at any moment what the last one that began says, in whatever order they were set and asked for', () => {
    const model = buildModel(textEntry('m', {}, { pricing: { input: dollars(1), output: dollars(2), ...LONG } }))
    const versions = array(
      record({
        unit: constantFrom('inputToken', 'outputToken', 'cacheReadToken', 'cacheWriteToken'),
        priceNano: integer({ min: 0, max: MAX_NANO }),
        extended: boolean(),
        startsAt: integer({ min: 0, max: 20 }),
      }),
      { maxLength: 12 },
    )
    assert(
      property(versions, (some) => {
        const all = some.map((one) => row(one))
        const prices = new PriceVersions()
        prices.add(all)
        let next = -Infinity

        for (let now = 0; now <= 21; now++) {
          const at = prices.at(model, now)

          expect(at.prices.base).toEqual({ ...model.prices.base, ...reference(all, now, false) })
          expect(at.prices.extended?.price).toEqual({ ...model.prices.extended?.price, ...reference(all, now, true) })
          // Until the moment that was named nothing may have changed.
          if (now < next) expect(at.prices).toEqual(prices.at(model, now - 1).prices)
          next = prices.next(now)
          expect(next).toBe(Math.min(Infinity, ...all.map(({ startsAt }) => startsAt).filter((startsAt) => startsAt > now)))
        }
      }),
    )
  })

  it('cost nothing to resolve a name while none is about to begin', () => {
    const { clock, catalog } = setUp()
    const first = catalog.resolve('m', 'text')

    catalog.addPrices([row({ startsAt: START + DAY })])
    clock.time = START + DAY - 1

    expect(catalog.resolve('m', 'text')).toBe(first)
    clock.time++
    const second = catalog.resolve('m', 'text')
    expect(second).not.toBe(first)
    expect(catalog.resolve('m', 'text')).toBe(second)
  })
})

function reference(all: readonly PriceRow[], now: number, extended: boolean): Record<string, number> {
  const begun = all.filter((one) => one.startsAt <= now && one.extended === extended).sort((a, b) => a.startsAt - b.startsAt)
  return Object.fromEntries(begun.map(({ unit, priceNano }) => [unit, priceNano]))
}

describe('a price as an operator writes it', () => {
  const model = buildModel(textEntry('m', {}, { pricing: { input: dollars(1), output: dollars(2), ...LONG } }))
  const read = (pricing: PricingInput) => readPricing(model, pricing, 'prices')

  it('is a number or a decimal, exact to the nano-dollar', () => {
    expect(read({ input: { usd: 0.001 }, output: { usd: '1234.567', diem: 1234.567 }, extended: { cache_input: dollars(0) } })).toEqual([
      { unit: 'inputToken', priceNano: 1, extended: false },
      { unit: 'outputToken', priceNano: 1_234_567, extended: false },
      { unit: 'cacheReadToken', priceNano: 0, extended: true },
    ])
  })

  it.each([
    [{ input: { usd: 0.0001 } }, 'prices.input.usd'],
    [{ input: { usd: '0.0001' } }, 'prices.input.usd'],
    [{ input: { usd: 3_000_000 } }, 'prices.input.usd'],
    [{ input: { usd: 1, diem: 2 } }, 'prices.input.diem'],
    [{ per_second: { usd: 1 } }, 'prices.per_second'],
    [{ input: { input: { usd: 1 } } }, 'prices.input'],
    [{ extended: { usd: 1 } }, 'prices.extended'],
    [{ extended: { output: { usd: 0.0001 } } }, 'prices.extended.output.usd'],
    [{}, 'prices'],
    [{ extended: {} }, 'prices'],
  ])('is refused as %j, by the name of the field', (pricing, param) => {
    expect(refusal(() => read(pricing))).toMatchObject({ code: 'INVALID_REQUEST', param })
  })

  it('says so where a model has no rates for long requests', () => {
    const plain = buildModel(textEntry('m'))

    expect(refusal(() => readPricing(plain, { extended: { input: { usd: 1 } } }, 'prices'))).toMatchObject({ param: 'prices.extended' })
  })

  it('of every shipped model reads back as what is shown, to the nano-dollar', () => {
    expect(modelFiles().length).toBeGreaterThan(0)
    for (const shipped of shippedEntries().map(buildModel)) {
      const units = unitsOf(shipped)
      if (units.length === 0) continue
      const again = withPrices(shipped, units)

      expect(again.prices).toEqual(shipped.prices)
      expect(again.spec).toEqual(shipped.spec)
      expect(readPricing(shipped, showUnits(shipped, units) as PricingInput, 'prices')).toEqual(expect.arrayContaining(units))
    }
  })

  it('of any size is shown as the decimal that it was set as', () => {
    assert(
      property(integer({ min: 0, max: MAX_NANO }), (priceNano) => {
        const units = [{ unit: 'inputToken', priceNano, extended: false }] as const

        expect(readPricing(model, showUnits(model, units) as PricingInput, 'prices')).toEqual(units)
      }),
    )
  })
})

it('the shipped catalogue goes through a change of a price with all its other models as they were', () => {
  const clock = testClock(START)
  const catalog = shippedCatalog([], clock)
  const before = new Map(catalog.list('all').map((model) => [model.id, model.model_spec]))

  catalog.addPrices([row({ model: 'sandbox-text', priceNano: 7 })])

  for (const { id, model_spec: spec } of catalog.list('all')) {
    if (id === 'sandbox-text') expect(spec['pricing']).toMatchObject({ input: dollars(0.007) })
    else expect(spec).toEqual(before.get(id))
  }
})

function unitsOf({ prices }: Model) {
  const of = (price: object, extended: boolean) => Object.entries(price).map(([unit, priceNano]) => ({ unit, priceNano, extended }))
  return [...of(prices.base, false), ...of(prices.extended?.price ?? {}, true)] as ReturnType<typeof readPricing>
}

function refusal(work: () => unknown): Failure {
  try {
    work()
  } catch (error) {
    return error as Failure
  }
  throw new Error('nothing was refused')
}
