/** What is in a stream, as a client reads it, over an upstream that sends what and when the test says. */
import * as fc from 'fast-check'
import OpenAI, { APIError } from 'openai'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { giveKey } from './harness/accounts.ts'
import { INPUT_NANO, OUTPUT_NANO, engineAt, overlay, textModel } from './harness/overlay.ts'
import { type Rialto, startRialto } from './harness/rialto.ts'
import { ask, dataOf, openStream } from './harness/talk.ts'
import {
  type Answer,
  type Step,
  type Upstream,
  USAGE,
  chatEvents,
  chatJson,
  events,
  json,
  splitAt,
  startUpstream,
} from './harness/upstream.ts'

const MODEL = 'bridge'
const ASK = { model: MODEL, messages: [{ role: 'user', content: 'abcdefgh' }] }
const STREAM = { ...ASK, stream: true }
const TEXTS = ['Grüß', ' dich,', ' \u{1F30D}!', ' "quoted" \\ and\n more', ' end']

let upstream: Upstream
let rialto: Rialto
let chat: string
let key: string
beforeAll(async () => {
  upstream = await startUpstream()
  const config = overlay([engineAt('mock', upstream.url)], [textModel(MODEL, 'mock')])
  rialto = await startRialto({ config })
  chat = `${rialto.url}/chat/completions`
  key = await giveKey(rialto.home, { plan: 'operator', balanceNano: 1_000_000_000n })
})
afterAll(() => Promise.all([rialto?.stop(), upstream?.stop()]))

const delta = z.looseObject({
  role: z.string().optional(),
  content: z.string().nullish(),
  tool_calls: z.array(z.looseObject({ index: z.int() })).optional(),
})
const chunk = z.object({
  id: z.string().startsWith('chatcmpl-'),
  object: z.literal('chat.completion.chunk'),
  created: z.int(),
  model: z.literal(MODEL),
  choices: z.array(z.object({ index: z.int(), delta, logprobs: z.unknown(), finish_reason: z.string().nullable() })),
  usage: z.looseObject({}).optional(),
  cost: z.object({ usd: z.number(), diem: z.number() }).optional(),
  venice_parameters: z.looseObject({}).optional(),
})
type Chunk = z.infer<typeof chunk>

/** The chunks of a whole stream; fails where it does not end in one `[DONE]`. */
function chunksOf(stream: string): Chunk[] {
  const data = dataOf(stream)
  expect(data.indexOf('[DONE]')).toBe(data.length - 1)
  return data.slice(0, -1).map((one) => chunk.parse(one))
}

const choicesOf = (chunks: readonly Chunk[], index = 0) =>
  chunks.flatMap(({ choices }) => choices.filter((choice) => choice.index === index))
const contentOf = (chunks: readonly Chunk[], index = 0): string =>
  choicesOf(chunks, index)
    .map((choice) => choice.delta.content ?? '')
    .join('')

/** Asks for a stream that is answered so, and takes it whole. */
async function streamed(answer: Answer, more: object = {}): Promise<string> {
  upstream.script(answer)
  return (await ask(chat, { key, body: { ...STREAM, ...more } })).text
}

/** What does not depend on how often an upstream's events were cut: everything but id and time, neighbouring texts joined. */
function sense(stream: string): unknown {
  const chunks = chunksOf(stream)
  return {
    content: contentOf(chunks),
    ends: choicesOf(chunks)
      .map((choice) => choice.finish_reason)
      .filter(Boolean),
    role: choicesOf(chunks)[0]?.delta.role,
  }
}

const bytesEach = (text: string): number[] => Array.from({ length: Buffer.byteLength(text) - 1 }, (_, index) => index + 1)

