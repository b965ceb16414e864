/** DIEM, bundled credits, dollars: who pays what, in which period, on which day. */
import * as fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { total } from '../core/money.ts'
import { cut } from './cut.ts'
import { CALLER, callerOf, DAY_MS, FACTS, holdNow, linesOf, NOW, refusalOf, setUpWith, TODAY } from './ledger-harness.ts'
import { Ledger } from './ledger.ts'
import { MIN_ALLOWANCE } from './purse.ts'

/** The least that a day can be worth. */
const DIEM = MIN_ALLOWANCE

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

describe('a charge', () => {
  it('is paid from DIEM first, then from bundled credits, then from dollars, and each line is cut where one ends', async () => {
    const { ledger, store } = setUpWith({ diem: DIEM, bundled: 30n, balance: 1_000n })
    const hold = await ledger.hold('r1', CALLER, DIEM + 200n)

    const charged = ledger.settle(hold, linesOf(DIEM - 5n, 100n), FACTS)
    await ledger.flush()

    expect([hold.diem, hold.bundled, hold.usd]).toEqual([DIEM, 30n, 170n])
    expect(charged).toEqual({ diem: DIEM, usd: 95n })
    expect(store.bill('r1')?.lines).toEqual([
      { unit: 'inputToken', count: Number(DIEM) - 5, priceNano: 1, amount: DIEM - 5n, currency: 'DIEM' },
      { unit: 'outputToken', count: 5, priceNano: 1, amount: 5n, currency: 'DIEM' },
      { unit: 'outputToken', count: 30, priceNano: 1, amount: 30n, currency: 'BUNDLED_CREDITS' },
      { unit: 'outputToken', count: 65, priceNano: 1, amount: 65n, currency: 'USD' },
    ])
    expect(await ledger.balances('a1')).toMatchObject({
      DIEM: { balance: 0n, held: 0n },
      BUNDLED_CREDITS: { balance: 0n, held: 0n },
      USD: { balance: 935n, held: 0n },
    })
  })

  it('takes what has become free of an earlier currency, and never what another run holds', async () => {
    const { ledger } = setUpWith({ diem: DIEM, balance: 1_000n })
    const first = await ledger.hold('r1', CALLER, DIEM - 10n)
    const second = holdNow(ledger, 'r2', 100n)
    const third = holdNow(ledger, 'r3', 50n)
    expect([second.diem, second.usd, third.usd]).toEqual([10n, 90n, 50n])

    expect(ledger.settle(second, linesOf(100n), FACTS)).toEqual({ diem: 10n, usd: 90n })
    ledger.release(first)

    expect(ledger.settle(third, linesOf(50n), FACTS)).toEqual({ diem: 50n, usd: 0n })
  })

  it('has parts that sum up to its lines, in amounts and in counts, wherever the borders are', () => {
    const lines = fc.array(fc.record({ count: fc.nat(50), priceNano: fc.nat(20), short: fc.nat(30) }), { maxLength: 5 })
    fc.assert(
      fc.property(lines, fc.nat(100), fc.nat(100), (given, a, b) => {
        const bill = given.map(({ count, priceNano, short }) => ({
          unit: 'outputToken' as const,
          count,
          priceNano,
          amount: BigInt(Math.max(0, count * priceNano - short)),
        }))
        const sum = total(bill)
        const diem = (sum * BigInt(a)) / 100n
        const bundled = ((sum - diem) * BigInt(b)) / 100n
        const parts = { diem, bundled, usd: sum - diem - bundled }

        const paid = cut(bill, parts)

        const of = (currency: string) => total(paid.filter((line) => line.currency === currency))
        expect([of('DIEM'), of('BUNDLED_CREDITS'), of('USD')]).toEqual([parts.diem, parts.bundled, parts.usd])
        expect(paid.reduce((all, line) => all + line.count, 0)).toBe(bill.reduce((all, line) => all + line.count, 0))
        for (const line of paid) expect(line.count >= 0 && line.amount >= 0n).toBe(true)
      }),
    )
  })
})

