/** Refusals reach the store in batches, and a store that is away hurts nobody. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { RefusalRow } from '../core/store.ts'
import { BATCH_MS, BATCH_ROWS, MAX_WAITING, RefusalLog } from './refusal-log.ts'

const row = (at: number): RefusalRow => ({ at, accountId: 'a1', keyId: 'k1', model: 'm', kind: 'RPM' })

function setUp() {
  const batches: RefusalRow[][] = []
  const store = {
    away: false,
    async insertRefusals(rows: readonly RefusalRow[]) {
      await Promise.resolve()
      if (store.away) throw new Error('away')
      batches.push([...rows])
    },
  }
  return { batches, store, log: new RefusalLog(store) }
}

describe('the log of refusals', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it('writes what came within a second in one go, in order', async () => {
    const { log, batches } = setUp()
    log.note(row(1))
    log.note(row(2))
    expect(batches).toEqual([])

    await vi.advanceTimersByTimeAsync(BATCH_MS)

    expect(batches).toEqual([[row(1), row(2)]])
  })

  it('writes large numbers in bounded pieces', async () => {
    const { log, batches } = setUp()
    for (let i = 0; i < BATCH_ROWS + 1; i++) log.note(row(i))

    await log.flush()

    expect(batches.map((batch) => batch.length)).toEqual([BATCH_ROWS, 1])
  })

  it('holds a bounded number and counts what it dropped', async () => {
    const { log, batches } = setUp()
    for (let i = 0; i < MAX_WAITING + 5; i++) log.note(row(i))

    await log.flush()

    expect(log.dropped).toBe(5)
    expect(batches.flat()).toHaveLength(MAX_WAITING)
  })

  it('goes on after the store was away, and counts what that cost', async () => {
    const { log, store, batches } = setUp()
    store.away = true
    log.note(row(1))
    await vi.advanceTimersByTimeAsync(BATCH_MS)
    store.away = false
    log.note(row(2))

    await vi.advanceTimersByTimeAsync(BATCH_MS)

    expect(log.dropped).toBe(1)
    expect(batches).toEqual([[row(2)]])
  })
})
