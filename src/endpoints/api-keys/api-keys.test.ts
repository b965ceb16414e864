/** The endpoints of keys as they are asked, from path and JSON to status and JSON, with the real keyring and store. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import type { Envelope } from '../../core/call.ts'
import { Cancel } from '../../core/cancel.ts'
import { Failure } from '../../core/errors.ts'
import type { Store } from '../../core/store.ts'
import { errorBody } from '../../http/error-reply.ts'
import { Router } from '../../http/router.ts'
import { ensureFirstKey } from '../../keys/first-key.ts'
import { Keyring } from '../../keys/keyring.ts'
import { accountRow, keyRow } from '../../keys/keys.fixture.ts'
import { Keys, requireScope } from '../../keys/keys.ts'
import { Desk } from '../../pipeline/desk.ts'
import { openSqliteStore } from '../../store/sqlite/sqlite-store.ts'
import { apiKeyEndpoints } from './api-keys.ts'

const OPERATOR = 'key-of-the-operator'
const STRANGER = 'key-of-somebody-else'
const GUEST = 'key-for-inference'
const NOW = Date.parse('2026-06-15T12:00:00Z')

let store: Store
let keys: Keys
let router: Router
let time = 0

beforeAll(async () => {
  let ids = 0
  const clock = { now: () => NOW, tick: () => time, id: () => `id-${ids++}` }
  store = await openSqliteStore(':memory:')
  await store.migrate()
  await ensureFirstKey(store, { fromEnv: OPERATOR, clock })
  await store.insertAccount(accountRow({ id: 'other' }))
  await store.insertKey(keyRow(STRANGER, { id: 'strangers', accountId: 'other', scope: 'ADMIN' }))
  await store.insertKey(keyRow(GUEST, { id: 'guest', accountId: 'operator' }))
  keys = new Keys(store, clock)
  router = new Router(
    apiKeyEndpoints(new Keyring({ store, clock, keys, knowsModel: (id) => id === 'qwen3-4b', admit: () => Promise.resolve() })),
  )
})
afterAll(async () => {
  await keys.close()
  await store.close()
})

type Answer = {
  readonly status: number
  readonly body: Record<string, unknown>
  readonly text: string
  readonly retryAfterMs?: number | undefined
}

/** What the door does of a request, less the bytes; a minute after the last one, so that no test meets the limits of another. */
function ask(method: string, path: string, body?: unknown, key = OPERATOR): Promise<Answer> {
  time += 60_000
  return askNow(method, path, body, key)
}

async function askNow(method: string, path: string, body: unknown, key: string): Promise<Answer> {
  try {
    const reply = await answer(method, path, JSON.parse(JSON.stringify(body ?? null)), key)
    const text = JSON.stringify(reply)
    return { status: 200, text, body: z.record(z.string(), z.unknown()).parse(JSON.parse(text)) }
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    const text = JSON.stringify(errorBody(error, 'r1'))
    return { status: error.status, text, body: z.record(z.string(), z.unknown()).parse(JSON.parse(text)), retryAfterMs: error.retryAfterMs }
  }
}

async function answer(method: string, path: string, body: unknown, key: string): Promise<unknown> {
  const url = new URL(`http://x/${path}`)
  const match = router.match(method, path.split('?', 1)[0] ?? '')
  if (!match) throw new Error(`no endpoint ${method} ${path}`)
  const caller = await keys.verify(`Bearer ${key}`, undefined)
  requireScope(caller, match.endpoint.scope === 'ADMIN' ? 'ADMIN' : 'INFERENCE')
  // The handlers reach nothing of the desk but its caller.
  const desk = new Desk({} as ConstructorParameters<typeof Desk>[0], { caller } as Envelope, new Cancel())
  const query = match.query?.(Object.fromEntries(url.searchParams))
  const reply = await match.endpoint.handle({ params: match.params, query, body: match.body?.(body), bodyBytes: 0, headers: {} }, desk)
  if (reply.type !== 'json') throw new Error('JSON was expected')
  // Every answer is what its declaration says, and nothing else.
  const read = match.endpoint.answers['application/json']?.schema?.parse(reply.body)
  expect(read).toEqual(reply.body)
  return reply.body
}

