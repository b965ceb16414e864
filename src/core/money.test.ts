import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatUsd, lines, ratesFor, toUsd, total } from './money.ts'

describe('amounts as text', () => {
  it.each([
    [0n, '0'],
    [1n, '0.000000001'],
    [-1n, '-0.000000001'],
    [1_250_000_000n, '1.25'],
    [10_000_000_000n, '10'],
    [123_456_789_012_345n, '123456.789012345'],
  ])('%s is %s', (amount, text) => {
    expect(formatUsd(amount)).toBe(text)
  })

  it('are exact: reading one back gives the amount', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(10n ** 24n), max: 10n ** 24n }), (amount) => {
        const [whole = '', fraction = ''] = formatUsd(amount).replace('-', '').split('.')
        const back = BigInt(whole + fraction.padEnd(9, '0'))

        expect(amount < 0n ? -back : back).toBe(amount)
        expect(fraction.endsWith('0')).toBe(false)
      }),
    )
  })
})

describe('prices', () => {
  const prices = {
    base: { inputToken: 200, outputToken: 900, cacheReadToken: 20 },
    extended: { aboveInputTokens: 1_000, price: { inputToken: 400, outputToken: 1_800 } },
  }

  it('make one line per unit that was used, and their sum is what is charged', () => {
    const made = lines(prices, { inputToken: 10, cacheReadToken: 5, cacheWriteToken: 2, outputToken: 3 })

    expect(made.map(({ unit, count, amount }) => [unit, count, amount])).toEqual([
      ['inputToken', 10, 2_000n],
      ['cacheReadToken', 5, 100n],
      // A price that is not named is that of the unit it is a kind of.
      ['cacheWriteToken', 2, 400n],
      ['outputToken', 3, 2_700n],
    ])
    expect(total(made)).toBe(5_200n)
    expect(toUsd(total(made))).toBe(0.0000052)
  })

  it('are the extended ones for the whole request once its input, cached or not, is longer than the line', () => {
    expect(ratesFor(prices, { inputToken: 600, cacheReadToken: 400 }).inputToken).toBe(200)
    expect(ratesFor(prices, { inputToken: 600, cacheReadToken: 401 }).inputToken).toBe(400)
  })
})
