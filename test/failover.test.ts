/** Two engines for each model, and everything that can go wrong with the first: who answers then, and who pays what. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { giveKey } from './harness/accounts.ts'
import { charge, chargedFor } from './harness/books.ts'
import { INPUT_NANO, OUTPUT_NANO, embeddingModel, engineAt, overlay, textModel } from './harness/overlay.ts'
import { type Rialto, startRialto } from './harness/rialto.ts'
import { type Answered, ask, dataOf } from './harness/talk.ts'
import {
  type Answer,
  type Upstream,
  USAGE,
  chatEvents,
  chatJson,
  dead,
  embeddingJson,
  events,
  json,
  silent,
  startUpstream,
} from './harness/upstream.ts'

const FIRST_BYTE_MS = 1_000
/** Each in a test of its own, so that no breaker of one is open in another: a deployment is an engine and a model. */
const MODELS = Array.from({ length: 40 }, (_, index) => `model-${index}`)
let used = 0
const freshModel = (): string => MODELS[used++] ?? 'none'

const error = (status: number, headers: Record<string, string> = {}): Answer =>
  json({ error: { message: 'upstream words' } }, status, headers)
/** An error inside of a stream that has begun well. */
const begun: Answer = events('data: {"error":{"message":"upstream words","type":"server_error"}}\n\n')

let first: Upstream
let second: Upstream
let gone: Upstream
let rialto: Rialto
let key: string
beforeAll(async () => {
  ;[first, second, gone] = await Promise.all([startUpstream(), startUpstream(), startUpstream()])
  rialto = await startRialto({
    config: overlay(
      [engineAt('one', first.url), engineAt('two', second.url), engineAt('gone', gone.url)],
      [
        ...MODELS.map((id) => textModel(id, 'one', 'two')),
        textModel('half-gone', 'gone', 'two'),
        textModel('all-gone', 'gone'),
        embeddingModel('vectors', 'one', 'two'),
      ],
      { 'server.json': { firstByteMs: FIRST_BYTE_MS } },
    ),
  })
  key = await giveKey(rialto.home, { balanceNano: 1_000_000_000n })
  // It was there when Rialto looked for it.
  await gone.stop()
})
afterAll(() => Promise.all([rialto?.stop(), first?.stop(), second?.stop()]))

const chat = (model: string, stream: boolean): Promise<Answered> =>
  ask(`${rialto.url}/chat/completions`, {
    key,
    body: { model, stream, messages: [{ role: 'user', content: 'abcdefgh' }], ...(stream && { stream_options: { include_usage: true } }) },
  })

const good = (stream: boolean): Answer => (stream ? events(chatEvents(['from ', 'the second'])) : chatJson('from the second'))

/** The text of either kind of answer, and what it says it cost. */
function read({ status, text }: Answered): { text: string; costUsd: number | undefined } {
  expect([status, text.includes('upstream words')]).toEqual([200, false])
  type Choice = { message?: { content: string }; delta?: { content?: string } }
  const parts = (text.startsWith('data:') ? dataOf(text).filter((one) => one !== '[DONE]') : [JSON.parse(text)]) as {
    choices: Choice[]
    cost?: { usd: number }
  }[]
  return {
    text: parts.map(({ choices: [choice] }) => choice?.message?.content ?? choice?.delta?.content ?? '').join(''),
    costUsd: parts.at(-1)?.cost?.usd,
  }
}

const idOf = ({ headers }: Answered): string => headers.get('x-request-id') ?? ''
const COST = USAGE.prompt_tokens * INPUT_NANO + USAGE.completion_tokens * OUTPUT_NANO
const KINDS = [
  ['whole', false],
  ['streamed', true],
] as const

