import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import type { Store } from '../../core/store.ts'
import { openSqliteStore } from '../../store/sqlite/sqlite-store.ts'
import { type Ask, DAY_MS, NOW, accountRow, askOf, bill, keyRow, line } from './billing.fixture.ts'

let store: Store
let ask: Ask
beforeEach(async () => {
  store = await openSqliteStore(':memory:')
  await store.migrate()
  await store.insertAccount(accountRow('a'))
  ask = askOf(store)
})
afterEach(() => store.close())

const summary = z.looseObject({
  lookback: z.string(),
  byDate: z.array(z.object({ date: z.string(), USD: z.number(), DIEM: z.number() })),
  byKey: z.array(z.looseObject({ apiKeyId: z.string().nullable(), description: z.string() })),
})

describe('GET /billing/usage-analytics', () => {
  it('sums up by day, model and key, in the documented shape', async () => {
    await store.insertKey(keyRow('key-a', 'a', { description: 'Production' }))
    await store.insertKey(keyRow('key-old', 'a', { description: 'Old', revokedAt: 5 }))
    await store.insertAccount(accountRow('b'))
    await store.insertKey(keyRow('key-b', 'b'))
    const dollar = 1_000_000
    await store.commit([
      bill('r1', NOW, [line('inputToken', 1_000, dollar), line('outputToken', 2_000, dollar, 'DIEM')]),
      bill('r2', NOW - DAY_MS, [line('inputToken', 500, dollar, 'BUNDLED_CREDITS')], { keyId: 'key-old', model: 'gone' }),
      bill('r3', NOW - DAY_MS, [line('image', 3, 0)], { keyId: 'key-b', model: 'm-i', modality: 'image' }),
      bill('r4', NOW - 2 * DAY_MS, [line('inputToken', 1, dollar)]),
    ])

    const { status, body } = await ask('/billing/usage-analytics', { lookback: '2d' })

    expect(status).toBe(200)
    expect(body).toEqual({
      lookback: '2d',
      byDate: [
        { date: '2026-03-10', USD: 1, DIEM: 2 },
        { date: '2026-03-09', USD: 0.5, DIEM: 0 },
      ],
      byModel: [
        {
          modelName: 'The m1',
          unitType: 'tokens',
          modelType: 'LLM',
          totalUsd: 1,
          totalDiem: 2,
          totalUnits: 3_000,
          breakdown: [
            { type: 'Output', usd: 0, diem: 2, units: 2_000 },
            { type: 'Input', usd: 1, diem: 0, units: 1_000 },
          ],
        },
        { modelName: 'gone', unitType: 'tokens', modelType: 'LLM', totalUsd: 0.5, totalDiem: 0, totalUnits: 500 },
        { modelName: 'The m-i', unitType: 'images', modelType: 'IMAGE', totalUsd: 0, totalDiem: 0, totalUnits: 3 },
      ],
      byModelDaily: [
        { date: Date.UTC(2026, 2, 9), 'The m1': 0, gone: 0.5, 'The m-i': 0 },
        { date: Date.UTC(2026, 2, 10), 'The m1': 3, gone: 0, 'The m-i': 0 },
      ],
      topModels: ['The m1', 'gone', 'The m-i'],
      byKey: [
        { apiKeyId: 'key-a', description: 'Production', totalUsd: 1, totalDiem: 2, totalUnits: 3_000 },
        { apiKeyId: 'key-old', description: 'Old', totalUsd: 0.5, totalDiem: 0, totalUnits: 500 },
        // A key of another account is none of this one's: nothing of it is shown.
        { apiKeyId: null, description: 'Web App', totalUsd: 0, totalDiem: 0, totalUnits: 3 },
      ],
      byKeyDaily: [
        { date: Date.UTC(2026, 2, 9), Production: 0, Old: 0.5, 'Web App': 0 },
        { date: Date.UTC(2026, 2, 10), Production: 3, Old: 0, 'Web App': 0 },
      ],
      topKeyNames: ['Production', 'Old', 'Web App'],
    })
  })

  it('looks back seven days where nothing is said, today among them', async () => {
    const { lookback, byDate } = summary.parse((await ask('/billing/usage-analytics')).body)

    expect(lookback).toBe('7d')
    expect(byDate.map(({ date }) => date)).toEqual(Array.from({ length: 7 }, (_, i) => `2026-03-${String(10 - i).padStart(2, '0')}`))
  })

  it('takes two dates, both included, a leap year at most', async () => {
    // The first moment of each day, and the last one of each.
    const first = Date.UTC(2024, 0, 1)
    const days = Array.from({ length: 368 }, (_, i) => first + (i - 1) * DAY_MS)
    await store.commit(
      days.flatMap((at) => [bill(`f${at}`, at, [line('call', 1, 5)]), bill(`l${at}`, at + DAY_MS - 1, [line('call', 1, 7)])]),
    )

    const { lookback, byDate } = summary.parse(
      (await ask('/billing/usage-analytics', { startDate: '2024-01-01', endDate: '2024-12-31' })).body,
    )

    expect(lookback).toBe('2024-01-01:2024-12-31')
    expect(byDate.length).toBe(366)
    expect([byDate[0]?.date, byDate.at(-1)?.date]).toEqual(['2024-12-31', '2024-01-01'])
    expect(new Set(byDate.map(({ USD }) => USD))).toEqual(new Set([0.000000012]))
  })

  it('names keys that are gone by the hundred, and looks no further', async () => {
    const ids = Array.from({ length: 230 }, (_, i) => `key-${String(i).padStart(3, '0')}`)
    for (const id of ids) await store.insertKey(keyRow(id, 'a', { revokedAt: 1 }))
    await store.commit(ids.map((id, i) => bill(id, NOW, [line('call', 1, 1_000 - i)], { keyId: id })))

    const { byKey } = summary.parse((await ask('/billing/usage-analytics')).body)

    expect(byKey.length).toBe(230)
    expect([byKey[0]?.description, byKey[199]?.description, byKey[200]?.description]).toEqual([
      'The key key-000',
      'The key key-199',
      'key-200',
    ])
  })

  it.for([
    ['lookback', { lookback: '91d' }],
    ['lookback', { lookback: '0d' }],
    ['lookback', { lookback: '07d' }],
    ['lookback', { lookback: '7' }],
    ['lookback', { lookback: `${'9'.repeat(400)}d` }],
    ['lookback', { lookback: '7d', startDate: '2026-01-01', endDate: '2026-01-02' }],
    ['endDate', { startDate: '2026-01-01' }],
    ['startDate', { endDate: '2026-01-01' }],
    ['startDate', { startDate: '2026-02-30', endDate: '2026-03-01' }],
    ['startDate', { startDate: '2026-02-01T00:00:00Z', endDate: '2026-03-01' }],
    ['endDate', { startDate: '2026-01-02', endDate: '2026-01-01' }],
    ['endDate', { startDate: '2025-01-01', endDate: '2026-01-02' }],
    ['endDate', { startDate: '0001-01-01', endDate: '9999-12-31' }],
    ['days', { days: '7' }],
  ] as const)('names %s where the query is %o', async ([field, query]) => {
    const { status, body } = await ask('/billing/usage-analytics', query)

    expect(status).toBe(400)
    expect(body).toContain(field)
  })
})

