/** The engine against a real server that speaks the Messages API. */
import { afterEach, describe, expect, it } from 'vitest'
import type { Task } from '../../core/engine.ts'
import type { TextPart, TextRequest } from '../../core/modalities/text.ts'
import { describeEngine } from '../conformance.ts'
import { LIMIT_MS, PLAIN, callsOf, contentOf, endsOf } from '../text-run.fixture.ts'
import { type Answering, startUpstream, writeInPortions } from '../upstream.fixture.ts'
import type { Upstream } from '../upstream.fixture.ts'
import { AnthropicEngine } from './anthropic.ts'
import { GOLDEN, MODEL, sendJson, sse, startMessagesServer } from './messages-server.fixture.ts'

const engineFor = ({ baseUrl }: Upstream): AnthropicEngine =>
  new AnthropicEngine({ id: 'claude', baseUrl, apiKey: 'sk-test', privacy: 'anonymized', lists: false })

describeEngine(
  'anthropic',
  async () => {
    const upstream = await startMessagesServer()
    return {
      engine: engineFor(upstream),
      text: { model: MODEL, endless: { model: 'endless' }, upstreamLeft: () => upstream.left(0) },
      dispose: () => upstream.close(),
    }
  },
  {
    choices: 'the Messages API gives one choice, and n is refused by name',
    embeds: 'Anthropic has no embeddings',
    embedUsage: 'Anthropic has no embeddings',
  },
)

const open: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of open.splice(0)) await close()
})

async function serve(answer: (answering: Answering) => void | Promise<void>) {
  const upstream = await startUpstream(answer)
  const engine = engineFor(upstream)
  open.push(() => engine.close(), upstream.close)
  return { upstream, engine }
}

async function run(engine: AnthropicEngine, change: Partial<TextRequest> = {}) {
  const parts: TextPart[] = []
  const request = { ...PLAIN, ...change }
  const task: Task<TextRequest> = { model: MODEL, request, signal: new AbortController().signal, firstByteMs: LIMIT_MS, stallMs: LIMIT_MS }
  const finish = await engine.abilities.text?.run(task, (more) => void parts.push(...more))
  return { parts, finish }
}

