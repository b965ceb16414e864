import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LEAST_OUTPUT_TOKENS, type TextRequest, escaped, textGauge, textOf } from './text.ts'

const request = (over: Partial<TextRequest>): TextRequest => ({
  messages: [{ role: 'user', content: 'hello' }],
  stream: false,
  choices: 1,
  maxTokens: null,
  sampling: {},
  stop: [],
  tools: [],
  toolChoice: null,
  parallelToolCalls: null,
  format: null,
  logprobs: null,
  effort: null,
  reasoningSummary: null,
  cacheKey: null,
  cacheRetention: null,
  verbosity: null,
  sandbox: null,
  sizeBytes: 100,
  media: 0,
  ...over,
})

const bounds = { contextTokens: 8_000, maxOutputTokens: 1_000 }

describe('what is held for a chat', () => {
  it("is every byte as a token and the model's longest answer, where the caller names no limit", () => {
    expect(textGauge.ceiling(request({}), bounds)).toEqual({ inputToken: 116, outputToken: 1_000 })
  })

  it("is the limit that goes to the engine, also where it is above the catalogue's, and each choice counts", () => {
    expect(textGauge.ceiling(request({ maxTokens: 3_000, choices: 2 }), bounds).outputToken).toBe(6_000)
    expect(textGauge.ceiling(request({ maxTokens: 99_000 }), bounds).outputToken).toBe(8_000)
  })

  it('is the whole context where media are in it, and never more for the prompt', () => {
    expect(textGauge.ceiling(request({ media: 1 }), bounds).inputToken).toBe(8_000)
    expect(textGauge.ceiling(request({ sizeBytes: 99_000 }), bounds).inputToken).toBe(8_000)
  })
})

describe('escaped text', () => {
  it.each(['plain', 'a "quote" \\ and \n', 'é 😀 \u2028', ''])('reads back as it was: %j', (text) => {
    expect(textOf(escaped(text))).toBe(text)
  })
})

describe('a request that is fitted to what is affordable', () => {
  it('is the longest that can be paid for, never longer than it was, and as short as the floor at least', () => {
    const limit = fc.option(fc.integer({ min: 1, max: 9_000 }), { nil: null })
    fc.assert(
      fc.property(limit, fc.integer({ min: 1, max: 4 }), fc.nat(40_000), (maxTokens, choices, money) => {
        const asked = request({ maxTokens, choices })
        const costs = ({ inputToken = 0, outputToken = 0 }: { inputToken?: number; outputToken?: number }): number =>
          inputToken + 3 * outputToken
        fc.pre(costs(textGauge.floor(asked, bounds)) <= money)

        const fitted = textGauge.fit(asked, bounds, (ceiling) => costs(ceiling) <= money)

        const longest = Math.min(maxTokens ?? bounds.maxOutputTokens, bounds.contextTokens)
        const tokens = fitted.maxTokens ?? 0
        expect(costs(textGauge.ceiling(fitted, bounds))).toBeLessThanOrEqual(money)
        expect(tokens).toBeGreaterThanOrEqual(Math.min(LEAST_OUTPUT_TOKENS, longest))
        expect(tokens).toBeLessThanOrEqual(longest)
        if (tokens < longest) expect(costs(textGauge.ceiling({ ...fitted, maxTokens: tokens + 1 }, bounds))).toBeGreaterThan(money)
        expect({ ...fitted, maxTokens }).toEqual(asked)
      }),
    )
  })
})
