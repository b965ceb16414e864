import { describe, expect, test } from 'vitest'
import { choose, randomOf } from './choose.ts'

const CANDIDATES = new Map([
  [1, 0.6],
  [2, 0.3],
  [3, 0.08],
  [4, 0.02],
])

describe('a token chosen by hand', () => {
  test('is the likeliest one where nothing is left to chance', () => {
    expect(choose(CANDIDATES, { temperature: 0 }, [], () => 0.99)).toBe(1)
    expect(choose(CANDIDATES, { temperature: 2, top_k: 1 }, [], () => 0.99)).toBe(1)
    expect(choose(CANDIDATES, { temperature: 2, top_p: 0.5 }, [], () => 0.99)).toBe(1)
    expect(choose(CANDIDATES, { temperature: 2, min_p: 0.9 }, [], () => 0.99)).toBe(1)
  })

  test('comes as often as it is likely', () => {
    const random = randomOf(1)
    const counts = new Map<number, number>()
    for (let i = 0; i < 20_000; i++) {
      const token = choose(CANDIDATES, { temperature: 1, top_k: 0, top_p: 1, min_p: 0 }, [], random)
      counts.set(token, (counts.get(token) ?? 0) + 1)
    }

    for (const [token, probability] of CANDIDATES) expect((counts.get(token) ?? 0) / 20_000).toBeCloseTo(probability, 1)
  })

  test('is another where the likeliest is punished for having been said', () => {
    expect(choose(CANDIDATES, { temperature: 0, presence_penalty: 2 }, [1], () => 0)).toBe(2)
    expect(choose(CANDIDATES, { temperature: 0, frequency_penalty: 1 }, [1, 1, 1, 2], () => 0)).toBe(2)
    expect(choose(CANDIDATES, { temperature: 0, repetition_penalty: 4 }, [1], () => 0)).toBe(2)
  })

  test('is the same for the same seed', () => {
    const draw = (seed: number): number[] => Array.from({ length: 5 }, randomOf(seed))

    expect(draw(7)).toEqual(draw(7))
    expect(draw(7)).not.toEqual(draw(8))
    expect(draw(7).every((one) => one >= 0 && one < 1)).toBe(true)
  })
})
