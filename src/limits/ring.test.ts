/** What may pass in 60 s, wherever they begin: exactly as many as the limit, and every one that the limit allows. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MAX_EXACT, MINUTE_MS, Ring } from './ring.ts'

/** All that were let in, of requests at these moments. */
function admittedOf(limit: number, moments: readonly number[]): number[] {
  const ring = new Ring(limit)
  return moments.filter((now) => {
    ring.update(limit, now)
    if (ring.waitMs() > 0) return false
    ring.take()
    return true
  })
}

/** The most that lie in any 60 s, the end of which is not part of them. */
const mostIn60s = (moments: readonly number[]): number =>
  Math.max(0, ...moments.map((from) => moments.filter((at) => at >= from && at - from < MINUTE_MS).length))

/** Several at a moment, at moments of quarters of a millisecond: not whole, and yet added up exactly. */
const bursts = fc.array(fc.tuple(fc.nat(160_000), fc.integer({ min: 1, max: 30 })), { maxLength: 40 }).map((steps) => {
  let now = 0
  return steps.flatMap(([quarters, times]) => {
    now += quarters / 4
    return Array.from({ length: times }, () => now)
  })
})

describe('requests of the last minute', () => {
  it('are never more than the limit in any 60 s, and none is refused that would not be one too many', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), bursts, (limit, moments) => {
        const admitted = admittedOf(limit, moments)

        expect(mostIn60s(admitted)).toBeLessThanOrEqual(limit)
        const naive: number[] = []
        for (const now of moments) if (naive.filter((at) => now - at < MINUTE_MS).length < limit) naive.push(now)
        expect(admitted).toEqual(naive)
      }),
      { numRuns: 300 },
    )
  })

  it('are all admitted of a caller that keeps to the limit in any 60 s, at its very edge', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), bursts, (limit, moments) => {
        const conforming = admittedOf(limit, moments)

        expect(admittedOf(limit, conforming)).toEqual(conforming)
      }),
    )
  })

  it.each([1, 7, 20, 50, 500, MAX_EXACT])('are all admitted of one that asks evenly, %i a minute', (limit) => {
    const evenly = Array.from({ length: limit * 5 }, (_, index) => Math.ceil((index * MINUTE_MS) / limit))

    expect(admittedOf(limit, evenly)).toHaveLength(limit * 5)
  })

  it('are worth waiting for as long as is said, and not a millisecond less', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), bursts, (limit, moments) => {
        const last = moments.at(-1) ?? 0
        const asked = (): Ring => {
          const ring = new Ring(limit)
          for (const now of admittedOf(limit, moments)) {
            ring.update(limit, now)
            ring.take()
          }
          ring.update(limit, last)
          return ring
        }
        const waitMs = asked().waitMs()
        if (waitMs === 0) return

        const [early, due] = [asked(), asked()]
        early.update(limit, last + waitMs - 1)
        due.update(limit, last + waitMs)

        expect([early.waitMs() > 0, due.waitMs()]).toEqual([true, 0])
      }),
    )
  })

  it('that are counted stay so when the limit changes', () => {
    const ring = new Ring(4)
    for (const now of [0, 1_000, 2_000]) {
      ring.update(4, now)
      ring.take()
    }

    ring.update(2, 3_000)
    const fewer = [ring.waitMs(), ring.state().remaining]
    ring.update(5, 3_000)

    expect([fewer, ring.waitMs(), ring.state().remaining]).toEqual([[58_000, 0], 0, 2])
  })

  it('take memory for as many as came at once', () => {
    const ring = new Ring(MAX_EXACT)
    for (let now = 0; now < 20 * MINUTE_MS; now += 10_000) {
      ring.update(MAX_EXACT, now)
      ring.take()
    }

    expect(ring.places).toBe(8)
    expect(ring.isAtRest(21 * MINUTE_MS)).toBe(true)
  })
})
