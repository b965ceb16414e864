import { assert, integer, property } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MAX_NANO, nanoPerUnit, priceList } from './price.ts'
import { textEntry } from './testing.ts'

const dollars = (usd: number) => ({ usd, diem: usd })

describe('nanoPerUnit', () => {
  it.each([
    [0.15, 6, 150n],
    [0.6, 6, 600n],
    [17.5, 6, 17_500n],
    [0, 6, 0n],
    [0.001, 6, 1n],
    [0.0001, 0, 100_000n],
    [0.000167, 0, 167_000n],
    [1e-7, 0, 100n],
    [1e21, 0, 10n ** 30n],
    [0.115, 3, 115_000n],
  ])('makes $%s for 10^%i units exactly %s nano-dollars a unit', (usd, power, nano) => {
    expect(nanoPerUnit(usd, power)).toBe(nano)
  })

  it.each([
    [0.0125, 6],
    [0.3125, 6],
    [1e-10, 0],
  ])('has no whole number for $%s per 10^%i', (usd, power) => {
    expect(nanoPerUnit(usd, power)).toBeNull()
  })

  it('reads back every price that can be written, without a rounding error', () => {
    assert(
      property(integer({ min: 0, max: MAX_NANO }), (nano) => {
        const usdPerMillion = Number(`${nano}e-3`)

        expect(nanoPerUnit(usdPerMillion, 6)).toBe(BigInt(nano))
      }),
    )
  })
})

describe('priceList', () => {
  it('keeps a class that is free apart from one that is not sold', () => {
    const prices = priceList(textEntry('m', {}, { pricing: { input: dollars(0), output: dollars(1) } }))

    expect(prices).toEqual({ base: { inputToken: 0, outputToken: 1000 } })
  })

  it('has the rates of long requests apart', () => {
    const extended = { context_token_threshold: 200_000, input: dollars(2), output: dollars(4), cache_input: dollars(0.2) }

    const prices = priceList(
      textEntry('m', {}, { pricing: { input: dollars(1), output: dollars(2), cache_write: dollars(1.25), extended } }),
    )

    expect(prices).toEqual({
      base: { inputToken: 1000, outputToken: 2000, cacheWriteToken: 1250 },
      extended: { aboveInputTokens: 200_000, price: { inputToken: 2000, outputToken: 4000, cacheReadToken: 200 } },
    })
  })

  it('refuses a price that is finer than a nano-dollar per unit, by file, model and field', () => {
    const entry = textEntry('fine', {}, { pricing: { input: dollars(0.3125), output: dollars(1) } })

    expect(() => priceList(entry)).toThrow(
      'models/text.json: fine: spec.pricing.input.usd must come to a whole number of nano-dollars per unit, which 0.3125 does not',
    )
  })

  it('refuses such a price in Diem and in the extended rates too', () => {
    const diem = textEntry('m', {}, { pricing: { input: { usd: 1, diem: 0.0001 }, output: dollars(1) } })
    const extended = { context_token_threshold: 1, input: dollars(0.0001), output: dollars(1) }

    expect(() => priceList(diem)).toThrow('spec.pricing.input.diem')
    expect(() => priceList(textEntry('m', {}, { pricing: { input: dollars(1), output: dollars(1), extended } }))).toThrow(
      'spec.pricing.extended.input.usd',
    )
  })

  it('refuses a price above the bound of the hot path’s arithmetic', () => {
    const highest = textEntry('m', {}, { pricing: { input: dollars(2_147_483.648), output: dollars(1) } })
    const above = textEntry('m', {}, { pricing: { input: dollars(2_147_483.649), output: dollars(1) } })

    expect(priceList(highest).base.inputToken).toBe(MAX_NANO)
    expect(() => priceList(above)).toThrow('must be at most 2147483648 nano-dollars per unit')
  })
})
