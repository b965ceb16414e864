import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { TextPart } from '../../core/modalities/text.ts'
import { textOf } from '../../core/modalities/text.ts'
import { callsOf, contentOf, endsOf } from '../text-run.fixture.ts'
import { TextStream } from './stream.ts'

const event = (chunk: unknown): string => `data: ${JSON.stringify(chunk)}\n\n`
const DONE = 'data: [DONE]\n\n'

/** Feeds a stream in portions and ends it. */
function read(portions: readonly (string | Buffer)[], choices = 1) {
  const stream = new TextStream(choices)
  const parts: TextPart[] = []
  for (const portion of portions) {
    stream.feed(Buffer.from(portion))
    parts.push(...stream.take())
  }
  const finish = stream.end()
  parts.push(...stream.take())
  return { parts, finish }
}

/** How some servers write the same chunk; each takes the delta and why the choice ended. */
const SERVERS: Readonly<Record<string, (delta: object, reason: string | null, at: number) => string>> = {
  OpenAI: (delta, finish_reason, at) =>
    event({
      id: 'chatcmpl-1',
      object: 'chat.completion.chunk',
      created: 1,
      model: 'gpt',
      service_tier: 'default',
      system_fingerprint: 'fp_1',
      choices: [{ index: 0, delta, logprobs: null, finish_reason }],
      usage: null,
      obfuscation: 'x7Kq'.repeat(at % 5),
    }),
  vLLM: (delta, finish_reason) =>
    event({
      id: 'chatcmpl-1',
      object: 'chat.completion.chunk',
      created: 1,
      model: 'm',
      choices: [
        { index: 0, delta: { ...delta, reasoning_content: null }, logprobs: null, finish_reason, stop_reason: null, token_ids: null },
      ],
    }),
  'vLLM with usage in every chunk': (delta, finish_reason, at) =>
    event({
      id: '1',
      created: 1,
      model: 'm',
      choices: [{ index: 0, delta, finish_reason }],
      usage: { prompt_tokens: 3, completion_tokens: at },
    }),
  Ollama: (delta, finish_reason, at) =>
    event({
      id: 'chatcmpl-1',
      object: 'chat.completion.chunk',
      created: 1 + (at >> 2),
      model: 'm',
      system_fingerprint: 'fp_ollama',
      choices: [{ index: 0, delta: { role: 'assistant', ...delta }, finish_reason }],
    }),
  'llama-server': (delta, finish_reason, at) =>
    event({
      choices: [{ finish_reason, index: 0, delta }],
      created: 1 + (at >> 2),
      id: 'chatcmpl-1',
      model: 'm',
      object: 'chat.completion.chunk',
    }),
  'a Python server with spaces': (delta, finish_reason) =>
    `data: ${JSON.stringify({ id: '1', choices: [{ index: 0, delta, finish_reason }] }, null, 1).replaceAll('\n', '')}\r\n\r\n`,
  'a server that escapes what is not ASCII': (delta, finish_reason) =>
    event({ id: '1', choices: [{ index: 0, delta, finish_reason }] }).replace(
      /[^\0-\x7f]/g,
      (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`,
    ),
}

const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 12 }),
  fc.constantFrom('"', '\\', '\\"', '\n', '"}', '","content":"x', '\u2028', '🪶', '{"a":"b"}'),
)

describe('a streamed chat', () => {
  test.each(Object.keys(SERVERS))('of %s gives the same text as its chunks have, wherever the bytes are cut', (server) => {
    const write = SERVERS[server]
    if (!write) throw new Error('there is no such server')
    fc.assert(
      fc.property(fc.array(text, { minLength: 1, maxLength: 12 }), fc.integer({ min: 1, max: 400 }), (texts, portion) => {
        const wire = Buffer.from(texts.map((content, at) => write({ content }, null, at)).join('') + write({}, 'stop', 99) + DONE)
        const portions: Buffer[] = []
        for (let at = 0; at < wire.length; at += portion) portions.push(wire.subarray(at, at + portion))

        const { parts } = read(portions)

        expect(contentOf(parts, 0)).toBe(texts.join(''))
        expect(endsOf(parts)).toEqual([{ choice: 0, reason: 'stop' }])
        expect(parts.at(-1)?.type).toBe('end')
      }),
    )
  })

  test.each(Object.keys(SERVERS).filter((server) => !server.includes('usage')))('of %s is not parsed chunk by chunk', (server) => {
    const write = SERVERS[server]
    if (!write) throw new Error('there is no such server')
    const stream = new TextStream(1)
    const parse = JSON.parse
    let parsed = 0
    JSON.parse = (...all: Parameters<typeof parse>) => {
      parsed++
      return parse(...all)
    }

    for (let at = 0; at < 100; at++) stream.feed(Buffer.from(write({ content: ` w${at}` }, null, at % 4)))
    JSON.parse = parse

    expect(stream.take().filter((part) => part.type === 'text')).toHaveLength(100)
    expect(parsed).toBeLessThan(5)
  })

  test('a chunk that looks like the others but says more is not taken for one of them', () => {
    const plain = (content: string) => event({ id: '1', choices: [{ index: 0, delta: { content }, finish_reason: null }] })
    const more = [
      event({ id: '1', choices: [{ index: 0, delta: { content: 'c', reasoning_details: [7] }, finish_reason: null }] }),
      event({ id: '1', choices: [{ index: 0, delta: { content: 'd' }, finish_reason: 'length' }] }),
      event({ id: '1', choices: [], usage: { prompt_tokens: 3, completion_tokens: 4 } }),
    ]

    const { parts, finish } = read([plain('a'), plain('b'), ...more, DONE])

    expect(contentOf(parts, 0)).toBe('abcd')
    expect(parts.filter((part) => part.type === 'delta')[0]).toMatchObject({ delta: { content: 'c', reasoning_details: [7] } })
    expect(endsOf(parts)).toEqual([{ choice: 0, reason: 'length' }])
    expect(finish.usage).toEqual({ inputToken: 3, outputToken: 4 })
  })

  test.each([
    '{"choices":[{"index":0,"delta":{"content":"a\\q"}}]}',
    '{"choices":[{"index":0,"delta":{"content":"a\\u12"}}]}',
    '{"choices":[{"index":0,"delta":{"content":"a\u0001"}}]}',
    'no json',
    '[]',
    '7',
    '{"choices":[7]}',
    '{"choices":[{"index":0,"delta":{"content":"a"}}]}x',
    '{"choices":',
  ])('what is no JSON chunk, %j, is a fault of the upstream, also after good ones', (bad) => {
    const stream = new TextStream(1)
    const good = (content: string) => `data: {"choices":[{"index":0,"delta":{"content":"${content}"}}]}\n\n`
    stream.feed(Buffer.from(good('a') + good('b')))

    expect(() => stream.feed(Buffer.from(`${good('c')}data: ${bad}\n\n`))).toThrow(
      expect.objectContaining({ code: 'INFERENCE_FAILED', internal: 'upstream_malformed' }),
    )
    expect(contentOf(stream.take(), 0)).toBe('abc')
  })

  test('content of 8 MiB in one event, in two bytes per character, comes out as it went in', () => {
    const content = 'ü"\\'.repeat(2 * 1024 * 1024)
    const chunk = (one: string) => event({ choices: [{ index: 0, delta: { content: one } }] })

    const { parts } = read([chunk('first'), chunk(content), DONE])

    expect(contentOf(parts, 0) === `first${content}`).toBe(true)
  })

  test('a chunk that differs from the others by as many bytes as it has is not taken for one of them', () => {
    const chunk = (content: string, finish_reason: string | null) => event({ choices: [{ index: 0, delta: { content }, finish_reason }] })

    const { parts } = read([chunk('a', null), chunk('b', null), chunk('c', 'ok')])

    expect(contentOf(parts, 0)).toBe('abc')
    expect(endsOf(parts)).toEqual([{ choice: 0, reason: 'stop' }])
  })

  test('several choices keep apart', () => {
    const chunk = (index: number, content: string) => event({ id: '1', choices: [{ index, delta: { content }, finish_reason: null }] })
    const end = (index: number, finish_reason: string) => event({ id: '1', choices: [{ index, delta: {}, finish_reason }] })

    const { parts } = read(
      [chunk(0, 'a'), chunk(1, 'x'), chunk(0, 'b'), chunk(1, 'y'), end(1, 'length'), end(0, 'stop'), chunk(7, 'no'), DONE],
      2,
    )

    expect([contentOf(parts, 0), contentOf(parts, 1), contentOf(parts, 7)]).toEqual(['ab', 'xy', ''])
    expect(endsOf(parts)).toEqual([
      { choice: 0, reason: 'stop' },
      { choice: 1, reason: 'length' },
    ])
  })
})

describe('the end of a streamed chat', () => {
  const chunk = (delta: object, finish_reason?: string | null) => event({ choices: [{ index: 0, delta, finish_reason }] })

  test('is one end per choice, the first that the upstream says, and text after it is not lost', () => {
    const { parts } = read([
      chunk({ content: 'a' }, 'length'),
      chunk({ content: 'b' }, 'stop'),
      chunk({}, 'stop'),
      DONE,
      chunk({ content: 'c' }),
    ])

    expect(contentOf(parts, 0)).toBe('ab')
    expect(endsOf(parts)).toEqual([{ choice: 0, reason: 'length' }])
  })

  test.each([
    ['stop', 'stop'],
    ['end_turn', 'stop'],
    ['eos', 'stop'],
    ['MAX_TOKENS', 'length'],
    ['function_call', 'tool_calls'],
    ['SAFETY', 'content_filter'],
    ['something new', 'stop'],
  ])('by the word %s is %s', (word, reason) => {
    expect(endsOf(read([chunk({ content: 'a' }), chunk({}, word), DONE]).parts)).toEqual([{ choice: 0, reason }])
  })

  test.each(['error', 'abort', 'insufficient_system_resource'])('by the word %s is a fault', (word) => {
    expect(() => read([chunk({ content: 'a' }), chunk({}, word), DONE])).toThrow(expect.objectContaining({ internal: 'upstream_died' }))
  })

  test('that only [DONE] tells is told from what the choice has', () => {
    const call = { index: 0, id: 'c', function: { name: 'f', arguments: '{}' } }

    expect(endsOf(read([chunk({ content: 'a' }), DONE]).parts)).toEqual([{ choice: 0, reason: 'stop' }])
    expect(endsOf(read([chunk({ tool_calls: [call] }), DONE]).parts)).toEqual([{ choice: 0, reason: 'tool_calls' }])
  })

  test('without [DONE] is good where the choice has ended', () => {
    expect(endsOf(read([chunk({ content: 'a' }), chunk({}, 'stop')]).parts)).toEqual([{ choice: 0, reason: 'stop' }])
  })

  test.each([[[]], [[DONE]], [[chunk({ content: 'a' })]], [[chunk({ content: 'a' }), 'data: [DO']]])(
    'that never came, %j, is a death',
    (portions) => {
      expect(() => read(portions)).toThrow(expect.objectContaining({ code: 'INFERENCE_FAILED', internal: 'upstream_died' }))
    },
  )

  test.each([
    [`data: ${JSON.stringify({ error: { message: 'words', code: 'rate_limit_exceeded' } })}\n\n`, 'MODEL_OVERLOADED'],
    [
      `data: ${JSON.stringify({ id: '1', error: { code: 502, message: 'words' }, choices: [{ index: 0, delta: { content: '' }, finish_reason: 'error' }] })}\n\n`,
      'INFERENCE_FAILED',
    ],
    [`event: error\ndata: ${JSON.stringify({ message: 'words', code: 400, type: 'exceed_context_size_error' })}\n\n`, 'TOO_MANY_TOKENS'],
    [`data: ${JSON.stringify({ object: 'error', message: 'words', code: 503 })}\n\n`, 'MODEL_AT_CAPACITY'],
    [`data: ${JSON.stringify({ error: 'words' })}\n\n`, 'INFERENCE_FAILED'],
  ])('by an error event %j is that failure, without its words, after the text before it', (bad, code) => {
    const stream = new TextStream(1)

    expect(() => stream.feed(Buffer.from(chunk({ content: 'a' }) + bad))).toThrow(
      expect.objectContaining({ code, message: expect.not.stringContaining('words') }),
    )
    expect(contentOf(stream.take(), 0)).toBe('a')
  })
})

describe('what a chunk has besides text', () => {
  const chunk = (delta: object, rest: object = {}) => event({ choices: [{ index: 0, delta, ...rest }] })
  const deltasOf = (parts: readonly TextPart[]) => parts.flatMap((part) => (part.type === 'delta' ? [part.delta] : []))

  test('reasoning goes by one name, whatever its upstream calls it', () => {
    const { parts } = read([
      chunk({ reasoning: 'a' }),
      chunk({ reasoning_content: 'b' }),
      chunk({ reasoning: 'c', reasoning_content: 'c' }),
      chunk({ content: 'd' }),
      DONE,
    ])

    expect(deltasOf(parts)).toEqual([{ reasoning_content: 'a' }, { reasoning_content: 'b' }, { reasoning_content: 'c' }])
    expect(contentOf(parts, 0)).toBe('d')
  })

  test('a vendor’s own fields pass through untouched', () => {
    const details = [{ type: 'reasoning.encrypted', data: 'x', index: 0 }]
    const { parts } = read([
      chunk({
        role: 'assistant',
        content: '',
        reasoning: null,
        reasoning_details: details,
        extra_content: { google: { thought_signature: 's' } },
      }),
      chunk({}, { finish_reason: 'stop' }),
    ])

    expect(deltasOf(parts)).toEqual([{ reasoning_details: details, extra_content: { google: { thought_signature: 's' } } }])
  })

  test('reasoning and the first text in one chunk are both kept', () => {
    const { parts } = read([chunk({ reasoning: 'so', content: 'Yes' }), DONE])

    expect(deltasOf(parts)).toEqual([{ reasoning_content: 'so', content: 'Yes' }])
  })

  test('content in parts is told apart into text and thought', () => {
    const content = [
      { type: 'thinking', thinking: [{ type: 'text', text: 'hm' }] },
      { type: 'text', text: 'Yes' },
    ]

    expect(deltasOf(read([chunk({ content }), DONE]).parts)).toEqual([{ content: 'Yes', reasoning_content: 'hm' }])
  })

  test('a chunk that says nothing is no part', () => {
    const nothing = [
      chunk({ role: 'assistant', content: null }),
      chunk({ content: '' }),
      chunk({ role: 'assistant', content: '', refusal: null, tool_calls: [] }),
      event({ choices: [] }),
      event({}),
      chunk({ function_call: { name: 'f' } }),
    ]

    const { parts } = read([...nothing, chunk({}, { finish_reason: 'stop' }), DONE])

    expect(parts).toEqual([{ type: 'end', choice: 0, reason: 'stop' }])
  })

  test('log probabilities stay with their text', () => {
    const logprobs = { content: [{ token: 'a', logprob: -0.1, bytes: [97], top_logprobs: [] }] }

    expect(read([chunk({ content: 'a' }, { logprobs }), DONE]).parts[0]).toEqual({
      type: 'delta',
      choice: 0,
      delta: { content: 'a' },
      logprobs,
    })
  })

  test('tool calls that all have index 0 come out as calls of their own', () => {
    const call = (id: string, city: string) =>
      chunk({ tool_calls: [{ index: 0, id, type: 'function', function: { name: 'weather', arguments: `{"city":"${city}"}` } }] })

    const { parts } = read([call('a', 'Paris'), call('b', 'Rome'), chunk({}, { finish_reason: 'tool_calls' }), DONE])

    expect(callsOf(parts)).toEqual([
      { index: 0, id: 'a', type: 'function', name: 'weather', arguments: '{"city":"Paris"}' },
      { index: 1, id: 'b', type: 'function', name: 'weather', arguments: '{"city":"Rome"}' },
    ])
  })

  test('of the usages in every chunk the last one counts', () => {
    const usage = (completion_tokens: number) => ({ prompt_tokens: 5, completion_tokens })
    const wire = [1, 2, 3].map((count) => event({ choices: [{ index: 0, delta: { content: 'x' } }], usage: usage(count) }))

    const { parts, finish } = read([...wire, DONE])

    expect(contentOf(parts, 0)).toBe('xxx')
    expect(finish.usage).toEqual({ inputToken: 5, outputToken: 3 })
  })

  test('usage in the places of Groq and Moonshot is found', () => {
    const usage = { prompt_tokens: 5, completion_tokens: 6 }

    expect(read([event({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }], x_groq: { id: '1', usage } })]).finish.usage).toEqual({
      inputToken: 5,
      outputToken: 6,
    })
    expect(read([event({ choices: [{ index: 0, delta: {}, finish_reason: 'stop', usage }] })]).finish.usage).toEqual({
      inputToken: 5,
      outputToken: 6,
    })
  })

  test('a text part is the bytes of the upstream, escapes and all', () => {
    const { parts } = read(['data: {"choices":[{"index":0,"delta":{"content":"\\u00fc\\/ ü"}}]}\n\n', DONE])
    const [part] = parts

    expect(part).toMatchObject({ type: 'text', json: Buffer.from('\\u00fc\\/ ü').toString('latin1') })
    expect(part?.type === 'text' ? textOf(part.json) : '').toBe('ü/ ü')
  })
})
