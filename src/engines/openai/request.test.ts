import { describe, expect, test } from 'vitest'
import type { TextRequest } from '../../core/modalities/text.ts'
import { PLAIN } from '../text-run.fixture.ts'
import { type Dialect, chatBody, refusedField } from './request.ts'

const tool = { type: 'function', function: { name: 'f' } } as const

const dialect = (...unsupported: string[]): Dialect => ({ unsupported: new Set(unsupported), maxTokensField: 'max_tokens', extraBody: {} })
const bodyOf = (different: Partial<TextRequest>, how = dialect()): unknown => JSON.parse(chatBody('m', { ...PLAIN, ...different }, how))

const FULL: Partial<TextRequest> = {
  choices: 2,
  maxTokens: 9,
  sampling: { temperature: 0, top_p: 0.5, top_k: 4, min_p: 0.1, repetition_penalty: 1.1, seed: 7, stop_token_ids: [1] },
  stop: ['x'],
  tools: [tool],
  toolChoice: { type: 'function', function: { name: 'f' } },
  parallelToolCalls: false,
  format: { type: 'json_schema', name: 'n', strict: true, schema: { type: 'object' } },
  logprobs: 3,
  effort: 'low',
  reasoningSummary: 'auto',
  cacheKey: 'key',
  cacheRetention: '24h',
  verbosity: 'low',
  sandbox: { delayMs: 1 },
}

describe('the body for the server', () => {
  test('of a plain request has nothing that was not asked for, but for the usage of a stream', () => {
    expect(bodyOf({})).toEqual({ model: 'm', messages: PLAIN.messages, stream: true, stream_options: { include_usage: true } })
    expect(bodyOf({ stream: false })).toEqual({ model: 'm', messages: PLAIN.messages, stream: false })
  })

  test('has every field of the request by its wire name, and none of the sandbox’s', () => {
    expect(bodyOf(FULL)).toEqual({
      model: 'm',
      messages: PLAIN.messages,
      stream: true,
      stream_options: { include_usage: true },
      n: 2,
      max_tokens: 9,
      temperature: 0,
      top_p: 0.5,
      top_k: 4,
      min_p: 0.1,
      repetition_penalty: 1.1,
      seed: 7,
      stop_token_ids: [1],
      stop: ['x'],
      tools: [tool],
      tool_choice: { type: 'function', function: { name: 'f' } },
      parallel_tool_calls: false,
      response_format: { type: 'json_schema', json_schema: { name: 'n', strict: true, schema: { type: 'object' } } },
      logprobs: true,
      top_logprobs: 3,
      reasoning_effort: 'low',
      reasoning: { summary: 'auto' },
      prompt_cache_key: 'key',
      prompt_cache_retention: '24h',
      verbosity: 'low',
    })
  })

  test('asks for log probabilities without alternatives where none are wanted', () => {
    expect(bodyOf({ logprobs: 0 })).toEqual(expect.objectContaining({ logprobs: true }))
    expect(bodyOf({ logprobs: 0 })).not.toHaveProperty('top_logprobs')
  })

  test('names the most tokens as the server does', () => {
    expect(bodyOf({ maxTokens: 9 }, { ...dialect(), maxTokensField: 'max_completion_tokens' })).toMatchObject({ max_completion_tokens: 9 })
  })

  test('has what the operator adds, which never wins over the request', () => {
    expect(bodyOf({}, { ...dialect(), extraBody: { store: false, model: 'other', stream: false } })).toMatchObject({
      store: false,
      model: 'm',
      stream: true,
    })
  })

  test('calls developers system, and leaves messages otherwise untouched', () => {
    const messages = [
      { role: 'developer', content: 'd' },
      { role: 'user', content: [{ type: 'image_url', image_url: { url: 'data:x' }, cache_control: { type: 'ephemeral' } }] },
      {
        role: 'assistant',
        content: null,
        reasoning_details: [{ x: 1 }],
        tool_calls: [{ id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } }],
      },
    ] as const

    expect(bodyOf({ messages })).toMatchObject({ messages: [{ role: 'system', content: 'd' }, messages[1], messages[2]] })
  })

  test('leaves out hints that the server does not take', () => {
    const body = bodyOf(FULL, dialect('stream_options', 'prompt_cache_key', 'prompt_cache_retention'))

    for (const hint of ['stream_options', 'prompt_cache_key', 'prompt_cache_retention']) expect(body).not.toHaveProperty(hint)
  })
})

describe('a field that the server cannot honour', () => {
  const fields = [
    'n',
    'max_tokens',
    'temperature',
    'top_k',
    'min_p',
    'seed',
    'stop_token_ids',
    'stop',
    'tools',
    'tool_choice',
    'parallel_tool_calls',
    'response_format',
    'response_format.json_schema',
    'logprobs',
    'top_logprobs',
    'reasoning_effort',
    'reasoning.summary',
    'verbosity',
  ]

  test.each(fields)('%s is named where the request has it, and only then', (field) => {
    expect(refusedField({ ...PLAIN, ...FULL }, dialect(field))).toBe(field)
    expect(refusedField(PLAIN, dialect(field))).toBeNull()
    expect(refusedField({ ...PLAIN, ...FULL }, dialect())).toBeNull()
  })

  test.each(['stream_options', 'prompt_cache_key', 'prompt_cache_retention'])('%s changes no answer and is not refused', (hint) => {
    expect(refusedField({ ...PLAIN, ...FULL }, dialect(hint))).toBeNull()
  })
})