describe.each(KINDS)('the second engine answers, %s', (_kind, stream) => {
  const faults: [string, Answer[]][] = [
    ['answers 429', [error(429)]],
    ['answers 500', [error(500)]],
    [
      'answers 502 with a page',
      [{ status: 502, headers: { 'content-type': 'text/html' }, steps: [{ send: '<html>upstream words</html>' }] }],
    ],
    ['answers 503', [error(503)]],
    ['does not take our key', [error(401)]],
    ['does not have the model', [error(404)]],
    // A connection that served before may be tried anew, once.
    ['resets before a word', [dead, dead]],
    ['says nothing', [silent]],
    [
      'dies between head and body',
      [{ headers: { 'content-type': stream ? 'text/event-stream' : 'application/json' }, steps: [{ die: true }] }],
    ],
    ['speaks no JSON', [stream ? events('data: upstream words\n\n') : { steps: [{ send: 'upstream words' }] }]],
    ['says 200 and means an error', [stream ? begun : json({ error: { message: 'upstream words', type: 'server_error' } })]],
  ]

  test.for(faults)('when the first %s', async ([, answers]) => {
    const model = freshModel()
    const asked = { first: first.received.length, second: second.received.length }
    first.script(...answers)
    second.script(good(stream))

    const answer = await chat(model, stream)

    expect(read(answer)).toEqual({ text: 'from the second', costUsd: COST / 1e9 })
    expect(first.received.length).toBeGreaterThan(asked.first)
    expect(second.received.length).toBe(asked.second + 1)
    expect((await charge(rialto.home, idOf(answer))).amount).toBe(COST)
    // What is left of the script would answer somebody else.
    first.forget()
  })

  test('when nobody listens at the address of the first', async () => {
    second.script(good(stream))

    const answer = await chat('half-gone', stream)

    expect(read(answer).text).toBe('from the second')
  })

  test('and not the first, for as long as that asked for', async () => {
    const model = freshModel()
    const asked = first.received.length
    first.script(error(429, { 'retry-after': '30' }))
    second.script(good(stream), good(stream), good(stream))

    const answers = [await chat(model, stream), await chat(model, stream), await chat(model, stream)]

    expect(answers.map((answer) => read(answer).text)).toEqual(Array.from(answers, () => 'from the second'))
    expect(first.received.length).toBe(asked + 1)
  })

  test('alone, once the first has failed five times in a row', async () => {
    const model = freshModel()
    const asked = first.received.length
    first.script(...Array.from({ length: 5 }, () => error(500)))
    second.script(...Array.from({ length: 7 }, () => good(stream)))

    for (let i = 0; i < 7; i++) expect(read(await chat(model, stream)).text).toBe('from the second')

    expect(first.received.length).toBe(asked + 5)
    await rialto.printed(`"msg":"breaker_open","engine":"one","model":"${model}"`)
  })

  test('nobody, when the request itself is at fault', async () => {
    const asked = second.received.length
    first.script(error(400))

    const answer = await chat(freshModel(), stream)

    expect([answer.status, answer.json()['code']]).toEqual([400, 'INVALID_REQUEST'])
    expect(answer.text).not.toContain('upstream words')
    expect(second.received.length).toBe(asked)
  })
})

describe.each(KINDS)('where no engine answers, %s', (_kind, stream) => {
  test.for([
    ['500', [error(500), error(500)], 500, 'INFERENCE_FAILED'],
    ['503', [error(503), error(503)], 503, 'MODEL_AT_CAPACITY'],
    ['401', [error(401), error(401)], 503, 'MODEL_OFFLINE'],
    ['nothing', [silent, silent], 504, 'REQUEST_TIMEOUT'],
  ] as const)('with %s from both the caller is told so, and pays nothing', async ([, [one, two], status, code]) => {
    first.script(one)
    second.script(two)

    const answer = await chat(freshModel(), stream)

    expect([answer.status, answer.json()['code']]).toEqual([status, code])
    expect(answer.json()['error']).toMatch(/\w+ \w+/)
    expect(answer.text).not.toContain('upstream words')
    expect(chargedFor(rialto.home, idOf(answer))).toBeNull()
  })

  test('because both asked for time the caller is told the shortest wait, then and later', async () => {
    const model = freshModel()
    first.script(error(429, { 'retry-after': '7' }))
    second.script(error(429, { 'retry-after': '40' }))
    const asked = [first.received.length, second.received.length]

    const answers = [await chat(model, stream), await chat(model, stream)]

    for (const answer of answers) {
      expect([answer.status, answer.json()['code']]).toEqual([429, 'MODEL_OVERLOADED'])
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
      expect(Number(answer.headers.get('retry-after'))).toBeLessThanOrEqual(7)
    }
    expect([first.received.length, second.received.length]).toEqual(asked.map((count) => count + 1))
  })

  test('because nobody listens the caller is told that the model is offline', async () => {
    const answer = await chat('all-gone', stream)

    expect([answer.status, answer.json()['code']]).toEqual([503, 'MODEL_OFFLINE'])
    expect(answer.text).not.toContain('127.0.0.1')
  })
})