const made = z.object({ data: z.looseObject({ id: z.string(), apiKey: z.string() }) })
async function create(more: object = {}): Promise<{ id: string; apiKey: string }> {
  const answer = await ask('POST', '/api_keys', { apiKeyType: 'INFERENCE', description: 'laptop', ...more })
  expect([answer.status, answer.text.slice(0, answer.status === 200 ? 0 : 300)]).toEqual([200, ''])
  return made.parse(answer.body).data
}
const get = async (id: string) =>
  z.object({ data: z.record(z.string(), z.unknown()) }).parse((await ask('GET', `/api_keys/${id}`)).body).data

describe('POST /api_keys', () => {
  it('answers with the key, once, and with every field of the API', async () => {
    const answer = await ask('POST', '/api_keys', {
      apiKeyType: 'ADMIN',
      description: 'laptop',
      consumptionLimit: { usd: 50.25, diem: 0, vcu: null },
      limitPeriod: 'MONTH',
      modelPrivacy: 'PRIVATE_TEXT',
      models: ['qwen3-4b', 'qwen3-4b'],
      expiresAt: '2027-01-31',
    })

    expect(answer.status).toBe(200)
    expect(answer.body).toEqual({
      success: true,
      data: {
        apiKey: expect.stringMatching(/^rialto_[\w-]{43}$/),
        id: expect.any(String),
        apiKeyType: 'ADMIN',
        description: 'laptop',
        consumptionLimit: { usd: 50.25, diem: 0, vcu: null },
        limitPeriod: 'MONTH',
        modelPrivacy: 'PRIVATE_TEXT',
        models: ['qwen3-4b'],
        expiresAt: '2027-01-31T00:00:00.000Z',
      },
    })
    const { apiKey, id } = made.parse(answer.body).data
    expect((await ask('GET', '/api_keys', undefined, apiKey)).text).not.toContain(apiKey)
    expect(await get(id)).toMatchObject({ last6Chars: apiKey.slice(-6) })
  })

  it('has the defaults of the API: no limits, each day, all models, no end', async () => {
    const { id } = await create()

    expect(await get(id)).toEqual({
      id,
      apiKeyType: 'INFERENCE',
      description: 'laptop',
      consumptionLimits: { usd: null, diem: null, vcu: null },
      limitPeriod: 'EPOCH',
      modelPrivacy: 'ALL',
      models: null,
      last6Chars: expect.any(String),
      createdAt: new Date(NOW).toISOString(),
      lastUsedAt: null,
      expiresAt: null,
      usage: { trailingSevenDays: { usd: '0', vcu: '0', diem: '0' } },
    })
  })

  it('takes limits by the name that answers have, and shows what counts against them', async () => {
    const { id } = await create({ consumptionLimits: { usd: 9_999_999_999, vcu: 0.000000001 } })

    expect(await get(id)).toMatchObject({
      consumptionLimits: { usd: 9_999_999_999, diem: null, vcu: 1e-9 },
      currentPeriodUsage: { usd: '0', diem: '0' },
    })
  })

  it.each([
    ['', null],
    [null, null],
    ['2026-06-16', '2026-06-16T00:00:00.000Z'],
    ['2026-06-15T12:00:01Z', '2026-06-15T12:00:01.000Z'],
    ['2026-06-15T12:00:00.001Z', '2026-06-15T12:00:00.001Z'],
    ['2028-02-29T23:59:59.999999Z', '2028-02-29T23:59:59.999Z'],
  ])('takes expiresAt %j', async (expiresAt, shown) => {
    const { id } = await create({ expiresAt })

    expect(await get(id)).toMatchObject({ expiresAt: shown })
  })

  it.each([
    ['apiKeyType', { apiKeyType: 'OWNER' }],
    ['apiKeyType', { apiKeyType: 'inference' }],
    ['description', { description: 'x'.repeat(65) }],
    ['description', { description: 7 }],
    ['consumptionLimit.usd', { consumptionLimit: { usd: -0.01 } }],
    ['consumptionLimit.usd', { consumptionLimit: { usd: 10_000_000_000 } }],
    ['consumptionLimit.usd', { consumptionLimit: { usd: 1e-10 } }],
    ['consumptionLimit.usd', { consumptionLimit: { usd: '5' } }],
    ['consumptionLimit.diem', { consumptionLimit: { diem: -1 } }],
    ['consumptionLimit.vcu', { consumptionLimit: { vcu: true } }],
    ['consumptionLimit', { consumptionLimit: { eur: 5 } }],
    ['consumptionLimit', { consumptionLimit: 5 }],
    ['consumptionLimits.usd', { consumptionLimits: { usd: -1 } }],
    ['consumptionLimits', { consumptionLimit: { usd: 1 }, consumptionLimits: { usd: 2 } }],
    ['limitPeriod', { limitPeriod: 'WEEK' }],
    ['modelPrivacy', { modelPrivacy: 'PRIVATE' }],
    ['models', { models: [] }],
    ['models', { models: 'qwen3-4b' }],
    ['models.0', { models: ['no-such-model'] }],
    ['models.1', { models: ['qwen3-4b', ''] }],
    ['models', { models: Array.from({ length: 501 }, () => 'qwen3-4b') }],
    ['expiresAt', { expiresAt: '2026-06-15' }],
    ['expiresAt', { expiresAt: '2026-06-15T12:00:00Z' }],
    ['expiresAt', { expiresAt: '1999-12-31T23:59:59Z' }],
    ['expiresAt', { expiresAt: '2027-02-30' }],
    ['expiresAt', { expiresAt: '2027-13-01' }],
    ['expiresAt', { expiresAt: '2027-01-01T25:00:00Z' }],
    ['expiresAt', { expiresAt: '2027-01-01T00:00:00+02:00' }],
    ['expiresAt', { expiresAt: 'tomorrow' }],
    ['expiresAt', { expiresAt: 1_900_000_000 }],
    ['nonsense', { nonsense: 1 }],
  ])('refuses with a 400 that names %s: %j', async (field, wrong) => {
    const before = (await store.keysOf('operator')).length

    const { status, body } = await ask('POST', '/api_keys', { apiKeyType: 'INFERENCE', description: 'laptop', ...wrong })

    expect([status, body['code']]).toEqual([400, 'INVALID_REQUEST'])
    expect(body['error']).toContain(field)
    expect(body['issues']).toEqual([expect.objectContaining({ message: expect.any(String) })])
    expect(await store.keysOf('operator')).toHaveLength(before)
  })
})

