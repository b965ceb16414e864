/** What is kept for a time is forgotten after it, and a database that is away is asked again. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { EVERY_MS, FIRST_MS, Retention } from './retention.ts'

const NOW = Date.UTC(2026, 2, 31)
const DAY_MS = 86_400_000

function setUp({ refusalDays = 30, auditDays = 365 } = {}) {
  const asked: { refusals: number; audit: number }[] = []
  const forgot: number[] = []
  const store = {
    away: false,
    async forget(before: { refusals: number; audit: number }) {
      asked.push(before)
      await Promise.resolve()
      if (store.away) throw new Error('away')
      return asked.length > 1 ? 0 : 7
    },
  }
  const retention = new Retention({ store, clock: { now: () => NOW }, refusalDays, auditDays, onForgot: (rows) => forgot.push(rows) })
  return { asked, forgot, store, retention }
}

describe('retention', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it('forgets what is older than its days, soon after the start and every hour from then on', async () => {
    const { retention, asked, forgot } = setUp()
    retention.start()

    await vi.advanceTimersByTimeAsync(FIRST_MS + 2 * EVERY_MS)

    expect(asked).toEqual(Array.from({ length: 3 }, () => ({ refusals: NOW - 30 * DAY_MS, audit: NOW - 365 * DAY_MS })))
    expect(forgot).toEqual([7])
  })

  it('goes on after the database was away', async () => {
    const { retention, store, asked } = setUp()
    store.away = true
    retention.start()
    await vi.advanceTimersByTimeAsync(FIRST_MS)
    store.away = false

    await vi.advanceTimersByTimeAsync(EVERY_MS)

    expect(asked).toHaveLength(2)
  })

  it('keeps for ever what has no days', async () => {
    const [some, none] = [setUp({ auditDays: 0 }), setUp({ auditDays: 0, refusalDays: 0 })]
    some.retention.start()
    none.retention.start()

    await vi.advanceTimersByTimeAsync(FIRST_MS)

    expect([some.asked, none.asked]).toEqual([[{ refusals: NOW - 30 * DAY_MS, audit: 0 }], []])
  })

  it('ends when it is stopped', async () => {
    const { retention, asked } = setUp()
    retention.start()
    await vi.advanceTimersByTimeAsync(FIRST_MS)

    await retention.stop()
    await vi.advanceTimersByTimeAsync(10 * EVERY_MS)

    expect(asked).toHaveLength(1)
  })
})