describe('a hold of less than was wanted', () => {
  it('reserves what is affordable, down to the least', async () => {
    const { ledger } = setUpWith({ bundled: 40n, balance: 100n })

    const hold = await ledger.hold('r1', CALLER, 1_000n, 50n)

    expect([hold.amount, hold.bundled, hold.usd]).toEqual([140n, 40n, 100n])
    expect(await refusalOf(() => ledger.hold('r2', CALLER, 1_000n, 1n))).toMatchObject({ code: 'INSUFFICIENT_BALANCE' })
    expect(ledger.settle(hold, linesOf(1_000n), FACTS)).toEqual({ usd: 140n, diem: 0n })
  })

  it('of a price that nobody knows is refused to who pays, and given to who does not', async () => {
    const paying = setUpWith({ balance: 1_000n })
    const operator = setUpWith({ credit: null })

    expect(await refusalOf(() => paying.ledger.hold('r1', CALLER, null))).toMatchObject({ code: 'INVALID_MODEL', internal: 'unpriced' })
    expect((await operator.ledger.hold('r1', CALLER, null)).amount).toBe(0n)
  })
})

describe('the DIEM of a day', () => {
  it('is brought in once, at its first use, and is gone at midnight', async () => {
    const { ledger, store, clock } = setUpWith({ diem: DIEM, balance: 50n })
    expect(await ledger.balances('a1')).toMatchObject({ DIEM: { balance: DIEM }, diemAllowance: DIEM, nextEpochAt: (TODAY + 1) * DAY_MS })
    expect(store.noted).toEqual([])

    for (let i = 0; i < 3; i++) ledger.settle(await ledger.hold(`r${i}`, CALLER, 100n), linesOf(100n), FACTS)
    await ledger.flush()
    clock.at += DAY_MS

    expect(store.written.get(`epoch:a1:${TODAY}`)).toMatchObject({
      amount: DIEM,
      fromBook: 'diem:mint',
      kind: 'allowance',
      currency: 'DIEM',
    })
    expect(store.books.get(`diem:a1:${TODAY}`)).toBe(DIEM - 300n)
    expect((await ledger.balances('a1')).DIEM.balance).toBe(DIEM)
    ledger.settle(holdNow(ledger, 'next', DIEM), linesOf(DIEM), FACTS)
    await ledger.flush()
    expect(store.books.get(`diem:a1:${TODAY}`)).toBe(DIEM - 300n)
    expect(store.books.get(`diem:a1:${TODAY + 1}`)).toBe(0n)
  })

  it('pays a run that began in it and ended after it, and its rest pays nothing more', async () => {
    const { ledger, store, clock } = setUpWith({ diem: DIEM, balance: 1_000n })
    await ledger.balances('a1')
    const before = await ledger.hold('r1', CALLER, 100n)
    clock.at += DAY_MS
    const after = holdNow(ledger, 'r2', 100n)

    ledger.settle(before, linesOf(60n), FACTS)
    ledger.settle(after, linesOf(70n), FACTS)
    await ledger.flush()

    expect(store.bill('r1')).toMatchObject({ diemDay: TODAY, at: NOW + DAY_MS })
    expect(store.books.get(`diem:a1:${TODAY}`)).toBe(DIEM - 60n)
    expect(store.books.get(`diem:a1:${TODAY + 1}`)).toBe(DIEM - 70n)
  })

  it('is topped up where the allowance grows, keeps what it has where it shrinks, and is nothing below the minimum', async () => {
    const { ledger, store } = setUpWith({ diem: DIEM })
    ledger.settle(await ledger.hold('r1', CALLER, 10n), linesOf(10n), FACTS)

    await ledger.setAllowance('a1', DIEM * 3n)
    ledger.settle(holdNow(ledger, 'r2', DIEM * 2n), linesOf(1n), FACTS)
    await ledger.setAllowance('a1', DIEM - 1n)
    await ledger.flush()

    expect((await ledger.balances('a1')).DIEM.balance).toBe(DIEM * 3n - 11n)
    expect([...store.written.keys()].filter((id) => id.startsWith('epoch:'))).toEqual([
      `epoch:a1:${TODAY}`,
      `epoch:a1:${TODAY}:${DIEM * 3n}`,
    ])
    const poor = setUpWith({ diem: DIEM - 1n })
    expect((await poor.ledger.balances('a1')).DIEM.balance).toBe(0n)
  })

  it('that was raised during a run pays for it, and is brought in before it does', async () => {
    const { ledger, store } = setUpWith({ balance: 100n })
    const hold = await ledger.hold('r1', CALLER, 60n)
    await ledger.setAllowance('a1', DIEM)

    expect(ledger.settle(hold, linesOf(60n), FACTS)).toEqual({ usd: 0n, diem: 60n })
    await ledger.setAllowance('a1', 0n)
    await ledger.flush()

    expect((await ledger.balances('a1')).DIEM.balance).toBe(DIEM - 60n)
    expect(store.books.get(`diem:a1:${TODAY}`)).toBe(DIEM - 60n)
  })

  it('is not brought in again by a new process, nor by a clock that goes back', async () => {
    const { ledger, store, clock } = setUpWith({ diem: DIEM })
    ledger.settle(await ledger.hold('r1', CALLER, DIEM), linesOf(DIEM), FACTS)
    await ledger.flush()

    const next = new Ledger({ store, clock })
    expect(await refusalOf(() => next.hold('r2', CALLER, 1n))).toMatchObject({ code: 'INSUFFICIENT_BALANCE' })
    clock.at += DAY_MS
    next.settle(await next.hold('r3', CALLER, DIEM), linesOf(DIEM), FACTS)
    clock.at -= 1
    expect(await refusalOf(() => next.hold('r4', CALLER, 1n))).toMatchObject({ code: 'INSUFFICIENT_BALANCE' })
  })
})