describe('the answer is the same', () => {
  const whole = { content: TEXTS.join(''), ends: ['stop'], role: 'assistant' }
  const text = chatEvents(TEXTS)

  test('wherever the bytes are cut', async () => {
    const places = fc.uniqueArray(fc.integer({ min: 1, max: Buffer.byteLength(text) - 1 }), { maxLength: 12 })

    await fc.assert(
      fc.asyncProperty(places, async (at) => {
        expect(sense(await streamed(splitAt(events(text), ...at.sort((a, b) => a - b))))).toEqual(whole)
      }),
      { numRuns: 40 },
    )
  })

  test('when every byte comes alone', async () => {
    expect(sense(await streamed(splitAt(events(text), ...bytesEach(text))))).toEqual(whole)
  })

  test('with any ends of lines, comments, names, ids and spellings of the field', async () => {
    const line = fc.record({
      end: fc.constantFrom('\n', '\r\n', '\r'),
      before: fc.constantFrom('', ': a comment', 'id: 7', 'retry: 100', 'event: message', 'unknown: x', ':'),
      space: fc.boolean(),
    })
    const dressed = (plain: string, lines: readonly { end: string; before: string; space: boolean }[]): string =>
      plain
        .split('\n\n')
        .filter(Boolean)
        .map((event, index) => {
          const { end, before, space } = lines[index % lines.length] ?? { end: '\n', before: '', space: true }
          return `${before && before + end}${space ? event : event.replace('data: ', 'data:')}${end}${end}`
        })
        .join('')
    const cuts = fc.uniqueArray(fc.integer({ min: 1, max: 400 }), { maxLength: 8 })

    await fc.assert(
      fc.asyncProperty(fc.array(line, { minLength: 1, maxLength: 7 }), cuts, fc.boolean(), async (lines, at, mark) => {
        const body = (mark ? '\ufeff' : '') + dressed(text, lines)
        expect(sense(await streamed(splitAt(events(body), ...at.sort((a, b) => a - b))))).toEqual(whole)
      }),
      { numRuns: 30 },
    )
  })

  test('when one event has 8 MiB of data', async () => {
    const large = 'ß\\"x'.repeat(2 * 1024 * 1024)

    const chunks = chunksOf(await streamed(events(chatEvents(['first ', large, ' last']))))

    expect(contentOf(chunks) === `first ${large} last`).toBe(true)
  })

  test('when the upstream does not stream although it was asked to', async () => {
    expect(sense(await streamed(chatJson(whole.content)))).toEqual(whole)
  })
})

