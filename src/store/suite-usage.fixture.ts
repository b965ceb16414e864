/** What every store guarantees of usage and movements as they are read back, and of what it records besides money. */
import { expect, it } from 'vitest'
import { dayOf } from '../core/book.ts'
import { total } from '../core/money.ts'
import type { Bill, PriceRow, Store } from '../core/store.ts'
import { AT, DAY, DAY_MS, audit, refusal, topUp, bill, mixed, rowsOf } from './suite-rows.fixture.ts'

export function describeRecords(store: () => Store): void {
  it('lists the refusals of one account, the latest first, up to the limit', async () => {
    await store().insertRefusals([refusal(1), refusal(2, 'a2'), refusal(3)])
    await store().insertRefusals([])
    await store().insertRefusals([refusal(4)])

    expect(await store().refusals('a1', 2)).toEqual([refusal(4), refusal(3)])
    expect(await store().refusals('a1', 50)).toHaveLength(3)
    expect(await store().refusals('a3', 50)).toEqual([])
  })

  it('keeps what administrators did, newest first, page by page', async () => {
    for (let at = 1; at <= 3; at++) await store().insertAudit(audit(at))

    const [last, second] = await store().audit(null, 2)
    const rest = await store().audit(second?.seq ?? 0, 2)

    expect([last, second, ...rest]).toMatchObject([3, 2, 1].map(audit))
    expect(rest[0]?.seq).toBeLessThan(second?.seq ?? 0)
  })

  it('keeps every price that was set, oldest first', async () => {
    const prices: PriceRow[] = [true, false].map((extended, i) => ({
      id: `p${i}`,
      model: 'm',
      unit: 'outputToken',
      priceNano: 2 ** 31 - 1 - i,
      extended,
      startsAt: AT + i,
      createdAt: AT,
    }))

    await store().insertPrices(prices)
    await store().insertPrices([])

    expect(await store().prices()).toEqual(prices)
  })

  it('forgets refusals and audit lines that are old, however many, and nothing else', async () => {
    await store().insertRefusals(Array.from({ length: 2_500 }, (_, at) => refusal(at)))
    for (let at = 1; at <= 3; at++) await store().insertAudit(audit(at))

    const gone = await store().forget({ refusals: 2_498, audit: 3 })

    expect(gone).toBe(2_500)
    expect((await store().refusals('a1', 50)).map(({ at }) => at)).toEqual([2_499, 2_498])
    expect((await store().audit(null, 50)).map(({ at }) => at)).toEqual([3])
    expect(await store().forget({ refusals: 2_498, audit: 3 })).toBe(0)
  })
}