describe('GET /billing/balance', () => {
  const dollars = (diem: number, bundled: number, usd: number, allowance: number) => {
    const of = (amount: number) => ({ balance: BigInt(Math.round(amount * 1e9)) })
    return { DIEM: of(diem), BUNDLED_CREDITS: of(bundled), USD: of(usd), diemAllowance: BigInt(allowance * 1e9) }
  }

  it.for([
    [
      'nothing',
      [0, 0, 0],
      0n,
      0,
      { canConsume: false, consumptionCurrency: null, balances: { diem: null, usd: 0 }, diemEpochAllocation: 0 },
    ],
    [
      'dollars',
      [0, 0, 25],
      0n,
      0,
      { canConsume: true, consumptionCurrency: 'USD', balances: { diem: null, usd: 25 }, diemEpochAllocation: 0 },
    ],
    [
      'bundled credits',
      [0, 3, 0.000000001],
      0n,
      0,
      { canConsume: true, consumptionCurrency: 'BUNDLED_CREDITS', balances: { diem: null, usd: 3.000000001 }, diemEpochAllocation: 0 },
    ],
    [
      'a stake',
      [90.5, 0, 25],
      0n,
      100,
      { canConsume: true, consumptionCurrency: 'DIEM', balances: { diem: 90.5, usd: 25 }, diemEpochAllocation: 100 },
    ],
    [
      'a stake that is used up',
      [0, 0, 0],
      0n,
      100,
      { canConsume: false, consumptionCurrency: null, balances: { diem: 0, usd: 0 }, diemEpochAllocation: 100 },
    ],
    [
      'a stake below the minimum',
      [0, 0, 1],
      0n,
      0.09,
      { canConsume: true, consumptionCurrency: 'USD', balances: { diem: null, usd: 1 }, diemEpochAllocation: 0 },
    ],
    [
      'credit, some of it used',
      [0, 0, -2],
      5_000_000_000n,
      0,
      { canConsume: true, consumptionCurrency: 'USD', balances: { diem: null, usd: -2 }, diemEpochAllocation: 0 },
    ],
    [
      'credit, all of it used',
      [0, 0, -5],
      5_000_000_000n,
      0,
      { canConsume: false, consumptionCurrency: null, balances: { diem: null, usd: -5 }, diemEpochAllocation: 0 },
    ],
    [
      'no lower bound',
      [0, 0, -1_234.5],
      null,
      0,
      { canConsume: true, consumptionCurrency: 'USD', balances: { diem: null, usd: -1_234.5 }, diemEpochAllocation: 0 },
    ],
  ] as const)('of an account with %s', async ([, [diem, bundled, usd], creditNano, allowance, wanted]) => {
    await store.insertAccount(accountRow('x', { creditNano }))

    const { status, body } = await askOf(store, dollars(diem, bundled, usd, allowance))('/billing/balance', {}, { accountId: 'x' })

    expect([status, body]).toEqual([200, wanted])
  })

  it('takes no parameters', async () => {
    expect((await ask('/billing/balance', { currency: 'USD' })).status).toBe(400)
  })
})
