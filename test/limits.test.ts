/** Limits of a plan over HTTP: exact when many come at once, told in the headers, and not forgotten by a restart where they are of a day. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { giveKey } from './harness/accounts.ts'
import { overlay, planOf, textModel } from './harness/overlay.ts'
import { type Rialto, startRialto } from './harness/rialto.ts'
import { type Answered, ask } from './harness/talk.ts'

const FREE = 'sandbox-text'
/** For tests that start servers of their own. */
const SERVERS_MS = 60_000
const body = (more: object = {}): object => ({
  model: FREE,
  messages: [{ role: 'user', content: 'How many arches?' }],
  max_tokens: 8,
  ...more,
})

const CONFIG = overlay([], [], {
  'plans.json': {
    two: planOf({ rpm: 2, tpm: 1_000_000 }),
    fifty: planOf({ rpm: 50, tpm: null }),
    tokens: planOf({ rpm: null, tpm: 100 }),
    daily: { ...planOf({ rpm: null, tpm: null }), text: row({ rpm: 100, tpm: null, rpd: 3 }) },
  },
})

function row(limit: object): object {
  return { XS: limit, S: limit, M: limit, L: limit }
}

let rialto: Rialto
let chat: string
beforeAll(async () => {
  rialto = await startRialto({ config: CONFIG })
  chat = `${rialto.url}/chat/completions`
})
afterAll(() => rialto?.stop())

const askTimes = (times: number, key: string, more: object = {}): Promise<Answered[]> =>
  Promise.all(Array.from({ length: times }, () => ask(chat, { key, body: body(more) })))

const number = ({ headers }: Answered, name: string): number => Number(headers.get(name) ?? Number.NaN)

describe('of ten times as many requests at once as a plan allows per minute', () => {
  test.for([
    ['answered whole', {}],
    ['streamed', { stream: true }],
  ] as const)('exactly the allowed ones pass, and all others are told everything, when %s', async ([, more]) => {
    const key = await giveKey(rialto.home, { plan: 'two' })

    const answers = await askTimes(20, key, more)

    const refused = answers.filter(({ status }) => status === 429)
    expect([answers.filter(({ status }) => status === 200).length, refused.length]).toEqual([2, 18])
    for (const answer of answers) {
      expect(number(answer, 'x-ratelimit-limit-requests')).toBe(2)
      expect(answer.headers.get('x-ratelimit-type')).toBe('api_key')
      expect(number(answer, 'x-ratelimit-limit-tokens')).toBe(1_000_000)
      expect(number(answer, 'x-ratelimit-remaining-tokens')).toBeGreaterThan(990_000)
      // Seconds from now.
      expect(number(answer, 'x-ratelimit-reset-tokens')).toBeLessThanOrEqual(61)
    }
    for (const answer of refused) {
      const aheadS = number(answer, 'x-ratelimit-reset-requests') - Date.now() / 1000
      expect(answer.json()['code']).toBe('RATE_LIMIT_EXCEEDED')
      expect(number(answer, 'x-ratelimit-remaining-requests')).toBe(0)
      expect(number(answer, 'retry-after')).toBeGreaterThan(30)
      expect(number(answer, 'retry-after')).toBeLessThanOrEqual(60)
      // A Unix time in seconds, less than a minute from now.
      expect(aheadS).toBeGreaterThan(20)
      expect(aheadS).toBeLessThanOrEqual(61)
    }
  })

  test('exactly the allowed ones pass, also when the key is blocked for failing on the way', async () => {
    const key = await giveKey(rialto.home, { plan: 'fifty' })

    const answers = await askTimes(500, key)

    const counts = [200, 429].map((wanted) => answers.filter(({ status }) => status === wanted).length)
    expect(counts).toEqual([50, 450])
    for (const answer of answers) if (answer.status === 429) expect(number(answer, 'retry-after')).toBeGreaterThan(0)
    const blocked = (await ask(chat, { key, body: body() })).json()
    expect(blocked['error']).toBe('Too many failed attempts (> 20) resulting in a non-success status code. Please wait 30s and try again.')
  })
})

describe('tokens per minute', () => {
  test('are taken at admission, so that requests at once do not all pass', async () => {
    const key = await giveKey(rialto.home, { plan: 'tokens' })

    const answers = await askTimes(20, key, { max_tokens: 60 })

    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
    for (const answer of answers) expect(number(answer, 'x-ratelimit-limit-tokens')).toBe(100)
    expect(answers.find(({ status }) => status === 429)?.json()['error']).toMatch(/100 tokens per minute \(TPM\)/)
  })
})

describe('requests per day', () => {
  test('are not forgotten by a restart', { timeout: SERVERS_MS }, async () => {
    const home = await mkdtemp(join(tmpdir(), 'rialto-days-'))
    const before = await startRialto({ config: CONFIG, home })
    const key = await giveKey(home, { plan: 'daily' })
    const used = [await ask(`${before.url}/chat/completions`, { key, body: body() })]
    used.push(await ask(`${before.url}/chat/completions`, { key, body: body() }))
    await before.stop()

    const after = await startRialto({ config: CONFIG, home })
    const last = await ask(`${after.url}/chat/completions`, { key, body: body() })
    const refused = await ask(`${after.url}/chat/completions`, { key, body: body() })
    await after.stop()
    await rm(home, { recursive: true, force: true })

    expect([...used, last, refused].map(({ status }) => status)).toEqual([200, 200, 200, 429])
    expect(refused.json()['error']).toMatch(/3 requests per UTC day \(RPD\)/)
    expect(number(last, 'x-ratelimit-limit-requests')).toBe(3)
    expect(number(last, 'x-ratelimit-remaining-requests')).toBe(0)
    expect(number(refused, 'x-ratelimit-reset-requests') % 86_400).toBe(0)
  })
})

describe('the log of refusals', () => {
  test('has what was refused a moment ago, under both of its paths, and limits are shown as they are enforced', async () => {
    const key = await giveKey(rialto.home, { plan: 'two' })
    await askTimes(4, key)

    const [log, same, limits] = await Promise.all(
      ['rate_limits/log', 'rate_limit_logs', 'rate_limits'].map((path) => ask(`${rialto.url}/api_keys/${path}`, { key })),
    )

    expect(log?.json()).toMatchObject({ object: 'list', data: [{ modelId: FREE, rateLimitType: 'RPM', rateLimitTier: 'two' }, {}] })
    expect(same?.json()).toEqual(log?.json())
    expect(limits?.json()).toMatchObject({ data: { accessPermitted: true, apiTier: { id: 'two', isCharged: true } } })
  })
})

describe('a key that asks a model for what it cannot do', () => {
  test('is blocked after more than 10 such requests, in words that say so', { timeout: SERVERS_MS }, async () => {
    const model = textModel('mute', 'sandbox') as { spec: { capabilities: object } }
    const mute = { ...model, spec: { ...model.spec, capabilities: { ...model.spec.capabilities, supportsFunctionCalling: false } } }
    const server = await startRialto({ config: overlay([], [mute]) })
    try {
      const key = await giveKey(server.home)
      const tools = [{ type: 'function', function: { name: 'f' } }]
      const url = `${server.url}/chat/completions`

      for (let i = 0; i < 11; i++) expect((await ask(url, { key, body: body({ model: 'mute', tools }) })).status).toBe(400)
      const blocked = await ask(url, { key, body: body() })

      expect([blocked.status, blocked.json()['error']]).toEqual([429, expect.stringContaining('does not support')])
    } finally {
      await server.stop()
    }
  })
})
