/** What is settled gets written: in batches, soon, once, and whatever the store does meanwhile. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { MAX_UNWRITTEN } from './ledger.ts'
import { CALLER, dollarsOf, FACTS, holdNow, linesOf, refusalOf, settleMany, setUp } from './ledger-harness.ts'
import { BATCH_MAX, BATCH_MS, CLOSE_MS, RETRY_MAX_MS, RETRY_MS } from './writer.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

describe('what is settled', () => {
  it('is written together within 50 ms', async () => {
    const { ledger, store } = setUp()
    ledger.release(await ledger.hold('load', CALLER, 1n))
    settleMany(ledger, 0, 10)
    await vi.advanceTimersByTimeAsync(BATCH_MS - 1)
    expect(store.commits).toEqual([])

    await vi.advanceTimersByTimeAsync(1)

    expect(store.commits).toEqual([10])
    expect(ledger.status.unwritten).toBe(0)
  })

  it('is written at once when it is a full batch, and never in larger ones', async () => {
    const { ledger, store } = setUp(100_000n)
    ledger.release(await ledger.hold('load', CALLER, 1n))
    settleMany(ledger, 0, BATCH_MAX * 2 + 5)

    await vi.advanceTimersByTimeAsync(1)

    expect(store.commits).toEqual([BATCH_MAX, BATCH_MAX, 5])
  })

  it('is written as well when it comes while a batch is under way', async () => {
    const { ledger, store } = setUp()
    ledger.release(await ledger.hold('load', CALLER, 1n))
    settleMany(ledger, 0, BATCH_MAX)
    vi.advanceTimersToNextTimer()
    settleMany(ledger, BATCH_MAX, BATCH_MAX + 300)

    await vi.advanceTimersByTimeAsync(BATCH_MS)

    expect(store.written.size).toBe(BATCH_MAX + 300)
  })

  it('waits while the store is away and is written once when it is back, with one word about each', async () => {
    const { ledger, store, away } = setUp()
    ledger.release(await ledger.hold('load', CALLER, 1n))
    store.mode = 'away'
    settleMany(ledger, 0, 5)
    await vi.advanceTimersByTimeAsync(60_000)
    expect(ledger.status).toEqual({ openHolds: 0, unwritten: 5, storeAway: true })
    settleMany(ledger, 5, 10)
    store.mode = 'there'

    await vi.advanceTimersByTimeAsync(RETRY_MAX_MS)

    expect(store.commits).toEqual([10])
    expect(store.books.get('account:a1')).toBe(990n)
    expect(away).toEqual([true, false])
  })

  it('is tried again soon at first, then more rarely', async () => {
    const { ledger, store } = setUp()
    ledger.release(await ledger.hold('load', CALLER, 1n))
    const commit = vi.spyOn(store, 'commit')
    store.mode = 'away'
    settleMany(ledger, 0, 1)

    await vi.advanceTimersByTimeAsync(BATCH_MS + RETRY_MS * 7)
    expect(commit).toHaveBeenCalledTimes(4)
    await vi.advanceTimersByTimeAsync(600_000)
    expect(commit.mock.calls.length).toBeLessThan(130)
  })

  it('is what says that the store is away: a payment that fails alone tells who pays, and leaves nothing that stays away', async () => {
    const { ledger, store, away } = setUp()
    await ledger.balances('a1')
    store.mode = 'away'

    expect(await refusalOf(() => ledger.topUp('a1', 5n, 'bank', 'p1'))).toMatchObject({ status: 503 })

    expect(ledger.status.storeAway).toBe(false)
    expect(away).toEqual([])
  })

  it('is noted down in the order it came, nothing before what came before it, once the disk has room again', async () => {
    const { ledger, store } = setUp()
    ledger.release(await ledger.hold('load', CALLER, 1n))
    store.full = true
    settleMany(ledger, 0, 2)
    expect([store.noted, ledger.status.storeAway]).toEqual([[], true])
    store.full = false

    settleMany(ledger, 2, 3)

    expect(store.noted.map((one) => (one.kind === 'settle' ? one.requestId : one.id))).toEqual(['r0', 'r1', 'r2'])
    expect(ledger.status.storeAway).toBe(false)
  })

  it('is charged once though the store wrote it and could not say so', async () => {
    const { ledger, store } = setUp()
    ledger.release(await ledger.hold('load', CALLER, 1n))
    store.mode = 'silent'
    settleMany(ledger, 0, 5)
    await vi.advanceTimersByTimeAsync(10_000)
    store.mode = 'there'

    await ledger.flush()

    expect(store.books.get('account:a1')).toBe(995n)
    expect(await dollarsOf(ledger, 'a1')).toBe(995n)
  })

  it('is bounded: with too much unwritten, new holds get a 503 and no settlement is lost', async () => {
    const { ledger, store } = setUp(1_000_000n)
    ledger.release(await ledger.hold('load', CALLER, 1n))
    store.mode = 'away'
    settleMany(ledger, 0, MAX_UNWRITTEN - 1)
    const last = holdNow(ledger, 'last', 1n)

    expect(await refusalOf(() => ledger.hold('more', CALLER, 1n))).toMatchObject({ status: 503 })
    ledger.settle(last, linesOf(1n), FACTS)
    store.mode = 'there'
    await ledger.flush()

    expect(store.books.get('revenue')).toBe(BigInt(MAX_UNWRITTEN))
    holdNow(ledger, 'more', 1n)
  })

  it('is written when the ledger closes, which takes no more holds', async () => {
    const { ledger, store } = setUp()
    const open = await ledger.hold('r1', CALLER, 1n)
    const closing = ledger.close()
    ledger.settle(open, linesOf(1n), FACTS)
    await closing

    expect(await ledger.close()).toBe(0)
    expect(store.written.has('settle:r1')).toBe(true)
    expect(await refusalOf(() => ledger.hold('r2', CALLER, 0n))).toMatchObject({ code: 'SHUTTING_DOWN' })
  })

  it('is counted when it could not be written before the end', async () => {
    vi.useRealTimers()
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setImmediate'] })
    const { ledger, store } = setUp()
    ledger.settle(await ledger.hold('r1', CALLER, 1n), linesOf(1n), FACTS)
    store.mode = 'away'
    const abort = new AbortController()
    vi.spyOn(AbortSignal, 'timeout').mockImplementation((ms) => {
      expect(ms).toBe(CLOSE_MS)
      return abort.signal
    })

    const closing = ledger.close()
    abort.abort()

    expect(await closing).toBe(1)
  })
})
