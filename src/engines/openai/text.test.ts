import type { ServerResponse } from 'node:http'
import { describe, expect, test } from 'vitest'
import type { Task } from '../../core/engine.ts'
import type { TextPart, TextRequest } from '../../core/modalities/text.ts'
import { egressTo, upstreamThat } from '../egress.fixture.ts'
import { PLAIN, callsOf, contentOf, endsOf, onlyChoice } from '../text-run.fixture.ts'
import type { Dialect } from './request.ts'
import { textAbility } from './text.ts'

const dialect: Dialect = { unsupported: new Set(), maxTokensField: 'max_tokens', extraBody: {} }

/** Runs a chat on a server that answers with what `answer` writes; the parts are there although the run may fail. */
async function run(request: Partial<TextRequest>, answer: (response: ServerResponse) => void, different: Partial<Task<TextRequest>> = {}) {
  const upstream = await upstreamThat(({ response }) => answer(response))
  const parts: TextPart[] = []
  const pushes: number[] = []
  const task = {
    model: 'm',
    request: { ...PLAIN, ...request },
    signal: new AbortController().signal,
    firstByteMs: 10_000,
    stallMs: 10_000,
    ...different,
  }
  const finish = textAbility(egressTo(upstream.baseUrl), dialect).run(task, (more) => {
    pushes.push(more.length)
    parts.push(...more)
  })
  const outcome = await finish.then(
    (value) => ({ finish: value, failure: null }),
    (failure: unknown) => ({ finish: null, failure }),
  )
  return { ...outcome, parts, pushes }
}

const event = (delta: object, finish_reason: string | null = null): string =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason }] })}\n\n`
const stream = (response: ServerResponse) => response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' })
const json = (response: ServerResponse, body: unknown) =>
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))

describe('a streamed run', () => {
  test('hands over together what came together', async () => {
    const { pushes, parts } = await run(
      {},
      (response) => void stream(response).end(event({ content: 'a' }) + event({ content: 'b' }) + event({}, 'stop') + 'data: [DONE]\n\n'),
    )

    expect(contentOf(parts, 0)).toBe('ab')
    expect(pushes).toEqual([3])
  })

  test('that dies is a failure after the parts that came, and has no end', async () => {
    const { parts, failure } = await run({}, (response) => stream(response).write(event({ content: 'a' }), () => response.destroy()))

    expect(failure).toMatchObject({ code: 'INFERENCE_FAILED', internal: 'upstream_died' })
    expect(contentOf(parts, 0)).toBe('a')
    expect(endsOf(parts)).toEqual([])
  })

  test('that ends without having said why is a failure too', async () => {
    const { parts, failure } = await run({}, (response) => void stream(response).end(event({ content: 'a' })))

    expect(failure).toMatchObject({ internal: 'upstream_died' })
    expect(endsOf(parts)).toEqual([])
  })

  test('that dies or falls silent after everything was said is whole', async () => {
    const dead = await run({}, (response) => stream(response).write(event({ content: 'a' }) + event({}, 'stop'), () => response.destroy()))
    const silent = await run(
      {},
      (response) => void stream(response).write(`${event({ content: 'a' })}${event({}, 'stop')}data: [DONE]\n\n`),
      { stallMs: 20 },
    )

    for (const { failure, parts } of [dead, silent]) {
      expect(failure).toBeNull()
      expect(contentOf(parts, 0)).toBe('a')
      expect(endsOf(parts)).toEqual([{ choice: 0, reason: 'stop' }])
    }
  })

  test('that sends an error event fails with it, after the parts that came with it', async () => {
    const { parts, failure } = await run(
      {},
      (response) => void stream(response).end(`${event({ content: 'a' })}data: {"error":{"code":429,"message":"words"}}\n\n`),
    )

    expect(contentOf(parts, 0)).toBe('a')
    expect(failure).toMatchObject({ code: 'MODEL_OVERLOADED', message: expect.not.stringContaining('words') })
  })

  test('that fails before its first part leaves the sink untouched', async () => {
    const died = await run({}, (response) => stream(response).write(event({ role: 'assistant', content: '' }), () => response.destroy()))
    const error = await run({}, (response) => void stream(response).end('data: {"error":{"code":503}}\n\n'))
    const refused = await run({}, (response) => void response.writeHead(500).end('{}'))

    expect([died, error, refused].map(({ pushes }) => pushes)).toEqual([[], [], []])
    expect([died, error, refused].map(({ failure }) => failure)).toMatchObject([
      { internal: 'upstream_died' },
      { code: 'MODEL_AT_CAPACITY' },
      { internal: 'upstream_500' },
    ])
  })

  test('that the server answers whole comes as the parts of a stream', async () => {
    const message = {
      role: 'assistant',
      content: 'a',
      tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } }],
    }

    const { parts, finish } = await run(
      {},
      (response) =>
        void json(response, { choices: [{ message, finish_reason: 'tool_calls' }], usage: { prompt_tokens: 1, completion_tokens: 2 } }),
    )

    expect(contentOf(parts, 0)).toBe('a')
    expect(callsOf(parts)).toEqual([{ index: 0, id: 'c', type: 'function', name: 'f', arguments: '{}' }])
    expect(endsOf(parts)).toEqual([{ choice: 0, reason: 'tool_calls' }])
    expect(finish?.usage).toEqual({ inputToken: 1, outputToken: 2 })
  })
})

describe('a run that does not stream', () => {
  test('gives the message as it came, reasoning by its one name', async () => {
    const message = { role: 'assistant', content: 'a', reasoning: 'hm', reasoning_details: [{ x: 1 }], annotations: [] }

    const { parts, finish } = await run(
      { stream: false },
      (response) =>
        void json(response, {
          choices: [{ index: 0, message, finish_reason: 'stop', logprobs: { content: [] } }],
          usage: { prompt_tokens: 1, completion_tokens: 2 },
        }),
    )

    expect(onlyChoice(parts)).toEqual({
      index: 0,
      message: { role: 'assistant', content: 'a', reasoning_content: 'hm', reasoning_details: [{ x: 1 }], annotations: [] },
      finishReason: 'stop',
      logprobs: { content: [] },
    })
    expect(finish).toEqual({ usage: { inputToken: 1, outputToken: 2 } })
  })

  test('whose 200 has an error in it fails', async () => {
    const { failure, pushes } = await run(
      { stream: false },
      (response) => void json(response, { error: { code: 400, type: 'exceed_context_size_error', message: 'words' } }),
    )

    expect(failure).toMatchObject({ code: 'TOO_MANY_TOKENS' })
    expect(pushes).toEqual([])
  })

  test.each(['', 'no json', '[]', '{}', '{"choices":[]}', '{"choices":[{}]}', '{"choices":[{"message":"x"}]}', '{"choices":7}'])(
    'whose answer is %j fails',
    async (body) => {
      const { failure, pushes } = await run({ stream: false }, (response) => void response.end(body))

      expect(failure).toMatchObject({ code: 'INFERENCE_FAILED', internal: 'upstream_malformed' })
      expect(pushes).toEqual([])
    },
  )
})