describe('a change', () => {
  it.each([
    ['PUT', (id: string) => [`/api_keys/${id}`, {}] as const],
    ['PATCH', (id: string) => [`/api_keys/${id}`, {}] as const],
    ['PATCH', (id: string) => ['/api_keys', { id }] as const],
  ])('by %s changes what the body names and leaves the rest', async (method, spelled) => {
    const { id } = await create({ consumptionLimit: { usd: 5, diem: 6 }, limitPeriod: 'MONTH', expiresAt: '2027-01-01' })
    const [path, extra] = spelled(id)

    const { status, body } = await ask(method, path, { ...extra, description: 'phone', consumptionLimits: { usd: null }, expiresAt: '' })

    expect(status).toBe(200)
    expect(body).toEqual({
      success: true,
      data: {
        id,
        apiKeyType: 'INFERENCE',
        description: 'phone',
        consumptionLimits: { usd: null, diem: 6, vcu: null },
        limitPeriod: 'MONTH',
        modelPrivacy: 'ALL',
        models: null,
        last6Chars: expect.any(String),
        createdAt: expect.any(String),
        lastUsedAt: null,
        expiresAt: null,
      },
    })
  })

  it('takes neither another type nor a time in the past', async () => {
    const { id } = await create()

    for (const wrong of [{ apiKeyType: 'ADMIN' }, { expiresAt: '2020-01-01' }, { consumptionLimit: { usd: -1 } }]) {
      for (const [method, path, extra] of [
        ['PUT', `/api_keys/${id}`, {}],
        ['PATCH', '/api_keys', { id }],
      ] as const) {
        const { status, body } = await ask(method, path, { ...extra, ...wrong })
        expect([status, body['code']]).toEqual([400, 'INVALID_REQUEST'])
        expect(body['error']).toContain(Object.keys(wrong)[0])
      }
    }
    expect((await ask('PATCH', '/api_keys', { description: 'x' })).body['error']).toContain('id')
    expect(await get(id)).toMatchObject({ apiKeyType: 'INFERENCE', expiresAt: null })
  })
})