describe('the wire', () => {
  it('posts to /v1/messages with key and version, whether the base URL ends in /v1 or not', async () => {
    const { upstream, engine } = await serve(({ response }) =>
      sendJson(response, 200, { type: 'message', content: [], stop_reason: 'end_turn' }),
    )
    const bare = engineFor({ ...upstream, baseUrl: upstream.baseUrl.slice(0, -3) })
    open.push(() => bare.close())

    await run(engine, { stream: false })
    await run(bare, { stream: false })

    for (const { method, url, headers } of upstream.asked) {
      expect([method, url]).toEqual(['POST', '/v1/messages'])
      expect(headers).toMatchObject({ 'x-api-key': 'sk-test', 'anthropic-version': '2023-06-01', 'content-type': 'application/json' })
      expect(headers).not.toHaveProperty('authorization')
    }
    expect(upstream.asked).toHaveLength(2)
  })

  it('reads a golden stream that comes byte by byte', async () => {
    const { engine } = await serve(({ response }) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      return writeInPortions(response, Buffer.from(sse(GOLDEN)), 1)
    })

    const { parts, finish } = await run(engine)

    expect(contentOf(parts, 0)).toBe('Ich prüfe „beide“ 🦩:\n1 × "quoted" \\ \u2028 text')
    expect(callsOf(parts).map(({ name, arguments: text }) => [name, text])).toEqual([
      ['weather', '{"city": "Zürich"}'],
      ['now', '{}'],
    ])
    expect(finish?.usage).toEqual({ inputToken: 47, cacheReadToken: 100, cacheWriteToken: 30, outputToken: 90 })
  })

  it('sends the same thoughts back that it was given, so that a tool loop goes on', async () => {
    const { upstream, engine } = await serve(({ response }) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.end(sse(GOLDEN))
    })
    const { parts } = await run(engine)
    const details = parts.flatMap((part) => (part.type === 'delta' ? (part.delta['reasoning_details'] ?? []) : []))
    const calls = callsOf(parts).map(({ id, name, arguments: text }) => ({ id, type: 'function', function: { name, arguments: text } }))
    const messages = [
      ...PLAIN.messages,
      { role: 'assistant', content: contentOf(parts, 0), reasoning_details: details, tool_calls: calls },
      { role: 'tool', tool_call_id: 'toolu_a', content: '21 °C' },
      { role: 'tool', tool_call_id: 'toolu_b', content: 'noon' },
    ] as const

    await run(engine, { messages })

    expect(JSON.parse(upstream.asked[1]?.body ?? '').messages.slice(1)).toEqual([
      {
        role: 'assistant',
        content: [
          { type: 'thinking', thinking: 'Two cities — ask for “both”.', signature: 'EsECCokB+/=' },
          { type: 'redacted_thinking', data: 'EmwKAhgB' },
          { type: 'text', text: 'Ich prüfe „beide“ 🦩:\n1 × "quoted" \\ \u2028 text' },
          { type: 'tool_use', id: 'toolu_a', name: 'weather', input: { city: 'Zürich' } },
          { type: 'tool_use', id: 'toolu_b', name: 'now', input: {} },
        ],
      },
      {
        role: 'user',
        content: [
          { type: 'tool_result', tool_use_id: 'toolu_a', content: [{ type: 'text', text: '21 °C' }] },
          { type: 'tool_result', tool_use_id: 'toolu_b', content: [{ type: 'text', text: 'noon' }] },
        ],
      },
    ])
  })

  it('reads a whole message, and one that comes whole although a stream was asked for', async () => {
    const message = {
      type: 'message',
      content: [
        { type: 'thinking', thinking: 'Hm.', signature: 'sig' },
        { type: 'redacted_thinking', data: 'xyz' },
        { type: 'text', text: 'Ask ' },
        { type: 'text', text: 'both.' },
        { type: 'server_tool_use', id: 's', name: 'web_search', input: {} },
        { type: 'tool_use', id: 'toolu_a', name: 'weather', input: { city: 'Bern' } },
      ],
      stop_reason: 'tool_use',
      usage: { input_tokens: 5, cache_read_input_tokens: null, output_tokens: 7, output_tokens_details: { thinking_tokens: 2 } },
    }
    const { engine } = await serve(({ response }) => sendJson(response, 200, message))

    const whole = await run(engine, { stream: false })
    const streamed = await run(engine)

    const details = [
      { type: 'reasoning.text', text: 'Hm.', signature: 'sig', format: 'anthropic-claude-v1', index: 0 },
      { type: 'reasoning.encrypted', data: 'xyz', format: 'anthropic-claude-v1', index: 1 },
    ]
    const call = { id: 'toolu_a', type: 'function', function: { name: 'weather', arguments: '{"city":"Bern"}' } }
    const expected = { role: 'assistant', content: 'Ask both.', reasoning_content: 'Hm.', reasoning_details: details, tool_calls: [call] }
    expect(whole.parts).toEqual([{ type: 'whole', choices: [{ index: 0, message: expected, finishReason: 'tool_calls', logprobs: null }] }])
    expect(whole.finish).toEqual({ usage: { inputToken: 5, outputToken: 7 }, reasoningTokens: 2 })
    expect(contentOf(streamed.parts, 0)).toBe('Ask both.')
    expect(callsOf(streamed.parts)).toEqual([{ index: 0, id: 'toolu_a', type: 'function', name: 'weather', arguments: '{"city":"Bern"}' }])
    expect(endsOf(streamed.parts)).toEqual([{ choice: 0, reason: 'tool_calls' }])
  })
})