describe('a stream', () => {
  const part = (choices: readonly object[], more: object = {}): string =>
    `data: ${JSON.stringify({ object: 'chat.completion.chunk', choices, ...more })}\n\n`
  const DONE = 'data: [DONE]\n\n'

  test('has each tool call under an index of its own, whatever the upstream says', async () => {
    const call = (fields: object): string => part([{ index: 0, delta: { tool_calls: [fields] } }])
    const answer = [
      call({ index: 0, id: 'call_a', type: 'function', function: { name: 'first', arguments: '{"a"' } }),
      call({ index: 0, id: 'call_a', function: { arguments: ':1}' } }),
      call({ index: 0, id: 'call_b', type: 'function', function: { name: 'second', arguments: '' } }),
      call({ index: 0, function: { arguments: '{"b":2}' } }),
      part([{ index: 0, delta: {}, finish_reason: 'tool_calls' }]),
      DONE,
    ].join('')
    const tools = ['first', 'second'].map((name) => ({ type: 'function', function: { name } }))

    const chunks = chunksOf(await streamed(events(answer), { tools }))

    const calls = choicesOf(chunks).flatMap((choice) => choice.delta.tool_calls ?? [])
    const fields = z.object({
      index: z.int(),
      id: z.string().optional(),
      type: z.string().optional(),
      function: z.looseObject({ arguments: z.string() }),
    })
    const told = calls.map((one) => fields.parse(one))
    const args = (index: number): string =>
      told
        .filter((one) => one.index === index)
        .map((one) => one.function.arguments)
        .join('')
    expect([args(0), args(1)]).toEqual(['{"a":1}', '{"b":2}'])
    expect(told.filter(({ id }) => id !== undefined).map(({ index, id, type }) => [index, id, type])).toEqual([
      [0, 'call_a', 'function'],
      [1, 'call_b', 'function'],
    ])
    expect(choicesOf(chunks).at(-1)?.finish_reason).toBe('tool_calls')
  })

  test('ends each choice exactly once, even where the upstream ends it twice or only says that it is done', async () => {
    const text = (index: number, content: string): object => ({ index, delta: { content } })
    const answer = [
      part([text(0, 'a'), text(1, 'b')]),
      part([{ index: 0, delta: {}, finish_reason: 'length' }]),
      part([{ index: 0, delta: {}, finish_reason: 'stop' }]),
      part([text(1, 'c')]),
      DONE,
    ].join('')

    const chunks = chunksOf(await streamed(events(answer), { n: 2 }))

    const ends = [0, 1].map((index) =>
      choicesOf(chunks, index)
        .map((choice) => choice.finish_reason)
        .filter(Boolean),
    )
    expect(ends).toEqual([['length'], ['stop']])
    expect([contentOf(chunks, 0), contentOf(chunks, 1)]).toEqual(['a', 'bc'])
    expect([0, 1].map((index) => choicesOf(chunks, index).filter((choice) => choice.delta.role === 'assistant').length)).toEqual([1, 1])
  })

  test('says what was used only when that was asked for, once, before the end', async () => {
    const without = chunksOf(await streamed(events(chatEvents(['a']))))
    const asked = chunksOf(await streamed(events(chatEvents(['a'])), { stream_options: { include_usage: true } }))

    expect(without.some(({ usage }) => usage)).toBe(false)
    expect(asked.filter(({ usage }) => usage).length).toBe(1)
    expect(asked.at(-1)).toMatchObject({ choices: [], usage: USAGE })
    expect(asked.at(-1)?.cost?.usd).toBeCloseTo((USAGE.prompt_tokens * INPUT_NANO + USAGE.completion_tokens * OUTPUT_NANO) / 1e9, 15)
  })

  test('has the headers of a stream, and is never compressed', async () => {
    upstream.script(events(chatEvents(['a'])))
    const { headers } = await ask(chat, { key, body: STREAM, headers: { 'accept-encoding': 'gzip, br' } })

    expect(headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
    expect(headers.get('content-encoding')).toBeNull()
    expect(headers.get('cache-control')).toBe('no-cache, no-transform')
    expect(headers.get('x-accel-buffering')).toBe('no')
    expect(headers.get('x-venice-model-id')).toBe(MODEL)
    expect(headers.get('x-venice-model-name')).toBe(`The ${MODEL}`)
  })

  test('leaves out thinking where that was asked for, however it comes, streamed and whole', async () => {
    const venice_parameters = { strip_thinking_response: true }
    const pieces = ['<th', 'ink>secret ', 'plans</thi', 'nk>\n\nHello', ' <thin', 'king'].map((content) =>
      part([{ index: 0, delta: { content } }]),
    )
    const answer = [
      part([{ index: 0, delta: { reasoning_content: 'more secrets' } }]),
      ...pieces,
      part([{ index: 0, delta: {}, finish_reason: 'stop' }]),
      DONE,
    ]

    const stream = await streamed(events(answer.join('')), { venice_parameters })
    upstream.script(
      json({
        choices: [{ message: { content: '<think>secret</think>Hello', reasoning_content: 'secrets' }, finish_reason: 'stop' }],
        usage: USAGE,
      }),
    )
    const whole = await ask(chat, { key, body: { ...ASK, venice_parameters } })
    const kept = await streamed(events(answer.join('')))

    expect(contentOf(chunksOf(stream))).toBe('Hello <thinking')
    expect(stream).not.toContain('secret')
    expect(whole.json()).toMatchObject({ choices: [{ message: { content: 'Hello' } }], venice_parameters })
    expect(whole.text).not.toContain('secret')
    expect(contentOf(chunksOf(kept))).toContain('<think>secret plans</think>')
  })
})

describe('a stream that breaks off', () => {
  // Several failures in a row, and the engine would be left alone for a while.
  afterEach(() => ask(chat, { key, body: ASK }))

  const begun = chatEvents(['one ', 'two ']).split('\n\n').slice(0, 3).join('\n\n') + '\n\n'
  const faults: [string, Step[]][] = [
    ['the upstream dies', [{ die: true }]],
    ['the upstream sends an error', [{ send: 'data: {"error":{"message":"out of memory","type":"server_error"}}\n\n' }]],
    ['the upstream sends no JSON', [{ send: 'data: {"choices": nonsense\n\n' }, { stall: true }]],
    ['the upstream ends without an end', []],
  ]

  test.for(faults)('since %s ends in an error event and no [DONE]', async ([, steps]) => {
    const { status, text } = { ...(await openAndTake(events(begun, ...steps))) }

    const data = dataOf(text)
    expect(status).toBe(200)
    expect(text).not.toContain('[DONE]')
    expect(data.at(-1)).toMatchObject({
      code: 'INFERENCE_FAILED',
      error: { type: 'api_error', message: expect.stringMatching(/request id [0-9a-f]{32}/) },
    })
    expect(
      data
        .slice(0, -1)
        .map((one) => chunk.parse(one).choices[0]?.delta.content ?? '')
        .join(''),
    ).toBe('one two ')
    expect(data.slice(0, -1).some((one) => chunk.parse(one).choices[0]?.finish_reason)).toBe(false)
    expect(text).not.toMatch(/out of memory|nonsense/)
  })

  test('makes the official client throw, after what came', async () => {
    const client = new OpenAI({ baseURL: rialto.url, apiKey: key, maxRetries: 0 })
    upstream.script(events(begun, { die: true }))
    const texts: string[] = []

    const stream = await client.chat.completions.create({ model: MODEL, messages: [{ role: 'user', content: 'go' }], stream: true })
    const reading = (async () => {
      for await (const { choices } of stream) texts.push(choices[0]?.delta.content ?? '')
    })()

    await expect(reading).rejects.toThrow(APIError)
    expect(texts.join('')).toBe('one two ')
  })

  async function openAndTake(answer: Answer): Promise<{ status: number; text: string }> {
    upstream.script(answer)
    const stream = await openStream(chat, { key, body: STREAM })
    return { status: stream.status, text: await stream.rest() }
  }
})