describe('once a part has reached the caller', () => {
  test('a death is final: an error event, no second engine, and a charge for what was delivered', async () => {
    const asked = second.received.length
    const delivered = chatEvents(['abcdefgh', 'ijklmnop'])
      .split(/(?<=\n\n)/)
      .slice(0, 3)
      .join('')
    first.script(events(delivered, { die: true }))

    const answer = await chat(freshModel(), true)

    expect(answer.status).toBe(200)
    expect(answer.text).toContain('ijklmnop')
    expect(answer.text).not.toContain('[DONE]')
    expect(dataOf(answer.text).at(-1)).toMatchObject({ code: 'INFERENCE_FAILED' })
    expect(second.received.length).toBe(asked)
    const paid = await charge(rialto.home, idOf(answer))
    expect(paid.lines.map(({ unit, count }) => [unit, count])).toEqual([
      ['inputToken', 6],
      ['outputToken', 4],
    ])
    expect(paid.amount).toBe(6 * INPUT_NANO + 4 * OUTPUT_NANO)
  })
})

describe('what an answer says it cost', () => {
  test('is what its lines, its transfer and the balance say, priced by the unit', async () => {
    const wealth = 1_000_000_000n
    const payer = await giveKey(rialto.home, { balanceNano: wealth })
    const url = `${rialto.url}/chat/completions`
    const usage = { prompt_tokens: 100, completion_tokens: 11, total_tokens: 111, prompt_tokens_details: { cached_tokens: 40 } }
    const model = freshModel()
    let spent = 0

    for (let i = 0; i < 3; i++) {
      first.script(chatJson('fine', usage))
      const answer = await ask(url, { key: payer, body: { model, messages: [{ role: 'user', content: 'go' }] } })

      const { amount, lines, fromBook } = await charge(rialto.home, idOf(answer))
      expect(lines.map(({ unit, count, priceNano }) => [unit, count, priceNano])).toEqual([
        ['inputToken', 60, INPUT_NANO],
        ['cacheReadToken', 40, INPUT_NANO],
        ['outputToken', 11, OUTPUT_NANO],
      ])
      expect(answer.json()).toMatchObject({ cost: { usd: amount / 1e9, diem: 0 }, usage: { ...usage, total_tokens: 111 } })
      expect(Math.round(Number(answer.headers.get('x-venice-balance-usd')) * 1e9)).toBe(Number(wealth) - spent)
      expect(fromBook).toMatch(/^account:test-/)
      spent += amount
    }
  })

  test('is charged for vectors, too, by whichever engine made them', async () => {
    first.script(error(500))
    second.script(embeddingJson([[1, 0]], 9))

    const answer = await ask(`${rialto.url}/embeddings`, { key, body: { model: 'vectors', input: 'a' } })

    expect(answer.json()).toMatchObject({ data: [{ embedding: [1, 0] }], usage: { prompt_tokens: 9 } })
    expect((await charge(rialto.home, idOf(answer))).amount).toBe(9 * INPUT_NANO)
  })
})
