import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { chatUsage, embeddingUsage } from './usage.ts'

describe('usage', () => {
  test.each([
    ['plain', { prompt_tokens: 10, completion_tokens: 4, total_tokens: 14 }, { inputToken: 10, outputToken: 4 }],
    [
      'OpenAI’s cache',
      { prompt_tokens: 10, completion_tokens: 4, prompt_tokens_details: { cached_tokens: 8 } },
      { inputToken: 2, cacheReadToken: 8, outputToken: 4 },
    ],
    [
      'DeepSeek’s cache',
      { prompt_tokens: 10, completion_tokens: 4, prompt_cache_hit_tokens: 6, prompt_cache_miss_tokens: 4 },
      { inputToken: 4, cacheReadToken: 6, outputToken: 4 },
    ],
    [
      'Moonshot’s cache',
      { prompt_tokens: 10, completion_tokens: 4, cached_tokens: 6 },
      { inputToken: 4, cacheReadToken: 6, outputToken: 4 },
    ],
    [
      'a cache that is read and written',
      { prompt_tokens: 10, completion_tokens: 4, prompt_tokens_details: { cached_tokens: 3, cache_creation_input_tokens: 5 } },
      { inputToken: 2, cacheReadToken: 3, cacheWriteToken: 5, outputToken: 4 },
    ],
    [
      'a cache larger than the prompt',
      { prompt_tokens: 10, completion_tokens: 4, prompt_tokens_details: { cached_tokens: 12, cache_creation_input_tokens: 5 } },
      { inputToken: 0, cacheReadToken: 10, outputToken: 4 },
    ],
    [
      'numbers below 0',
      { prompt_tokens: -1, completion_tokens: -2, prompt_tokens_details: { cached_tokens: -5 } },
      { inputToken: 0, outputToken: 0 },
    ],
    [
      'details that are null',
      { prompt_tokens: 1, completion_tokens: 2, prompt_tokens_details: null, completion_tokens_details: null },
      { inputToken: 1, outputToken: 2 },
    ],
  ])('of %s comes in disjoint classes', (_what, raw, usage) => {
    expect(chatUsage(raw)?.usage).toEqual(usage)
  })

  test.each([
    null,
    7,
    {},
    { prompt_tokens: 1 },
    { completion_tokens: 1 },
    { prompt_tokens: '1', completion_tokens: 2 },
    { prompt_tokens: 1.5, completion_tokens: 2 },
    { prompt_tokens: 1, completion_tokens: null },
  ])('that does not count both sides, %j, is none', (raw) => {
    expect(chatUsage(raw)).toBeNull()
  })

  test('reasoning is part of the output, also where xAI counts it apart', () => {
    const details = { completion_tokens_details: { reasoning_tokens: 30 } }

    expect(chatUsage({ prompt_tokens: 10, completion_tokens: 40, total_tokens: 50, ...details })).toEqual({
      usage: { inputToken: 10, outputToken: 40 },
      reasoningTokens: 30,
    })
    expect(chatUsage({ prompt_tokens: 10, completion_tokens: 5, total_tokens: 45, ...details })).toEqual({
      usage: { inputToken: 10, outputToken: 35 },
      reasoningTokens: 30,
    })
  })

  test('the classes of the prompt always add up to the prompt, none below 0', () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer(), fc.integer(), (prompt_tokens, cached_tokens, cache_write_tokens) => {
        const usage = chatUsage({
          prompt_tokens,
          completion_tokens: 1,
          prompt_tokens_details: { cached_tokens, cache_write_tokens },
        })?.usage

        const classes = [usage?.inputToken ?? 0, usage?.cacheReadToken ?? 0, usage?.cacheWriteToken ?? 0]
        expect(classes.reduce((sum, count) => sum + count)).toBe(prompt_tokens)
        expect(Math.min(...classes)).toBeGreaterThanOrEqual(0)
      }),
    )
  })

  test('of an embedding is its input', () => {
    expect(embeddingUsage({ prompt_tokens: 7, total_tokens: 7 })).toEqual({ usage: { inputToken: 7 } })
    expect(embeddingUsage({ total_tokens: 7 })).toEqual({ usage: { inputToken: 7 } })
    expect(embeddingUsage(undefined)).toEqual({ usage: null })
  })
})