describe('the caps of a key', () => {
  it('limit each currency by itself, and the next one pays', async () => {
    const { ledger } = setUpWith({ diem: DIEM, bundled: 100n, balance: 1_000n })
    const capped = callerOf('a1', 'k1', { diem: 0n, usd: 120n })

    const hold = await ledger.hold('r1', capped, 110n)

    expect([hold.diem, hold.bundled, hold.usd]).toEqual([0n, 100n, 10n])
    expect(await refusalOf(() => ledger.hold('r2', capped, 11n))).toMatchObject({
      code: 'API_KEY_USD_SPEND_LIMIT_EXCEEDED',
      message: expect.stringContaining("0.00000001 USD of the key's 0.00000012 USD in its lifetime"),
    })
  })

  it('are the cause only where they are: else it is the balance, and of two caps the one that would do', async () => {
    const { ledger } = setUpWith({ diem: DIEM, balance: 10n })
    await ledger.balances('a1')
    const codeOf = async (caps: object, least: bigint) => {
      const failure = await refusalOf(() => ledger.hold('x', callerOf('a1', 'k1', caps), least))
      return failure instanceof Error && 'code' in failure ? failure.code : failure
    }

    expect(await codeOf({ usd: 5n, diem: 5n }, DIEM + 11n)).toBe('INSUFFICIENT_BALANCE')
    expect(await codeOf({ diem: 5n }, 100n)).toBe('API_KEY_DIEM_SPEND_LIMIT_EXCEEDED')
    expect(await codeOf({ usd: 5n }, DIEM + 7n)).toBe('API_KEY_USD_SPEND_LIMIT_EXCEEDED')
    expect(await codeOf({ usd: 0n, diem: 0n }, 1n)).toBe('API_KEY_USD_SPEND_LIMIT_EXCEEDED')
    expect(await codeOf({ usd: 0n, diem: 5n }, 50n)).toBe('API_KEY_DIEM_SPEND_LIMIT_EXCEEDED')
  })

  it.each([
    ['EPOCH', 1],
    ['MONTH', 31],
  ] as const)('of a period %s begin anew with the next one, and count the runs of theirs only', async (period, days) => {
    const { ledger, store, clock } = setUpWith({ balance: 10_000n })
    const capped = callerOf('a1', 'k1', { period, usd: 100n })
    const open = await ledger.hold('open', capped, 60n)
    ledger.settle(holdNow(ledger, 'r1', 40n, capped), linesOf(40n), FACTS)
    expect(await refusalOf(() => ledger.hold('r2', capped, 1n))).toMatchObject({ code: 'API_KEY_USD_SPEND_LIMIT_EXCEEDED' })

    clock.at += days * DAY_MS
    const whole = holdNow(ledger, 'r3', 100n, capped)
    ledger.settle(open, linesOf(60n), FACTS)

    expect(await ledger.spent('k1', period)).toEqual({ usd: 0n, diem: 0n })
    expect(await ledger.spent('k1', 'LIFETIME')).toEqual({ usd: 100n, diem: 0n })
    ledger.settle(whole, linesOf(100n), FACTS)
    await ledger.flush()
    const next = new Ledger({ store, clock })
    expect(await next.spent('k1', period)).toEqual({ usd: 100n, diem: 0n })
    expect(await refusalOf(() => next.hold('r4', capped, 1n))).toMatchObject({ code: 'API_KEY_USD_SPEND_LIMIT_EXCEEDED' })
  })
})

