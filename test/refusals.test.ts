/** What a server with limits refuses: bodies too large, callers too fast, accounts without money. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { giveKey } from './harness/accounts.ts'
import { embeddingModel, engineAt, overlay, planOf, textModel } from './harness/overlay.ts'
import { type Rialto, startRialto } from './harness/rialto.ts'
import { ask, askSlowly } from './harness/talk.ts'
import { type Upstream, chatJson, startUpstream } from './harness/upstream.ts'

const MAX_BODY_BYTES = 64 * 1024
const FREE = 'sandbox-text'
const PRICED = 'bridge'
const body = (model: string, more: object = {}): object => ({ model, messages: [{ role: 'user', content: 'What holds it up?' }], ...more })

let upstream: Upstream
let rialto: Rialto
let chat: string
beforeAll(async () => {
  upstream = await startUpstream()
  rialto = await startRialto({
    config: overlay([engineAt('mock', upstream.url)], [textModel(PRICED, 'mock'), embeddingModel('vectors', 'mock')], {
      'server.json': { maxBodyBytes: MAX_BODY_BYTES },
      'plans.json': { slow: planOf({ rpm: 1, tpm: null }), short: planOf({ rpm: null, tpm: 5 }) },
    }),
  })
  chat = `${rialto.url}/chat/completions`
})
afterAll(async () => {
  await rialto?.stop()
  await upstream?.stop()
})

describe('a body over the limit', () => {
  const large = Buffer.alloc(256 * 1024, ' ')

  test('is refused in words that a client reads which had announced it all', async () => {
    const answer = await ask(chat, { key: rialto.key, body: JSON.stringify(body(FREE, { user: 'x'.repeat(20_000_000) })) })

    expect([answer.status, answer.json()['code']]).toEqual([413, 'PAYLOAD_TOO_LARGE'])
    expect(answer.json()['error']).toMatch(/larger than/)
    expect(answer.headers.get('x-request-id')).toMatch(/^[0-9a-f]{32}$/)
  })

  test.for([
    ['its length is announced', { 'content-length': String(1024 * 1024 * 1024) }],
    ['it comes in chunks', {}],
  ] as const)('is refused while it is still being sent, when %s', async ([, headers]) => {
    let sentBytes = 0

    const { response, text } = await askSlowly(chat, { key: rialto.key, headers }, async (write) => {
      for (let i = 0; i < 400; i++) {
        await write(large)
        sentBytes += large.length
      }
    })

    expect([response.statusCode, JSON.parse(text).code]).toEqual([413, 'PAYLOAD_TOO_LARGE'])
    expect(response.headers.connection).toBe('close')
    expect(sentBytes).toBeLessThan(400 * large.length)
  })

  test('is refused by its exact size', async () => {
    const filled = (bytes: number): string => {
      const empty = JSON.stringify(body(FREE, { user: '' }))
      return JSON.stringify(body(FREE, { user: 'x'.repeat(bytes - empty.length) }))
    }

    const statuses = [MAX_BODY_BYTES, MAX_BODY_BYTES + 1].map(
      async (bytes) => (await ask(chat, { key: rialto.key, body: filled(bytes) })).status,
    )

    expect(await Promise.all(statuses)).toEqual([200, 413])
  })

  test('is not read at all from who has no key', async () => {
    const { response } = await askSlowly(chat, { headers: { 'content-length': '1000000000' } }, (write) => write(large))

    expect(response.statusCode).toBe(401)
  })
})

describe('a key beyond the requests of its plan', () => {
  test.for([
    ['/chat/completions', body(FREE)],
    ['/chat/completions', body(FREE, { stream: true })],
    ['/embeddings', { model: 'sandbox-embedding', input: 'a' }],
  ] as const)('is refused at %s %$, and told when to come back', async ([path, asked]) => {
    const key = await giveKey(rialto.home, { plan: 'slow' })

    const first = await ask(rialto.url + path, { key, body: asked })
    const second = await ask(rialto.url + path, { key, body: asked })

    expect([first.status, second.status, second.json()['code']]).toEqual([200, 429, 'RATE_LIMIT_EXCEEDED'])
    expect(second.json()['error']).toMatch(/1 requests per minute/)
    expect(Number(second.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(Number(second.headers.get('retry-after'))).toBeLessThanOrEqual(60)
    for (const { headers } of [first, second]) {
      expect(headers.get('x-ratelimit-limit-requests')).toBe('1')
      expect(headers.get('x-ratelimit-remaining-requests')).toBe('0')
      // A time of this world, in Unix seconds.
      expect(Number(headers.get('x-ratelimit-reset-requests'))).toBeGreaterThan(1_700_000_000)
      expect(headers.get('x-ratelimit-type')).toBe('api_key')
    }
  })

  test('does not stand in the way of another key, or of another model', async () => {
    const one = await giveKey(rialto.home, { plan: 'slow' })
    const other = await giveKey(rialto.home, { plan: 'slow' })

    const asked = [ask(chat, { key: one, body: body(FREE) }), ask(chat, { key: other, body: body(FREE) })]
    const embedded = ask(`${rialto.url}/embeddings`, { key: one, body: { model: 'sandbox-embedding', input: 'a' } })

    expect((await Promise.all([...asked, embedded])).map(({ status }) => status)).toEqual([200, 200, 200])
  })

  test('is refused for its tokens, too', async () => {
    const key = await giveKey(rialto.home, { plan: 'short' })

    const first = await ask(chat, { key, body: body(FREE) })
    const second = await ask(chat, { key, body: body(FREE) })

    expect([first.status, second.status]).toEqual([200, 429])
    expect(second.json()['error']).toMatch(/5 tokens per minute/)
    expect(second.headers.get('x-ratelimit-limit-tokens')).toBe('5')
    expect(second.headers.get('x-ratelimit-remaining-tokens')).toBe('0')
    expect(Number(second.headers.get('x-ratelimit-reset-tokens'))).toBeGreaterThan(0)
  })
})

describe('who fails too often', () => {
  test('is refused by its key after more than 20 failures, whatever it asks then, and nobody else is', async () => {
    const key = await giveKey(rialto.home)
    const other = await giveKey(rialto.home)
    const wrong = { key, body: body(FREE, { temperature: 'hot' }) }

    for (let i = 0; i < 20; i++) expect((await ask(chat, wrong)).status).toBe(400)
    expect((await ask(chat, { key, body: body(FREE) })).status).toBe(200)
    await ask(chat, wrong)
    const blocked = await ask(chat, { key, body: body(FREE) })

    expect([blocked.status, blocked.json()['code']]).toEqual([429, 'RATE_LIMIT_EXCEEDED'])
    expect(Number(blocked.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(Number(blocked.headers.get('retry-after'))).toBeLessThanOrEqual(30)
    expect((await ask(chat, { key: other, body: body(FREE) })).status).toBe(200)
  })

  test('is refused by its address where it brings no valid key, but not with one', async () => {
    const door = await startRialto()
    try {
      const key = await giveKey(door.home)
      const url = `${door.url}/chat/completions`
      const statuses = new Set<number>()

      for (let i = 0; i < 21; i++) statuses.add((await ask(url, { key: `guess-${i}`, body: body(FREE) })).status)
      const guessing = await ask(url, { key: 'guess-21', body: body(FREE) })

      expect([...statuses]).toEqual([401])
      expect(guessing.status).toBe(429)
      expect(Number(guessing.headers.get('retry-after'))).toBeGreaterThan(0)
      expect((await ask(url, { key, body: body(FREE) })).status).toBe(200)
    } finally {
      await door.stop()
    }
  })
})

describe('an account without money', () => {
  test.for([
    ['/chat/completions', body(PRICED)],
    ['/chat/completions', body(PRICED, { stream: true })],
    ['/embeddings', { model: 'vectors', input: 'a' }],
  ] as const)('is refused at %s %$ before any engine is asked, and still has what is free', async ([path, asked]) => {
    const key = await giveKey(rialto.home)
    const before = upstream.received.length

    const answer = await ask(rialto.url + path, { key, body: asked })

    expect([answer.status, answer.json()['code']]).toEqual([402, 'INSUFFICIENT_BALANCE'])
    expect(answer.json()['error']).toMatch(/balance/i)
    expect(upstream.received.length).toBe(before)
    expect((await ask(chat, { key, body: body(FREE) })).status).toBe(200)
  })

  test('is served for as long as it can pay for the shortest answer', async () => {
    const [key, poor] = [await giveKey(rialto.home, { balanceNano: 2_000n }), await giveKey(rialto.home, { balanceNano: 100n })]

    const cheap = await ask(chat, { key, body: body(PRICED, { max_tokens: 1 }) })
    const dear = await ask(chat, { key: poor, body: body(PRICED, { max_tokens: 1 }) })

    expect([cheap.status, dear.status]).toEqual([200, 402])
    expect(cheap.headers.get('x-venice-balance-usd')).toBe('0.000002')
    expect(cheap.headers.get('x-venice-balance-diem')).toBe('0')
  })

  test('is told when it is the cap of its key that is reached', async () => {
    const caps = { period: 'LIFETIME', usd: 100n, diem: null } as const
    const key = await giveKey(rialto.home, { balanceNano: 1_000_000_000n, caps })

    const answer = await ask(chat, { key, body: body(PRICED) })

    expect([answer.status, answer.json()['code']]).toEqual([402, 'API_KEY_USD_SPEND_LIMIT_EXCEEDED'])
  })
})

describe('a request that is nested too deep for who passes it on', () => {
  const nested = (depth: number): string => `${'['.repeat(depth)}${']'.repeat(depth)}`

  test.for([FREE, PRICED])('is never an unknown error at %s', async (model) => {
    upstream.usual(chatJson('fine'))
    for (const depth of [500, 5_000, 20_000]) {
      const deep = nested(depth)
      const user = `{"role":"user","content":"hi","name":"x"}`
      for (const asked of [
        `{"model":"${model}","messages":[{"role":"user","content":"hi","extra":${deep}}]}`,
        `{"model":"${model}","messages":[${user}],"tools":[{"type":"function","function":{"name":"f","parameters":{"a":${deep}}}}]}`,
        `{"model":"${model}","messages":[${user}],"response_format":{"type":"json_schema","json_schema":{"a":${deep}}}}`,
      ]) {
        const { status, text } = await ask(chat, { key: rialto.key, body: asked })

        expect([depth, asked.slice(30, 80), status < 500, text.includes('UNKNOWN')]).toEqual([depth, asked.slice(30, 80), true, false])
      }
    }
  })
})
