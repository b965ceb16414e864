import { describe, expect, it } from 'vitest'
import { escaped } from '../../core/modalities/text.ts'
import { ChunkWriter, completion } from './wire.ts'

const heading = { id: 'chatcmpl-1', created: 7, model: 'modèle "x"' }
const outcome = {
  usage: { inputToken: 5, cacheReadToken: 3, cacheWriteToken: 2, outputToken: 4 },
  reasoningTokens: 1,
  cost: { usd: 1_234n, diem: 5n },
}

const eventsOf = (latin1: string): unknown[] =>
  Buffer.from(latin1, 'latin1')
    .toString('utf8')
    .split('\n\n')
    .filter((event) => event !== '')
    .map((event) => JSON.parse(event.replace(/^data: /, '')))

describe('the chunks of a stream', () => {
  it('tell the role once per choice, keep text exactly, and end with a finish reason', () => {
    const writer = new ChunkWriter(heading)
    const text = 'a "quoted" é\n😀 \u2028'

    const events = eventsOf(
      writer.chunks([
        { type: 'text', choice: 0, json: escaped(text) },
        { type: 'text', choice: 0, json: escaped('b') },
        { type: 'delta', choice: 1, delta: { reasoning_content: 'ö' }, logprobs: null },
        { type: 'end', choice: 0, reason: 'stop' },
        { type: 'end', choice: 1, reason: 'length' },
      ]),
    )

    expect(events.map((event) => (event as { choices: unknown[] }).choices[0])).toEqual([
      { index: 0, delta: { role: 'assistant', content: text }, logprobs: null, finish_reason: null },
      { index: 0, delta: { content: 'b' }, logprobs: null, finish_reason: null },
      { index: 1, delta: { role: 'assistant', reasoning_content: 'ö' }, logprobs: null, finish_reason: null },
      { index: 0, delta: {}, logprobs: null, finish_reason: 'stop' },
      { index: 1, delta: {}, logprobs: null, finish_reason: 'length' },
    ])
    expect(events[0]).toMatchObject({ id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 7, model: 'modèle "x"' })
    expect(writer.reasons).toEqual(['stop', 'length'])
  })

  it('close with a usage chunk that has no choices, and says what it cost', () => {
    const [event] = eventsOf(new ChunkWriter(heading).usage(outcome, '{"enable_web_search":"off"}'))

    expect(event).toMatchObject({
      choices: [],
      usage: {
        prompt_tokens: 10,
        completion_tokens: 4,
        total_tokens: 14,
        prompt_tokens_details: { cached_tokens: 3, cache_creation_input_tokens: 2 },
        completion_tokens_details: { reasoning_tokens: 1 },
      },
      cost: { usd: 0.000001234, diem: 0.000000005 },
      venice_parameters: { enable_web_search: 'off' },
    })
  })
})

describe('a whole answer', () => {
  it('carries choices, usage, cost and the resolved parameters', () => {
    const answer: unknown = JSON.parse(
      completion(
        heading,
        [{ index: 0, message: { role: 'assistant', content: 'hi' }, finishReason: 'stop', logprobs: null }],
        outcome,
        '{}',
      ),
    )

    expect(answer).toMatchObject({
      object: 'chat.completion',
      choices: [{ index: 0, message: { role: 'assistant', content: 'hi' }, finish_reason: 'stop', logprobs: null }],
      usage: { total_tokens: 14 },
      cost: { usd: 0.000001234 },
    })
  })
})
