/** Tokens of a minute: never more than the limit was taken in any 60 s, and what was used beyond it is waited for. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MINUTE_MS } from './ring.ts'
import { Window } from './window.ts'

type Take = { at: number; pieces: number }
type Step = { waitMs: number; asked: number; usedShare: number; lateMs: number }

const steps = fc.array(
  fc.record({
    waitMs: fc.double({ min: 0, max: 30_000, noNaN: true }),
    asked: fc.nat(1_500),
    usedShare: fc.double({ min: 0, max: 1, noNaN: true }),
    lateMs: fc.nat(90_000),
  }) satisfies fc.Arbitrary<Step>,
  { maxLength: 60 },
)

const mostIn60s = (takes: readonly Take[]): number =>
  Math.max(
    0,
    ...takes.map(({ at: from }) => takes.reduce((sum, { at, pieces }) => (at >= from && at - from < MINUTE_MS ? sum + pieces : sum), 0)),
  )

describe('tokens of the last minute', () => {
  it('that were taken and used are never more than the limit in any 60 s', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3_000 }), steps, (limit, given) => {
        const window = new Window(limit, 0)
        const takes: Take[] = []
        const open: { take: Take; slot: number; dueAt: number; used: number }[] = []
        let now = 0
        for (const { waitMs, asked, usedShare, lateMs } of given) {
          const next = now + waitMs
          for (const run of open.splice(0).sort((a, b) => a.dueAt - b.dueAt)) {
            if (run.dueAt > next) open.push(run)
            else {
              window.correct(run.slot, run.take.pieces, run.used, run.dueAt)
              run.take.pieces = run.used
            }
          }
          now = next
          window.update(limit, now)
          if (window.waitMs(asked) > 0) continue
          const take = { at: now, pieces: window.take(asked) }
          takes.push(take)
          open.push({ take, slot: window.slot, dueAt: now + lateMs, used: Math.floor(take.pieces * usedShare) })
        }

        expect(mostIn60s(takes)).toBeLessThanOrEqual(limit)
      }),
      { numRuns: 300 },
    )
  })

  it('are all admitted of a caller that uses 60/61 of the limit evenly', () => {
    const limit = 6_100
    const window = new Window(limit, 0)
    let refused = 0

    for (let now = 0; now < 10 * MINUTE_MS; now += 500) {
      window.update(limit, now)
      if (window.waitMs(50) > 0) refused++
      else window.take(50)
    }

    expect(refused).toBe(0)
  })

  it('are worth waiting for as long as is said, with debt or without', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000 }), steps, fc.nat(4_000), (limit, given, over) => {
        const window = new Window(limit, 0)
        let now = 0
        for (const { waitMs, asked } of given) {
          now += waitMs
          window.update(limit, now)
          if (window.waitMs(asked) === 0) window.correct(window.slot, window.take(asked), asked + over, now)
          const toWait = window.waitMs(asked)
          if (toWait === 0) continue
          now += toWait
          window.update(limit, now)
          expect(window.waitMs(asked)).toBe(0)
          expect(toWait).toBeLessThanOrEqual(122_000)
        }
      }),
      { numRuns: 200 },
    )
  })

  it('used beyond the limit are waited for: a minute for each minute’s worth', () => {
    const window = new Window(1_000, 0)
    window.correct(window.slot, window.take(10), 2_000, 0)

    const waits = [window.waitMs(1_000), window.waitMs(1)]
    window.update(1_000, 61_000)
    const halfway = window.state()
    window.update(1_000, 122_000)

    expect(waits).toEqual([122_000, 122_000])
    expect(halfway).toEqual({ limit: 1_000, remaining: 0, resetMs: 61_000 })
    expect(window.state()).toEqual({ limit: 1_000, remaining: 1_000, resetMs: 0 })
  })

  it('used beyond two minutes’ worth are forgiven', () => {
    const window = new Window(1_000, 0)

    window.correct(window.slot, window.take(10), 50_000, 0)

    expect(window.waitMs(1)).toBe(122_000)
  })

  it('never become less than none or more than there are, whatever is corrected when', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 500 }), steps, fc.nat(3_000), (limit, given, over) => {
        const window = new Window(limit, 0)
        let now = 0
        for (const { waitMs, asked, usedShare, lateMs } of given) {
          now += waitMs
          window.update(limit, now)
          const taken = window.take(asked)
          const { slot } = window
          now += lateMs
          window.correct(slot, taken, Math.floor((taken + over) * usedShare), now)

          expect(window.state().remaining).toBeGreaterThanOrEqual(0)
          expect(window.state().remaining).toBeLessThanOrEqual(limit)
        }
        expect(window.isAtRest(now + 200_000)).toBe(true)
        expect(window.state().remaining).toBe(limit)
      }),
      { numRuns: 200 },
    )
  })
})
