import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { dollarsOf, nanoOf } from './wire-money.ts'

describe('dollars as a JSON number', () => {
  it.each([
    [0, 0n],
    [-0, 0n],
    [0.1, 100_000_000n],
    [1e-9, 1n],
    [0.000000123, 123n],
    [50, 50_000_000_000n],
    [1.25, 1_250_000_000n],
    [9_999_999_999, 9_999_999_999_000_000_000n],
    [1e21, 10n ** 30n],
  ])('%d is %d nano-dollars', (dollars, nano) => {
    expect(nanoOf(dollars)).toBe(nano)
  })

  it.each([1e-10, 0.1 + 0.2, 0.0000000001, 1.0000000001, 1234567.123456789, -1, NaN, Infinity])('%d is refused, not rounded', (dollars) => {
    expect(nanoOf(dollars)).toBeNull()
  })

  it('comes back as it came, whatever nano-dollars it is made of, up to 15 digits', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 10n ** 15n - 1n }), fc.integer({ min: 0, max: 4 }), (digits, zeros) => {
        const nano = digits * 10n ** BigInt(zeros)
        const dollars = dollarsOf(nano)

        expect(nanoOf(JSON.parse(JSON.stringify(dollars)))).toBe(nano)
      }),
    )
  })
})
