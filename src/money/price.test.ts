/** What is held covers what can be charged, and what is charged is what was used, up to what was held. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { total } from '../core/money.ts'
import type { Line, PriceList } from '../core/money.ts'
import type { Usage } from '../core/usage.ts'
import { clip, price, quote } from './price.ts'

const PRICES: PriceList = {
  base: { inputToken: 100, cacheReadToken: 10, cacheWriteToken: 125, outputToken: 500 },
  extended: { aboveInputTokens: 1_000, price: { inputToken: 200, outputToken: 700 } },
}

const line = (amount: bigint): Line => ({ unit: 'outputToken', count: 1, priceNano: 1, amount })

describe('a quote', () => {
  it('takes every input token at the dearest of its rates', () => {
    expect(quote(PRICES, { inputToken: 1_000, outputToken: 10 })).toBe(1_000n * 125n + 10n * 500n)
  })

  it('beyond the line to the extended rates takes whichever side is dearer', () => {
    const cheaperBeyond: PriceList = { base: { inputToken: 100 }, extended: { aboveInputTokens: 10, price: { inputToken: 1 } } }

    expect(quote(PRICES, { inputToken: 1_001, outputToken: 10 })).toBe(1_001n * 200n + 10n * 700n)
    expect(quote(cheaperBeyond, { inputToken: 11 })).toBe(1_100n)
  })

  it('is unknown, which is not nothing, where a unit has no price on either side of the line', () => {
    expect(quote({ base: { inputToken: 1 } }, { inputToken: 5, outputToken: 5 })).toBeNull()
    expect(quote({ ...PRICES, extended: { aboveInputTokens: 9, price: { inputToken: 1 } } }, { inputToken: 5, outputToken: 5 })).toBeNull()
    expect(quote({ base: { inputToken: 1 } }, { inputToken: 5, outputToken: 0 })).toBe(5n)
  })

  it('is nothing for what is free', () => {
    expect(quote({ base: { inputToken: 0, outputToken: 0 } }, { inputToken: 5_000, outputToken: 5_000 })).toBe(0n)
  })

  it('is never less than the price of any usage below the ceiling', () => {
    const rate = fc.nat(2_000)
    const rates = fc.record(
      { inputToken: rate, cacheReadToken: rate, cacheWriteToken: rate, outputToken: rate },
      { requiredKeys: ['inputToken', 'outputToken'] },
    )
    const split = fc.record({ fresh: fc.nat(500), read: fc.nat(500), write: fc.nat(500), output: fc.nat(500), slack: fc.nat(100) })
    fc.assert(
      fc.property(rates, rates, fc.nat(1_500), split, (base, extended, aboveInputTokens, used) => {
        const prices: PriceList = { base, extended: { aboveInputTokens, price: extended } }
        const ceiling: Usage = { inputToken: used.fresh + used.read + used.write + used.slack, outputToken: used.output + used.slack }
        const usage: Usage = { inputToken: used.fresh, cacheReadToken: used.read, cacheWriteToken: used.write, outputToken: used.output }

        expect((quote(prices, ceiling) ?? -1n) >= total(price(prices, usage))).toBe(true)
      }),
    )
  })
})

describe('the price of a usage', () => {
  it('is one line per unit that was used', () => {
    expect(price(PRICES, { inputToken: 3, cacheReadToken: 2, outputToken: 0 })).toEqual([
      { unit: 'inputToken', count: 3, priceNano: 100, amount: 300n },
      { unit: 'cacheReadToken', count: 2, priceNano: 10, amount: 20n },
    ])
  })

  it('is exact whatever the count and the rate', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.nat(2 ** 31), (count, rate) => {
        expect(total(price({ base: { outputToken: rate } }, { outputToken: count }))).toBe(BigInt(count) * BigInt(rate))
      }),
    )
    expect(total(price({ base: { outputToken: 3 } }, { outputToken: 2 ** 52 + 1 }))).toBe(3n * 2n ** 52n + 3n)
  })

  it('takes nonsense counts as none, and a part of a piece as a piece', () => {
    const usage: Usage = { inputToken: -5, cacheReadToken: Number.NaN, cacheWriteToken: 0.5, outputToken: 2.01 }

    expect(price(PRICES, usage)).toEqual([
      { unit: 'cacheWriteToken', count: 1, priceNano: 125, amount: 125n },
      { unit: 'outputToken', count: 3, priceNano: 500, amount: 1_500n },
    ])
    expect(total(price(PRICES, { outputToken: Number.POSITIVE_INFINITY }))).toBeGreaterThan(0n)
  })
})

describe('clipping', () => {
  it('takes from the last lines what is above the limit, and shows it', () => {
    expect(clip([line(5n), line(5n), line(5n)], 7n).map(({ amount }) => amount)).toEqual([5n, 2n, 0n])
  })

  it('leaves lines within the limit as they are', () => {
    const lines = [line(5n), line(0n)]

    expect(clip(lines, 5n)).toBe(lines)
  })

  it('never yields a negative amount, nor more than the limit, nor more than a line was', () => {
    const amounts = fc.array(fc.bigInt({ min: -100n, max: 1_000n }), { maxLength: 6 })
    fc.assert(
      fc.property(amounts, fc.bigInt({ min: 0n, max: 3_000n }), (given, limit) => {
        const asked = given.map(line)
        const sum = given.reduce((all, amount) => all + (amount < 0n ? 0n : amount), 0n)

        const paid = clip(asked, limit)

        expect(total(paid)).toBe(sum < limit ? sum : limit)
        for (const [i, { amount }] of paid.entries()) expect(amount >= 0n && (amount === 0n || amount <= (given[i] ?? 0n))).toBe(true)
      }),
    )
  })
})