describe('refusals and faults', () => {
  it.each([
    [529, 'overloaded_error', 'MODEL_AT_CAPACITY'],
    [429, 'rate_limit_error', 'MODEL_OVERLOADED'],
    [500, 'api_error', 'INFERENCE_FAILED'],
    [401, 'authentication_error', 'MODEL_OFFLINE'],
    [404, 'not_found_error', 'MODEL_OFFLINE'],
    [413, 'request_too_large', 'PAYLOAD_TOO_LARGE'],
    [400, 'invalid_request_error', 'INVALID_REQUEST'],
  ])('%i %s is %s, without a word of it', async (status, type, code) => {
    const error = { type: 'error', error: { type, message: 'SECRET words of the upstream' } }
    const { engine } = await serve(({ response }) => sendJson(response, status, error, { 'retry-after': '7' }))

    const failed = await run(engine).catch((failure: unknown) => failure)

    expect(failed).toMatchObject({ code, ...(status === 429 && { retryAfterMs: 7000 }) })
    expect(JSON.stringify(failed) + String(failed)).not.toContain('SECRET')
  })

  it('tells a prompt that is too long', async () => {
    const error = { type: 'error', error: { type: 'invalid_request_error', message: 'prompt is too long: 210000 tokens > 200000 maximum' } }
    const { engine } = await serve(({ response }) => sendJson(response, 400, error))

    await expect(run(engine)).rejects.toMatchObject({ code: 'TOO_MANY_TOKENS' })
  })

  it('hands over what came before an error in mid-stream, and then fails', async () => {
    const { engine } = await serve(({ response }) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.end(
        sse([...GOLDEN.slice(0, 12), { type: 'error', error: { type: 'overloaded_error', message: 'SECRET' } } as { type: string }]),
      )
    })
    const parts: TextPart[] = []
    const task = { model: MODEL, request: PLAIN, signal: new AbortController().signal, firstByteMs: LIMIT_MS, stallMs: LIMIT_MS }

    const failed = engine.abilities.text?.run(task, (more) => void parts.push(...more))

    await expect(failed).rejects.toMatchObject({ code: 'MODEL_AT_CAPACITY' })
    expect(contentOf(parts, 0)).toContain('Ich prüfe')
    expect(endsOf(parts)).toEqual([])
  })

  it('fails where the upstream dies, unless only the farewell is missing', async () => {
    let events = GOLDEN.slice(0, 12)
    const { engine } = await serve(async ({ response }) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write(sse(events), () => setImmediate(() => response.destroy()))
    })

    await expect(run(engine)).rejects.toMatchObject({ code: 'INFERENCE_FAILED', internal: 'upstream_died' })
    events = GOLDEN.slice(0, -1)
    expect((await run(engine)).finish?.usage?.outputToken).toBe(90)
  })

  it('is malformed where it is no message', async () => {
    for (const body of ['no json', '[]', '{"type":"message"}']) {
      const { engine } = await serve(({ response }) => void response.end(body))

      await expect(run(engine, { stream: false })).rejects.toMatchObject({ code: 'INFERENCE_FAILED', internal: 'upstream_malformed' })
    }
    const { engine } = await serve(({ response }) => sendJson(response, 200, { type: 'error', error: { type: 'overloaded_error' } }))
    await expect(run(engine, { stream: false })).rejects.toMatchObject({ code: 'MODEL_AT_CAPACITY' })
  })
})

describe('the probe', () => {
  const signal = new AbortController().signal

  it('lists names and context sizes, leaving out what has no name', async () => {
    const data = [{ id: 'claude-opus-5-5', max_input_tokens: 1_000_000 }, { id: 'claude-x' }, { id: '' }, 7, { id: 'n'.repeat(300) }]
    const { engine, upstream } = await serve(({ response }) => sendJson(response, 200, { data }))

    expect(await engine.probe(signal)).toEqual({
      up: true,
      models: [
        { name: 'claude-opus-5-5', modality: 'text', contextTokens: 1_000_000 },
        { name: 'claude-x', modality: 'text', contextTokens: null },
      ],
    })
    expect(upstream.asked[0]).toMatchObject({ method: 'GET', url: '/v1/models?limit=1000' })
  })

  it.each([
    [404, {}, { up: true, models: null }],
    [200, {}, { up: true, models: null }],
    [401, {}, { up: false, why: 'unauthorized' }],
    [500, {}, { up: false, why: 'error' }],
  ])('tells a %i for what it is', async (status, body, reach) => {
    const { engine } = await serve(({ response }) => sendJson(response, status, body))

    expect(await engine.probe(signal)).toEqual(reach)
  })

  it('says that nobody is there', async () => {
    const upstream = await startMessagesServer()
    await upstream.close()
    const engine = engineFor(upstream)
    open.push(() => engine.close())

    expect(await engine.probe(signal)).toEqual({ up: false, why: 'refused' })
  })
})
