/** The server takes on as much as it can hold, and nobody takes it all. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Load } from './load.ts'
import type { Place } from './load.ts'

const enters = (load: Load, id: string, bytes = 0): Place | null => {
  try {
    return load.enter(id, bytes)
  } catch {
    return null
  }
}

const many = (load: Load, id: string, times: number): Place[] =>
  Array.from({ length: times }, () => enters(load, id)).filter((place) => place !== null)

describe('the load of the server', () => {
  it('refuses with 503 and a time to come back', () => {
    const load = new Load({ maxRequests: 1, maxBodiesBytes: 10 })
    load.enter('a')

    expect(() => load.enter('b')).toThrow(expect.objectContaining({ code: 'MODEL_AT_CAPACITY', status: 503, retryAfterMs: 1_000 }))
  })

  it('leaves one key half of the places, and two greedy ones a third each', () => {
    const load = new Load({ maxRequests: 60, maxBodiesBytes: 0 })
    expect(many(load, 'a', 100)).toHaveLength(30)

    for (const place of many(load, 'b', 100)) load.leave(place)
    const fair = new Load({ maxRequests: 60, maxBodiesBytes: 0 })
    const counts = { a: 0, b: 0 }
    for (let i = 0; i < 100; i++) for (const id of ['a', 'b'] as const) if (enters(fair, id)) counts[id]++

    expect(counts).toEqual({ a: 20, b: 20 })
  })

  it('has a place for a key that holds none as long as there is one', () => {
    const load = new Load({ maxRequests: 10, maxBodiesBytes: 0 })
    for (let i = 0; i < 9; i++) expect(enters(load, `k${i}`)).not.toBeNull()

    expect(enters(load, 'last')).not.toBeNull()
    expect(enters(load, 'one more')).toBeNull()
  })

  it('holds bodies by their bytes, as they are announced and as they come', () => {
    const load = new Load({ maxRequests: 10, maxBodiesBytes: 100 })
    const first = load.enter('a', 30)

    load.grow(first, 20)
    expect(() => load.grow(first, 1)).toThrow(expect.objectContaining({ code: 'MODEL_AT_CAPACITY' }))
    expect(enters(load, 'a', 1)).toBeNull()
    expect(enters(load, 'a', 0)).not.toBeNull()
    expect(enters(load, 'b', 50)).not.toBeNull()
    expect(load.bytes).toBe(100)
    load.leave(first)

    expect(load.bytes).toBe(50)
  })

  it('is given back once, however often one leaves', () => {
    const load = new Load({ maxRequests: 4, maxBodiesBytes: 10 })
    const [one, two] = [load.enter('a', 3), load.enter('b', 4)]

    for (let i = 0; i < 3; i++) load.leave(one)
    load.grow(one, 5)

    expect([load.requests, load.bytes]).toEqual([1, 4])
    load.leave(two)
    expect([load.requests, load.bytes]).toEqual([0, 0])
  })

  it('is never more than its bounds, and nothing once all have left, in whatever order they come and go', () => {
    const moves = fc.array(fc.record({ id: fc.constantFrom('a', 'b', 'c'), bytes: fc.nat(40), leaves: fc.boolean(), which: fc.nat(20) }))
    fc.assert(
      fc.property(moves, (given) => {
        const load = new Load({ maxRequests: 7, maxBodiesBytes: 100 })
        const places: Place[] = []
        for (const { id, bytes, leaves, which } of given) {
          const place = leaves ? places[which] : enters(load, id, bytes)
          if (leaves && place) load.leave(place)
          else if (place) places.push(place)
          expect(load.requests).toBeLessThanOrEqual(7)
          expect(load.bytes).toBeLessThanOrEqual(100)
        }
        for (const place of places) load.leave(place)
        expect([load.requests, load.bytes]).toEqual([0, 0])
      }),
    )
  })
})