export function describeUsage(store: () => Store): void {
  const all = { accountId: 'a1', currency: null, from: null, to: null } as const

  /** Three days of one account among others; each run has two lines. */
  const runs = (): Bill[] =>
    Array.from({ length: 9 }, (_, i) => {
      const at = (DAY + Math.floor(i / 3)) * DAY_MS + i
      return { ...bill(`r${i}`, BigInt(i + 1)), at, diemDay: dayOf(at), accountId: i % 3 === 2 ? 'a2' : 'a1' }
    })

  it('is read by account in the order of time, both ways, whatever the order it was written in', async () => {
    await store().commit(runs().reverse())

    const forward = await store().usage(all, 'asc', 0, 50)
    const backward = await store().usage(all, 'desc', 1, 3)

    expect(forward.map(({ requestId }) => requestId)).toEqual(['r0', 'r1', 'r3', 'r4', 'r6', 'r7'].flatMap((id) => [id, id]))
    expect(backward).toEqual([...forward].reverse().slice(1, 4))
    expect(await store().usage({ ...all, accountId: 'a3' }, 'asc', 0, 50)).toEqual([])
  })

  it('of a time or a currency only is found, counted and read page by page without a row twice', async () => {
    await store().commit([...runs(), mixed('m1')])
    const middle = { ...all, from: (DAY + 1) * DAY_MS, to: (DAY + 2) * DAY_MS }
    const pages: string[] = []
    for (let after = null as Parameters<Store['usageAfter']>[1], more = true; more; ) {
      const page = await store().usageAfter(all, after, 5)
      pages.push(...page.rows.map(({ requestId, line }) => `${requestId} ${line.unit} ${line.currency}`))
      after = page.next
      more = after !== null
    }

    expect((await store().usage(middle, 'asc', 0, 50)).map(({ requestId }) => requestId)).toEqual(['r3', 'r3', 'r4', 'r4'])
    expect(await store().countUsage(middle)).toBe(4)
    expect(await store().countUsage({ ...middle, to: middle.to + 7 })).toBe(6)
    expect(await store().countUsage({ ...middle, from: middle.from - 1, to: middle.to - 1 })).toBe(4)
    expect(await store().countUsage({ ...middle, from: middle.from + 4, to: middle.from + 5 })).toBe(2)
    expect(await store().countUsage(all)).toBe(15)
    expect(await store().countUsage({ ...all, currency: 'DIEM' })).toBe(1)
    expect(await store().countUsage({ ...all, currency: 'USD', from: 0, to: 1 })).toBe(0)
    expect(pages).toHaveLength(15)
    expect(new Set(pages).size).toBe(15)
  })

  it('tells the tokens of a whole run on each of its rows, also where another currency or page has the rest', async () => {
    await store().commit([mixed('m1')])

    const [row] = await store().usage({ ...all, currency: 'DIEM' }, 'asc', 0, 1)
    const { rows } = await store().usageAfter({ ...all, currency: 'USD' }, null, 1)

    expect([row, ...rows]).toMatchObject([
      { promptTokens: 12, completionTokens: 12, line: { currency: 'DIEM' } },
      { promptTokens: 12, completionTokens: 12, line: { currency: 'USD' } },
    ])
  })

  it('has daily sums that are what its rows come to, within the days asked for', async () => {
    const bills = [...runs(), mixed('m1')]
    for (const one of bills) await store().commit([one])

    const days = await store().usageDays('a1', DAY, DAY + 1)

    const rows = bills.filter(({ accountId, at }) => accountId === 'a1' && dayOf(at) <= DAY + 1).flatMap(rowsOf)
    for (const day of days) {
      const its = rows.filter(({ at, line }) => dayOf(at) === day.day && line.unit === day.unit && line.currency === day.currency)
      expect([day.count, day.amount, day.requests]).toEqual([
        its.reduce((sum, { line }) => sum + line.count, 0),
        total(its.map(({ line }) => line)),
        its.length,
      ])
    }
    expect(total(days.map(({ amount }) => ({ unit: 'call', count: 1, priceNano: 0, amount })))).toBe(total(rows.map(({ line }) => line)))
    expect(await store().usageDays('a1', DAY + 9, DAY + 99)).toEqual([])
    expect(await store().usageDays('a9', 0, DAY + 99)).toEqual([])
  })

  it('shows what moved in an account, newest first, and everything, oldest first', async () => {
    await store().commit([topUp('p1', 1_000n), bill('r0', 0n), bill('r1', 5n), { ...bill('r2', 7n), accountId: 'a2' }])
    await store().commit([{ ...mixed('r3'), at: AT + 1 }])

    const newest = await store().movements('a1', 0, 50)
    const everything = await store().allMovements(0, 50)

    expect(newest.map(({ id }) => id)).toEqual([
      'settle:r3:USD',
      'settle:r3:BUNDLED_CREDITS',
      'settle:r3:DIEM',
      'settle:r1:USD',
      'topup:bank:p1',
    ])
    expect(newest[3]).toEqual({
      seq: newest[3]?.seq,
      id: 'settle:r1:USD',
      at: AT,
      kind: 'settle',
      currency: 'USD',
      fromBook: 'account:a1',
      toBook: 'revenue',
      amount: 5n,
      requestId: 'r1',
      model: 'm',
    })
    expect(await store().movements('a1', 1, 2)).toEqual(newest.slice(1, 3))
    expect(everything).toHaveLength(6)
    expect(await store().allMovements(everything[2]?.seq ?? 0, 2)).toEqual(everything.slice(3, 5))
    expect(await store().movement('topup:bank:p1')).toMatchObject({ kind: 'topup', requestId: null, model: null })
    expect(await store().movement('settle:r0:USD')).toBeNull()
  })
}
