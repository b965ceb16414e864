/** Holds, charges and top-ups, one rule at a time. All of them at once: test/ledger.test.ts. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Line } from '../core/money.ts'
import { MAX_AT_REST } from './books.ts'
import { Ledger } from './ledger.ts'
import { MAX_AMOUNT } from './purse.ts'
import { CALLER, callerOf, dollarsOf, FACTS, holdNow, linesOf, NOW, refusalOf, setUp, TODAY } from './ledger-harness.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

describe('a hold', () => {
  it('is made without a wait once account and key are in memory, and tells the balance before the run', async () => {
    const { ledger, store } = setUp()
    const first = await ledger.hold('r1', CALLER, 100n)
    const reads = store.reads

    const second = holdNow(ledger, 'r2', 100n)

    expect([first.balance, second.balance]).toEqual([
      { usd: 1_000n, diem: 0n },
      { usd: 1_000n, diem: 0n },
    ])
    expect(store.reads).toBe(reads)
  })

  it('is refused when balance, open holds and credit do not cover it, in words that say what is missing', async () => {
    const { ledger } = setUp(1_000n, 500n)
    await ledger.hold('r1', CALLER, 1_200n)

    const refusal = await refusalOf(() => ledger.hold('r2', CALLER, 301n))
    holdNow(ledger, 'r3', 300n)

    expect(refusal).toMatchObject({ code: 'INSUFFICIENT_BALANCE', message: expect.stringContaining('0.0000003 USD are available') })
  })

  it('is refused when the key would pass its cap, though the account has the money', async () => {
    const { ledger } = setUp()
    const capped = callerOf('a1', 'k1', { usd: 300n })
    ledger.settle(await ledger.hold('r1', capped, 100n), linesOf(100n), FACTS)
    holdNow(ledger, 'r2', 150n, capped)

    const refusal = await refusalOf(() => ledger.hold('r3', capped, 51n))

    expect(refusal).toMatchObject({
      code: 'API_KEY_USD_SPEND_LIMIT_EXCEEDED',
      message: expect.stringContaining('0.00000005 USD of the key'),
    })
    holdNow(ledger, 'r4', 50n, capped)
    await ledger.hold('r5', callerOf('a1', 'k2'), 51n)
  })

  it('knows what a key spent before this process began', async () => {
    const { ledger, store } = setUp()
    ledger.settle(await ledger.hold('r1', CALLER, 100n), linesOf(100n), FACTS)
    await ledger.flush()

    const next = new Ledger({ store, clock: { now: () => NOW } })

    expect(await refusalOf(() => next.hold('r2', callerOf('a1', 'k1', { usd: 150n }), 51n))).toMatchObject({
      code: 'API_KEY_USD_SPEND_LIMIT_EXCEEDED',
    })
    expect(await dollarsOf(next, 'a1')).toBe(900n)
  })

  it('of requests that come together is given exactly as often as there is money', async () => {
    const { ledger, store } = setUp(1_000n)

    const results = await Promise.allSettled(Array.from({ length: 200 }, (_, i) => (async () => ledger.hold(`r${i}`, CALLER, 10n))()))

    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(100)
    expect(store.reads).toBe(1)
  })

  it('of nothing is given whatever the balance and the cap', async () => {
    const { ledger } = setUp(-10n)

    const hold = await ledger.hold('r1', callerOf('a1', 'k1', { usd: 0n }), 0n)

    expect(ledger.settle(hold, linesOf(0n, 0n), FACTS)).toEqual({ usd: 0n, diem: 0n })
  })

  it('has no limit but sanity for an account without a bottom', async () => {
    const { ledger } = setUp(0n, null)
    const hold = await ledger.hold('r1', CALLER, MAX_AMOUNT)

    expect(ledger.settle(hold, linesOf(7n), FACTS)).toEqual({ usd: 7n, diem: 0n })
    expect(await dollarsOf(ledger, 'a1')).toBe(-7n)
    expect(await refusalOf(() => ledger.hold('r2', CALLER, MAX_AMOUNT + 1n))).toMatchObject({ code: 'INSUFFICIENT_BALANCE' })
  })

  it('that is negative, or under an id that is open, is a fault of ours and changes nothing', async () => {
    const { ledger } = setUp()
    await ledger.hold('r1', CALLER, 600n)

    expect(await refusalOf(() => ledger.hold('r1', CALLER, 1n))).toMatchObject({ code: 'UNKNOWN_ERROR' })
    expect(await refusalOf(() => ledger.hold('r2', CALLER, -1n))).toMatchObject({ code: 'UNKNOWN_ERROR' })
    holdNow(ledger, 'r3', 400n)
  })

  it('of an account that is not in memory gets a 503 while the store is away, never a 402', async () => {
    const { ledger, store } = setUp()
    store.mode = 'away'

    expect(await refusalOf(() => ledger.hold('r1', CALLER, 1n))).toMatchObject({ status: 503 })
    store.mode = 'there'
    await ledger.hold('r2', CALLER, 1n)
  })
})

describe('settling', () => {
  it('charges the lines and gives back the rest of the hold', async () => {
    const { ledger } = setUp()
    const hold = await ledger.hold('r1', CALLER, 800n)

    expect(ledger.settle(hold, linesOf(30n, 70n), FACTS)).toEqual({ usd: 100n, diem: 0n })

    expect(await dollarsOf(ledger, 'a1')).toBe(900n)
    holdNow(ledger, 'r2', 900n)
  })

  it('charges at most the hold, and the usage rows add up to what is charged', async () => {
    const { ledger, store } = setUp()
    const hold = await ledger.hold('r1', CALLER, 100n)

    expect(ledger.settle(hold, linesOf(60n, 70n), FACTS)).toEqual({ usd: 100n, diem: 0n })
    await ledger.flush()

    expect(store.written.get('settle:r1')).toMatchObject({
      kind: 'settle',
      requestId: 'r1',
      at: NOW,
      diemDay: TODAY,
      accountId: 'a1',
      keyId: 'k1',
      ...FACTS,
      lines: [{ amount: 60n }, { amount: 40n }],
    })
  })

  it('or releasing again changes nothing and tells the same', async () => {
    const { ledger, store } = setUp()
    const settled = await ledger.hold('r1', CALLER, 500n)
    const released = holdNow(ledger, 'r2', 500n)

    ledger.release(released)
    const charges = [
      ledger.settle(settled, linesOf(100n), FACTS),
      ledger.settle(settled, linesOf(300n), FACTS),
      ledger.settle(released, linesOf(300n), FACTS),
    ]
    ledger.release(settled)
    ledger.release(released)
    await ledger.flush()

    expect(charges).toEqual([100n, 100n, 0n].map((usd) => ({ usd, diem: 0n })))
    expect(await dollarsOf(ledger, 'a1')).toBe(900n)
    expect([...store.written.keys()]).toEqual(['settle:r1'])
    expect(ledger.status).toEqual({ openHolds: 0, unwritten: 0, storeAway: false })
  })

  it('a run that cost nothing writes its usage and moves no money', async () => {
    const { ledger, store } = setUp()

    ledger.settle(await ledger.hold('r1', CALLER, 0n), linesOf(0n), FACTS)
    ledger.settle(await ledger.hold('r2', CALLER, 50n), [], FACTS)
    await ledger.flush()

    expect([...store.written.values()]).toEqual([
      expect.objectContaining({ requestId: 'r1', lines: linesOf(0n).map((line) => ({ ...line, currency: 'USD' })) }),
    ])
  })

  it('takes a negative or broken line for nothing, so that it can neither pay out nor block the books', async () => {
    const { ledger, store } = setUp()
    const broken: Line = { unit: 'outputToken', count: 1.5, priceNano: 1, amount: -40n }

    expect(ledger.settle(await ledger.hold('r1', CALLER, 100n), [...linesOf(60n), broken], { ...FACTS, executionMs: 12.7 })).toEqual({
      usd: 60n,
      diem: 0n,
    })
    await ledger.flush()

    expect(store.written.get('settle:r1')).toMatchObject({
      executionMs: 13,
      lines: [
        { count: 60, amount: 60n },
        { count: 2, amount: 0n },
      ],
    })
  })
})

describe('a top-up', () => {
  it('is on the account when it resolves, and the same payment again changes nothing', async () => {
    const { ledger, store } = setUp()

    expect(await ledger.topUp('a1', 500n, 'bank', 'p1')).toBe(1_500n)
    expect(await ledger.topUp('a1', 500n, 'bank', 'p1')).toBe(1_500n)

    expect(await dollarsOf(ledger, 'a1')).toBe(1_500n)
    expect(store.books.get('bank')).toBe(-500n)
  })

  it('adds to what is charged and not yet written', async () => {
    const { ledger } = setUp()
    ledger.settle(await ledger.hold('r1', CALLER, 100n), linesOf(100n), FACTS)
    holdNow(ledger, 'r2', 50n)

    expect(await ledger.topUp('a1', 500n, 'bank', 'p1')).toBe(1_400n)
    await ledger.flush()

    expect(await dollarsOf(ledger, 'a1')).toBe(1_400n)
    expect(await refusalOf(() => ledger.hold('r3', CALLER, 1_351n))).toMatchObject({ code: 'INSUFFICIENT_BALANCE' })
    holdNow(ledger, 'r4', 1_350n)
  })

  it('is right although a batch before it was written without an answer', async () => {
    const { ledger, store } = setUp()
    ledger.settle(await ledger.hold('r1', CALLER, 100n), linesOf(100n), FACTS)
    store.mode = 'silent'
    await refusalOf(() => ledger.flush())
    store.mode = 'there'

    expect(await ledger.topUp('a1', 500n, 'bank', 'p1')).toBe(1_400n)
    expect(await dollarsOf(ledger, 'a1')).toBe(1_400n)
  })

  it('that failed, written or not, is finished by the same call again', async () => {
    for (const mode of ['away', 'silent'] as const) {
      const { ledger, store } = setUp()
      await ledger.balances('a1')
      store.mode = mode

      expect(await refusalOf(() => ledger.topUp('a1', 500n, 'bank', 'p1'))).not.toBeNull()
      store.mode = 'there'

      expect(await ledger.topUp('a1', 500n, 'bank', 'p1')).toBe(1_500n)
    }
  })

  it('of nothing, of too much or for nobody is refused', async () => {
    const { ledger, store } = setUp()

    for (const [accountId, amount] of [
      ['a1', 0n],
      ['a1', -1n],
      ['a1', MAX_AMOUNT + 1n],
      ['a9', 1n],
    ] as const) {
      expect(await refusalOf(() => ledger.topUp(accountId, amount, 'bank', 'p1'))).toMatchObject({ code: 'INVALID_REQUEST' })
    }
    expect(store.written.size).toBe(0)
  })
})

describe('an account in memory', () => {
  it('takes up what somebody else changed when it is told to', async () => {
    const { ledger, store } = setUp()
    ledger.settle(await ledger.hold('r1', CALLER, 100n), linesOf(100n), FACTS)
    store.books.set('account:a1', 5_000n)
    store.addAccount('a1', 1_000n)

    await ledger.reload('a1')

    expect(await dollarsOf(ledger)).toBe(4_900n)
    holdNow(ledger, 'r2', 5_900n)
  })

  it('is read again rightly although a batch before was written without an answer', async () => {
    const { ledger, store } = setUp()
    ledger.settle(await ledger.hold('r1', CALLER, 100n), linesOf(100n), FACTS)
    store.mode = 'silent'
    await refusalOf(() => ledger.flush())
    store.mode = 'there'

    await ledger.reload('a1')

    expect(await dollarsOf(ledger)).toBe(900n)
    await ledger.flush()
    expect(await dollarsOf(ledger, 'a1')).toBe(900n)
  })

  it('is let go when many others come, except while it is in use or not all written, and nothing is forgotten', async () => {
    const { ledger, store } = setUp()
    const open = await ledger.hold('open', CALLER, 400n)
    store.addAccount('a2')
    store.addAccount('a3', 1_000n)
    const capped = callerOf('a3', 'k3', { usd: 150n })
    ledger.settle(await ledger.hold('unwritten', capped, 100n), linesOf(100n), FACTS)
    ledger.settle(await ledger.hold('rest', callerOf('a2', 'k2'), 0n), [], FACTS)
    for (let i = 0; i < MAX_AT_REST + 10; i++) {
      store.addAccount(`b${i}`)
      ledger.release(await ledger.hold(`b${i}`, callerOf(`b${i}`, `kb${i}`), 0n))
    }

    const reads = store.reads
    expect(await dollarsOf(ledger, 'a1')).toBe(1_000n)
    expect(store.reads).toBe(reads)
    await ledger.balances('a2')
    expect(store.reads).toBe(reads + 1)
    expect(await dollarsOf(ledger, 'a3')).toBe(-100n)
    expect(await refusalOf(() => ledger.hold('r3', capped, 51n))).toMatchObject({ code: 'API_KEY_USD_SPEND_LIMIT_EXCEEDED' })
    expect(await refusalOf(() => ledger.hold('r2', CALLER, 601n))).toMatchObject({ code: 'INSUFFICIENT_BALANCE' })
    expect(ledger.settle(open, linesOf(400n), FACTS)).toEqual({ usd: 400n, diem: 0n })
  })
})
