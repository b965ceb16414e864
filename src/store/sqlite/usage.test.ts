import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Currency } from '../../core/money.ts'
import type { Bill, Store, UsageFilter, UsagePlace } from '../../core/store.ts'
import { openSqliteStore } from './sqlite-store.ts'

const DAY_MS = 86_400_000
const START = Date.UTC(2026, 0, 5)
/** More on its one day than is looked through at once. */
const CROWD = 26_000
/** Every so many runs of the crowd is paid in DIEM. */
const RARE = 900

const bill = (requestId: string, at: number, currency: Currency, accountId = 'a'): Bill => ({
  kind: 'settle',
  requestId,
  at,
  accountId,
  keyId: 'k',
  model: 'm',
  modality: 'text',
  executionMs: 1,
  diemDay: Math.floor(at / DAY_MS),
  lines: (['inputToken', 'outputToken'] as const).map((unit) => ({ unit, count: 2, priceNano: 3, amount: 6n, currency })),
})

describe('usage of an account with a crowded day', () => {
  let store: Store
  const bills: Bill[] = [
    bill('early', START - 2 * DAY_MS, 'DIEM'),
    ...Array.from({ length: CROWD }, (_, i) => bill(`r${i}`, START + Math.floor((i * DAY_MS) / CROWD), i % RARE === 0 ? 'DIEM' : 'USD')),
    bill('late', START + 3 * DAY_MS, 'DIEM'),
    bill('later', START + 4 * DAY_MS, 'BUNDLED_CREDITS'),
  ]
  beforeAll(async () => {
    store = await openSqliteStore(':memory:')
    await store.migrate()
    await store.commit([...bills, bill('other', START, 'DIEM', 'b')])
  })
  afterAll(() => store.close())

  const filter = (currency: Currency | null, from: number | null = null, to: number | null = null): UsageFilter => ({
    accountId: 'a',
    currency,
    from,
    to,
  })
  /** Two entries per run. */
  const wanted = ({ currency, from, to }: UsageFilter): string[] =>
    bills
      .filter(({ at, lines }) => (currency === null || lines[0]?.currency === currency) && at >= (from ?? 0) && at < (to ?? Infinity))
      .flatMap(({ requestId }) => [requestId, requestId])

  const filters: UsageFilter[] = [
    filter('DIEM'),
    filter('DIEM', START, START + DAY_MS),
    filter('DIEM', START + 1, START + DAY_MS / 3),
    filter('DIEM', START + DAY_MS),
    filter('BUNDLED_CREDITS'),
    filter('BUNDLED_CREDITS', null, START),
    filter(null, START + DAY_MS - 60_000),
  ]

  it.for(filters)('is walked through page by page, each entry once: %o', async (of) => {
    for (const pageSize of [2, 17, 60]) {
      const seen: string[] = []
      for (let place: UsagePlace | null = null; ; ) {
        const page = await store.usageAfter(of, place, pageSize)
        seen.push(...page.rows.map(({ requestId }) => requestId))
        place = page.next
        if (place === null) break
      }

      expect([pageSize, seen]).toEqual([pageSize, wanted(of)])
    }
    expect(await store.countUsage(of)).toBe(wanted(of).length)
  })

  it.for(filters)('is turned over in either order, and counted: %o', async (of) => {
    for (const order of ['asc', 'desc'] as const) {
      const all = order === 'asc' ? wanted(of) : wanted(of).toReversed()
      for (const [skip, limit] of [
        [0, 500],
        [0, 3],
        [2, 7],
        [31, 20],
        [59, 500],
        [1_000, 5],
      ] as const) {
        const rows = await store.usage(of, order, skip, limit)

        expect([order, skip, rows.map(({ requestId }) => requestId)]).toEqual([order, skip, all.slice(skip, skip + limit)])
      }
    }
  })

  it('is summed up by day, and no other account is in the sums', async () => {
    const day = START / DAY_MS
    const sums = await store.usageDays('a', day - 2, day + 3)

    expect(sums.reduce((sum, { amount }) => sum + amount, 0n)).toBe(BigInt(bills.length - 1) * 12n)
    expect(
      sums.filter((sum) => sum.day === day && sum.currency === 'DIEM').map(({ unit, count, requests }) => [unit, count, requests]),
    ).toEqual([
      ['inputToken', 58, 29],
      ['outputToken', 58, 29],
    ])
    expect(await store.usageDays('nobody', 0, 100)).toEqual([])
  })

  it('is one sum a day where only the price of a unit changed', async () => {
    const changed = bill('priced', START + 9 * DAY_MS, 'USD', 'c')
    const dearer = {
      ...bill('dearer', START + 9 * DAY_MS, 'USD', 'c'),
      lines: changed.lines.map((line) => ({ ...line, priceNano: 5, amount: 10n })),
    }
    await store.commit([changed, dearer])
    const day = START / DAY_MS + 9

    expect((await store.usageDays('c', day, day)).map(({ unit, count, amount, requests }) => [unit, count, amount, requests])).toEqual([
      ['inputToken', 4, 16n, 2],
      ['outputToken', 4, 16n, 2],
    ])
  })
})
