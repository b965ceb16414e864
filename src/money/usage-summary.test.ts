import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CURRENCIES } from '../core/money.ts'
import type { UsageDay } from '../core/store.ts'
import { type SummaryNames, UsageTally } from './usage-summary.ts'

const day = (more: Partial<UsageDay>): UsageDay => ({
  day: 0,
  keyId: 'k1',
  model: 'm1',
  modality: 'text',
  unit: 'inputToken',
  currency: 'USD',
  count: 10,
  amount: 1_000_000_000n,
  requests: 1,
  ...more,
})

const names: SummaryNames = { model: (id) => id.toUpperCase(), key: (id) => ({ description: `Key ${id}`, last6: `-${id}` }) }

const summary = (rows: readonly UsageDay[], days = 2, called = names) => {
  const tally = new UsageTally(0, days - 1)
  tally.add(rows)
  return tally.finish(called)
}

describe('the summary of usage', () => {
  it('counts bundled credits as dollars, and DIEM apart', () => {
    const { byDate } = summary([day({}), day({ currency: 'BUNDLED_CREDITS' }), day({ currency: 'DIEM', day: 1 })])

    expect(byDate).toEqual([
      { date: '1970-01-02', USD: 0, DIEM: 1 },
      { date: '1970-01-01', USD: 2, DIEM: 0 },
    ])
  })

  it('breaks a model down by class of token, the dearest first, and only where there are several', () => {
    const { byModel } = summary([
      day({}),
      day({ unit: 'outputToken', amount: 3_000_000_000n, currency: 'DIEM', count: 4 }),
      day({ unit: 'cacheReadToken', amount: 2n, count: 7 }),
      day({ model: 'm2', modality: 'image', unit: 'image', amount: 9_000_000_000n, count: 1 }),
      day({ unit: 'call', amount: 5n, count: 2 }),
    ])

    expect(byModel).toEqual([
      { modelName: 'M2', unitType: 'images', modelType: 'IMAGE', totalUsd: 9, totalDiem: 0, totalUnits: 1 },
      {
        modelName: 'M1',
        unitType: 'tokens',
        modelType: 'LLM',
        totalUsd: 1.000000002,
        totalDiem: 3,
        totalUnits: 21,
        breakdown: [
          { type: 'Output', usd: 0, diem: 3, units: 4 },
          { type: 'Input', usd: 1, diem: 0, units: 10 },
          { type: 'Cache Read', usd: 0.000000002, diem: 0, units: 7 },
        ],
      },
      { modelName: 'M1', unitType: 'calls', modelType: 'LLM', totalUsd: 0.000000005, totalDiem: 0, totalUnits: 2 },
    ])
  })

  it('draws eight models and keys at most, on every day of the period', () => {
    const rows = Array.from({ length: 12 }, (_, i) => day({ model: `m${i}`, keyId: `k${i}`, amount: BigInt(i) * 1_000_000_000n }))
    const { byModel, byModelDaily, topModels, byKey, byKeyDaily, topKeyNames } = summary(rows)

    expect([byModel.length, byKey.length]).toEqual([12, 12])
    expect(topModels).toEqual(['M11', 'M10', 'M9', 'M8', 'M7', 'M6', 'M5', 'M4'])
    expect(topKeyNames[0]).toBe('Key k11')
    expect(byModelDaily.map((at) => [at['date'], at['M11'], Object.keys(at).length])).toEqual([
      [0, 11, 9],
      [86_400_000, 0, 9],
    ])
    expect(byKeyDaily.map((at) => at['Key k4'])).toEqual([4, 0])
  })

  it('tells models and keys apart that have one name, or the name of a field', () => {
    const same = { model: () => 'date', key: (id: string) => ({ description: 'App', last6: `last-${id}` }) }
    const { topModels, topKeyNames, byModelDaily } = summary([day({}), day({ model: 'm2', keyId: 'k2', amount: 5n })], 1, same)

    expect(topModels).toEqual(['date (m1)', 'date (m2)'])
    expect(topKeyNames).toEqual(['App (…last-k1)', 'App (…last-k2)'])
    expect(byModelDaily).toEqual([{ date: 0, 'date (m1)': 1, 'date (m2)': 0.000000005 }])
  })

  it('keeps a name that means something to JavaScript', () => {
    const { byKeyDaily } = summary([day({})], 1, { ...names, key: () => ({ description: '__proto__', last6: 'x' }) })

    expect(JSON.stringify(byKeyDaily)).toBe('[{"date":0,"__proto__":1}]')
  })

  it('puts all usage without a key into one entry', () => {
    const { byKey } = summary([day({}), day({ keyId: 'gone' }), day({ keyId: 'wallet', amount: 5n })], 1, {
      ...names,
      key: (id) => (id === 'k1' ? { description: '', last6: 'abc123' } : null),
    })

    expect(byKey).toEqual([
      { apiKeyId: null, description: 'Web App', totalUsd: 1.000000005, totalDiem: 0, totalUnits: 20 },
      { apiKeyId: 'k1', description: '…abc123', totalUsd: 1, totalDiem: 0, totalUnits: 10 },
    ])
  })

  it('adds up to the same in every view', () => {
    const rows = fc.array(
      fc.record({
        day: fc.integer({ min: 0, max: 6 }),
        keyId: fc.constantFrom('k1', 'k2', 'k3', 'k4'),
        model: fc.constantFrom('m1', 'm2', 'm3', 'm4', 'm5'),
        unit: fc.constantFrom('inputToken', 'outputToken', 'call'),
        currency: fc.constantFrom(...CURRENCIES),
        count: fc.nat(1_000_000),
        amount: fc.bigInt({ min: 0n, max: 10n ** 12n }),
      }),
    )
    const nano = (usd: number): bigint => BigInt(Math.round(usd * 1e9))
    const sum = (of: readonly number[]): bigint => of.map(nano).reduce((a, b) => a + b, 0n)
    fc.assert(
      fc.property(rows, (some) => {
        const all = some.map((one) => day(one))
        const total = all.reduce((a, { amount }) => a + amount, 0n)

        const { byDate, byModel, byModelDaily, byKey, byKeyDaily } = summary(all, 7)

        expect(sum(byDate.flatMap(({ USD, DIEM }) => [USD, DIEM]))).toBe(total)
        expect(sum(byModel.flatMap(({ totalUsd, totalDiem }) => [totalUsd, totalDiem]))).toBe(total)
        expect(sum(byKey.flatMap(({ totalUsd, totalDiem }) => [totalUsd, totalDiem]))).toBe(total)
        for (const chart of [byModelDaily, byKeyDaily])
          expect(sum(chart.flatMap(({ date: _, ...spent }) => Object.values(spent)))).toBe(total)
        for (const { breakdown, totalUsd } of byModel) if (breakdown) expect(sum(breakdown.map(({ usd }) => usd))).toBe(nano(totalUsd))
      }),
    )
  })
})
