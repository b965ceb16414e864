import OpenAI, {
  APIError,
  APIUserAbortError,
  AuthenticationError,
  BadRequestError,
  InternalServerError,
  NotFoundError,
  RateLimitError,
} from 'openai'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { giveKey } from '../harness/accounts.ts'
import { startRialto } from '../harness/rialto.ts'
import type { Rialto } from '../harness/rialto.ts'

const TEXT = 'sandbox-text'
const ASK = [{ role: 'user' as const, content: 'What is a bridge made of?' }]

let rialto: Rialto
let client: OpenAI
beforeAll(async () => {
  // A plan for whoever is not the operator; the tests' own key is, and has no limits.
  rialto = await startRialto({ config: { 'plans.json': { default: { text: { XS: { rpm: 2, tpm: null } } } } } })
  client = new OpenAI({ baseURL: rialto.url, apiKey: rialto.key, maxRetries: 0 })
})
afterAll(() => rialto?.stop())

describe('the official OpenAI client can read the errors', () => {
  test.for(['not-a-key', 'sk-0123456789', 'x'.repeat(4_000)])('a wrong key %$ is an authentication error in words', async (apiKey) => {
    const stranger = new OpenAI({ baseURL: rialto.url, apiKey, maxRetries: 0 })

    const refused = stranger.chat.completions.create({ model: TEXT, messages: ASK })

    await expect(refused).rejects.toThrow(AuthenticationError)
    await expect(refused).rejects.toThrow(/^401 .*(authenticat|key)/i)
  })

  test('an unknown model is not found, in words', async () => {
    const refused = client.chat.completions.create({ model: 'no-such-model', messages: ASK })

    await expect(refused).rejects.toThrow(NotFoundError)
    await expect(refused).rejects.toThrow(/^404 .*model/i)
  })

  test.for([
    ['temperature', { temperature: 7 }],
    ['messages', { messages: [] }],
    ['temprature', { temprature: 1 }],
    ['response_format', { response_format: { type: 'yaml' } }],
    ['tools', { tools: [{ type: 'function', function: { parameters: {} } }] }],
    [
      'tool_choice',
      { tools: [{ type: 'function', function: { name: 'here' } }], tool_choice: { type: 'function', function: { name: 'there' } } },
    ],
    ['role', { messages: [{ role: 'wizard', content: 'hi' }] }],
  ] as const)('a bad %s is a bad request that names it', async ([field, wrong]) => {
    // Wrong on purpose: what a caller without types may send.
    const body = { model: TEXT, messages: ASK, ...wrong } as unknown as { model: string; messages: typeof ASK }

    const refused = client.chat.completions.create(body)

    await expect(refused).rejects.toThrow(BadRequestError)
    await expect(refused).rejects.toThrow(new RegExp(`^400 .*${field}`))
  })

  test.for([
    [429, RateLimitError],
    [503, InternalServerError],
  ] as const)('an engine that answers %s gives the client an error of that status, streamed or not', async ([status, kind]) => {
    const model = `${TEXT}:status=${status}`

    for (const stream of [false, true]) {
      const refused = client.chat.completions.create({ model, messages: ASK, stream })

      await expect(refused).rejects.toThrow(kind)
      await expect(refused).rejects.toThrow(new RegExp(`^${status} .*\\w{4}`))
    }
  })

  test('a stream whose engine dies ends in an error after what came, never as if it were whole', async () => {
    const texts: string[] = []

    const stream = await client.chat.completions.create({ model: `${TEXT}:die=3`, messages: ASK, stream: true })
    const reading = (async () => {
      for await (const { choices } of stream) texts.push(choices[0]?.delta.content ?? '')
    })()

    await expect(reading).rejects.toThrow(APIError)
    expect(texts.filter((text) => text !== '').length).toBe(3)
  })

  test('an abort ends a stream at once, and the server goes on', async () => {
    const left = new AbortController()
    const stream = await client.chat.completions.create(
      { model: `${TEXT}:interval=50`, messages: ASK, stream: true },
      { signal: left.signal },
    )

    let pieces = 0
    for await (const { choices } of stream) if (choices[0]?.delta.content && ++pieces === 2) left.abort()
    const after = await client.chat.completions.create({ model: TEXT, messages: ASK })

    expect(pieces).toBeLessThan(6)
    expect(after.choices[0]?.finish_reason).toBe('stop')
  })

  test('an abort before the answer is an abort, and the server goes on', async () => {
    const left = new AbortController()

    const waiting = client.chat.completions.create({ model: `${TEXT}:delay=60000`, messages: ASK }, { signal: left.signal })
    left.abort()

    await expect(waiting).rejects.toThrow(APIUserAbortError)
    expect((await client.chat.completions.create({ model: TEXT, messages: ASK })).choices.length).toBe(1)
  })
})

describe('the official OpenAI client meets a limit', () => {
  test('a key beyond its plan gets a rate limit error that says what is the matter and when to come back', async () => {
    const limited = new OpenAI({ baseURL: rialto.url, apiKey: await giveKey(rialto.home), maxRetries: 0 })

    const { response } = await limited.chat.completions.create({ model: TEXT, messages: ASK }).withResponse()
    await limited.chat.completions.create({ model: TEXT, messages: ASK })
    const third: unknown = await limited.chat.completions.create({ model: TEXT, messages: ASK }).catch((error: unknown) => error)

    expect(response.headers.get('x-ratelimit-limit-requests')).toBe('2')
    expect(response.headers.get('x-ratelimit-remaining-requests')).toBe('1')
    expect(third).toBeInstanceOf(RateLimitError)
    const { message, headers } = third as RateLimitError
    expect(message).toMatch(/^429 .*rate limit/i)
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
  })
})