describe('credit', () => {
  it('that is given is there when the call resolves, once per id, in its own currency', async () => {
    const { ledger, store } = setUpWith({})

    expect(await ledger.grant('a1', 'BUNDLED_CREDITS', 70n, 'g1')).toBe(70n)
    expect(await ledger.grant('a1', 'BUNDLED_CREDITS', 70n, 'g1')).toBe(70n)
    expect(await ledger.grant('a1', 'DIEM', 5n, 'g2')).toBe(5n)

    expect(store.books.get('grants:bundled')).toBe(-70n)
    expect(store.books.get(`diem:a1:${TODAY}`)).toBe(5n)
    expect((await ledger.hold('r1', CALLER, 75n)).amount).toBe(75n)
  })

  it('that is taken back was never held by a run, and is taken once per id', async () => {
    const { ledger, store } = setUpWith({ balance: 100n, credit: 500n })
    await ledger.hold('r1', CALLER, 60n)
    expect(await refusalOf(() => ledger.takeBack('a1', 'USD', 41n, 't1'))).toMatchObject({
      code: 'INSUFFICIENT_BALANCE',
      message: expect.stringContaining('0.00000004 are there'),
    })

    const both = await Promise.all([ledger.takeBack('a1', 'USD', 40n, 't1'), ledger.takeBack('a1', 'USD', 40n, 't1')])

    expect(both).toEqual([60n, 60n])
    expect(await ledger.takeBack('a1', 'USD', 40n, 't1')).toBe(60n)
    expect(store.books.get('grants')).toBe(40n)
  })

  it('that is being taken back while the store is away is taken, and its fate is told by the same call again', async () => {
    const { ledger, store } = setUpWith({ balance: 100n })
    await ledger.balances('a1')
    const flush = ledger.takeBack('a1', 'USD', 40n, 't1')
    store.mode = 'silent'

    expect(await refusalOf(() => flush)).toMatchObject({ status: 503 })
    expect((await ledger.balances('a1')).USD.balance).toBe(60n)
    store.mode = 'there'

    expect(await ledger.takeBack('a1', 'USD', 40n, 't1')).toBe(60n)
    expect(store.books.get('account:a1')).toBe(60n)
  })

  it('given back for a request is what it paid in each currency, once, and the caps stay used', async () => {
    const { ledger, store } = setUpWith({ diem: DIEM, bundled: 30n, balance: 100n })
    ledger.settle(await ledger.hold('r1', CALLER, DIEM + 80n), linesOf(DIEM + 80n), FACTS)

    expect(await ledger.refund('r1')).toEqual({ diem: DIEM, usd: 80n })
    expect(await ledger.refund('r1')).toEqual({ diem: DIEM, usd: 80n })

    expect(await ledger.balances('a1')).toMatchObject({
      DIEM: { balance: DIEM },
      BUNDLED_CREDITS: { balance: 30n },
      USD: { balance: 100n },
    })
    expect([store.books.get('revenue'), store.books.get('revenue:diem')]).toEqual([0n, 0n])
    expect(await ledger.spent('k1', 'LIFETIME')).toEqual({ usd: 80n, diem: DIEM })
    expect(await refusalOf(() => ledger.refund('r9'))).toMatchObject({ code: 'INVALID_REQUEST' })
  })
})

describe('what is charged', () => {
  it('is noted down before settling returns, with the day that it is paid from', async () => {
    const { ledger, store } = setUpWith({ diem: DIEM })

    ledger.settle(await ledger.hold('r1', CALLER, 10n), linesOf(10n), FACTS)

    expect(store.noted.map((one) => (one.kind === 'settle' ? one.requestId : one.id))).toEqual([`epoch:a1:${TODAY}`, 'r1'])
    expect(store.written.size).toBe(0)
  })

  it('goes out all the same when it cannot be noted down; the ledger says so until it is written', async () => {
    const { ledger, store, away } = setUpWith({ balance: 100n })
    const hold = await ledger.hold('r1', CALLER, 10n)
    store.full = true

    expect(ledger.settle(hold, linesOf(10n), FACTS)).toEqual({ usd: 10n, diem: 0n })
    expect(ledger.status).toEqual({ openHolds: 0, unwritten: 1, storeAway: true })
    await ledger.flush()

    expect(ledger.status.storeAway).toBe(false)
    expect(store.bill('r1')).not.toBeNull()
    expect(away).toEqual([true, false])
  })
})
