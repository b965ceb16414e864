import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Ranges } from './ranges.ts'

const SIZE = 200

test('ranges know each byte that was added and no other, and what they miss is all the rest, once, in pieces', () => {
  const range = fc.tuple(fc.nat(SIZE), fc.nat(SIZE)).map(([a, b]) => ({ from: Math.min(a, b), to: Math.max(a, b) }))
  fc.assert(
    fc.property(fc.array(range, { maxLength: 20 }), fc.integer({ min: 1, max: 60 }), (added, piece) => {
      const ranges = new Ranges()
      const bytes = new Set<number>()
      for (const { from, to } of added) {
        ranges.add(from, to)
        for (let at = from; at < to; at++) bytes.add(at)
      }
      const missing = ranges.missing(SIZE, piece)

      expect(ranges.bytes).toBe(bytes.size)
      expect(ranges.end).toBe(Math.max(0, ...[...bytes].map((at) => at + 1)))
      expect(missing.every(({ from, to }) => to > from && to - from <= piece)).toBe(true)
      const all = [...bytes, ...missing.flatMap(({ from, to }) => Array.from({ length: to - from }, (_, at) => from + at))]
      expect(all.sort((a, b) => a - b)).toEqual(Array.from({ length: SIZE }, (_, at) => at))
    }),
  )
})