describe('the end of a key', () => {
  it.each([(id: string) => `/api_keys/${id}`, (id: string) => `/api_keys?id=${id}`])('by DELETE %s is at once', async (path) => {
    const { id, apiKey } = await create({ apiKeyType: 'ADMIN' })
    expect((await ask('GET', '/api_keys', undefined, apiKey)).status).toBe(200)

    const { status, body } = await ask('DELETE', path(id))

    expect([status, body]).toEqual([200, { success: true }])
    expect((await ask('GET', '/api_keys', undefined, apiKey)).status).toBe(401)
    expect((await ask('DELETE', path(id))).status).toBe(404)
  })

  it('needs an id', async () => {
    for (const path of ['/api_keys', '/api_keys?id=']) {
      const { status, body } = await ask('DELETE', path)
      expect([status, body['error']]).toEqual([400, expect.stringContaining('id')])
    }
  })
})

describe('POST /api_keys/{id}/rotate', () => {
  it('answers with another secret of the same key; the old one works for the grace time', async () => {
    const { id, apiKey } = await create({ apiKeyType: 'ADMIN' })

    const { body } = await ask('POST', `/api_keys/${id}/rotate`, { graceSeconds: 60 })

    const rotated = made.parse(body).data
    expect(rotated).toMatchObject({ id, previousKeyExpiresAt: new Date(NOW + 60_000).toISOString() })
    for (const key of [apiKey, rotated.apiKey]) expect((await ask('GET', '/api_keys', undefined, key)).status).toBe(200)
    const { body: again } = await ask('POST', `/api_keys/${id}/rotate`, { graceSeconds: 0 })
    for (const key of [apiKey, rotated.apiKey]) expect((await ask('GET', '/api_keys', undefined, key)).status).toBe(401)
    expect((await ask('GET', '/api_keys', undefined, made.parse(again).data.apiKey)).status).toBe(200)
  })

  it.each([{}, { graceSeconds: -1 }, { graceSeconds: 1.5 }, { graceSeconds: 1e12 }, { graceSeconds: '60' }, { graceSeconds: null }])(
    'refuses %j with a 400 that names graceSeconds',
    async (wrong) => {
      const { id } = await create()
      const { status, body } = await ask('POST', `/api_keys/${id}/rotate`, wrong)
      expect([status, body['error']]).toEqual([400, expect.stringContaining('graceSeconds')])
    },
  )
})

describe('every endpoint of keys', () => {
  const asked = (id: string): readonly (readonly [string, string, unknown?])[] => [
    ['GET', `/api_keys/${id}`],
    ['PUT', `/api_keys/${id}`, { description: 'mine' }],
    ['PATCH', `/api_keys/${id}`, { description: 'mine' }],
    ['PATCH', '/api_keys', { id: decodeURIComponent(id), description: 'mine' }],
    ['DELETE', `/api_keys/${id}`],
    ['DELETE', `/api_keys?id=${id}`],
    ['POST', `/api_keys/${id}/rotate`, { graceSeconds: 0 }],
  ]

  it('says of a key of another account what it says of one that never was', async () => {
    const answers: Answer[] = []
    for (const id of ['strangers', 'nothing', 'x'.repeat(5_000), '%00', '..', 'strangers~before', "'%20or%201=1"]) {
      for (const [method, path, body] of asked(id)) answers.push(await ask(method, path, body))
    }

    for (const { status, body, text } of answers) {
      expect([status, body]).toEqual([404, { error: 'There is no such API key', code: 'NOT_FOUND' }])
      expect(text).not.toContain('strangers')
    }
    expect(await store.key('strangers')).toMatchObject({ description: '', revokedAt: null })
  })

  it('is closed to a key for inference, also for itself', async () => {
    for (const [method, path, body] of [...asked('guest'), ['GET', '/api_keys'] as const, ['POST', '/api_keys', {}] as const]) {
      const answer = await ask(method, path, body, GUEST)
      expect([answer.status, answer.body['code']]).toEqual([403, 'UNAUTHORIZED'])
    }
    expect(await store.key('guest')).toMatchObject({ description: '', revokedAt: null })
  })

  it('lists the keys of the account of the caller only', async () => {
    const ids = z.object({ object: z.literal('list'), data: z.array(z.looseObject({ id: z.string() })) })

    const mine = ids.parse((await ask('GET', '/api_keys')).body).data.map(({ id }) => id)
    const theirs = ids.parse((await ask('GET', '/api_keys', undefined, STRANGER)).body).data.map(({ id }) => id)

    expect(mine).toContain('guest')
    expect(theirs).toContain('strangers')
    expect(mine.filter((id) => theirs.includes(id))).toEqual([])
  })
})
