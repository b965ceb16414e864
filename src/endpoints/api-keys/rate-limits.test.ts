/** What is shown of limits is what is enforced, to who may see it. */
import { beforeEach, describe, expect, it } from 'vitest'
import type { z } from 'zod'
import { shippedCatalog, shippedPlans } from '../../catalog/testing.ts'
import type { Caller } from '../../core/call.ts'
import type { AccountRow, KeyRow, RefusalRow } from '../../core/store.ts'
import type { Desk } from '../../pipeline/desk.ts'
import { openSqliteStore } from '../../store/sqlite/sqlite-store.ts'
import type { AnyEndpoint } from '../endpoint.ts'
import { rateLimitEndpoints } from './rate-limits.ts'

const NOW = Date.UTC(2026, 9, 7, 15)
const CAPS = { period: 'EPOCH', usd: null, diem: null } as const
const account = (id: string, more: Partial<AccountRow> = {}): AccountRow => ({
  id,
  name: id,
  plan: 'default',
  creditNano: 0n,
  diemAllowanceNano: 0n,
  wallet: null,
  createdAt: 0,
  closedAt: null,
  ...more,
})
const keyRow = (id: string, accountId: string, more: Partial<KeyRow> = {}): KeyRow => ({
  id,
  accountId,
  hash: `hash of ${id}`,
  last6: '123456',
  scope: 'INFERENCE',
  description: '',
  caps: CAPS,
  capVcuNano: null,
  modelPrivacy: 'ALL',
  models: null,
  createdAt: 0,
  expiresAt: null,
  revokedAt: null,
  lastUsedAt: null,
  ...more,
})
const callerOf = (keyId: string, scope: Caller['scope'] = 'INFERENCE', accountId = 'a1', plan = 'default'): Caller => ({
  accountId,
  keyId,
  scope,
  plan,
  caps: CAPS,
  modelPrivacy: 'ALL',
  models: null,
})

const catalog = shippedCatalog(['venice'])
let all: readonly AnyEndpoint[] = []
let waiting: RefusalRow[] = []

beforeEach(async () => {
  const store = await openSqliteStore(':memory:')
  await store.migrate()
  for (const row of [account('a1'), account('a2'), account('mine', { plan: 'operator', creditNano: null })]) await store.insertAccount(row)
  const keys = [
    keyRow('plain', 'a1', { expiresAt: NOW + 1_000 }),
    keyRow('admin', 'a1', { scope: 'ADMIN' }),
    keyRow('old', 'a1', { expiresAt: NOW }),
    keyRow('gone', 'a1', { revokedAt: NOW - 1 }),
    keyRow('foreign', 'a2'),
    keyRow('operator', 'mine', { scope: 'ADMIN' }),
  ]
  for (const row of keys) await store.insertKey(row)
  waiting = []
  all = rateLimitEndpoints({
    plans: shippedPlans(),
    clock: { now: () => NOW },
    store,
    ledger: {
      balances: async () => ({
        DIEM: { balance: 1_500_000_000n },
        BUNDLED_CREDITS: { balance: 2_000_000_000n },
        USD: { balance: 50_230_000_000n },
      }),
    },
    flushRefusals: () => store.insertRefusals(waiting.splice(0)),
  })
})

type Answer = { data: { rateLimits: { apiModelId: string; rateLimits: unknown }[] } & Record<string, unknown> }

/** What the door does: query through its schema, handler, and the answer through its own schema. */
async function get(path: string, caller: Caller, { params = {}, query = {} }: { params?: Record<string, string>; query?: object } = {}) {
  const found = all.find((one) => one.path === path)
  // These handlers read nothing of the desk but the catalogue and the caller.
  const desk = { catalog, caller } as unknown as Desk
  const reply = await found?.handle({ params, query: found.query?.parse(query), body: undefined, bodyBytes: 0, headers: {} }, desk)
  if (reply?.type !== 'json') throw new Error('JSON was expected')
  const schema: z.ZodType | undefined = found?.answers['application/json']?.schema
  const wire: unknown = JSON.parse(JSON.stringify(reply.body))
  expect(schema?.parse(wire)).toEqual(wire)
  return wire
}
// Checked by the schema of the answer.
const limitsOf = async (caller: Caller, id?: string) => (await get('/api_keys/rate_limits', caller, { query: { id } })) as Answer

describe('GET /api_keys/rate_limits', () => {
  it('has what the key may use, what its account has, and when the day begins again', async () => {
    const { data } = await limitsOf(callerOf('plain'))

    expect(data).toMatchObject({
      accessPermitted: true,
      apiTier: { id: 'paid', isCharged: true },
      balances: { USD: 52.23, DIEM: 1.5 },
      keyExpiration: new Date(NOW + 1_000).toISOString(),
      nextEpochBegins: '2026-10-08T00:00:00.000Z',
    })
  })

  it.each([
    ['qwen3-4b', 500, 1_000_000],
    ['venice-uncensored', 75, 750_000],
    ['llama-3.3-70b', 50, 750_000],
    ['claude-opus-45', 20, 500_000],
    ['venice-sd35', 20, null],
    ['tts-kokoro', 60, null],
  ])('has the contract’s limits of %s', async (id, rpm, tpm) => {
    const { data } = await limitsOf(callerOf('plain'))

    const limits = [{ amount: rpm, type: 'RPM' }, ...(tpm === null ? [] : [{ amount: tpm, type: 'TPM' }])]
    expect(data.rateLimits.find(({ apiModelId }) => apiModelId === id)?.rateLimits).toEqual(limits)
  })

  it('names every model of the catalogue once', async () => {
    const { data } = await limitsOf(callerOf('plain'))

    expect(data.rateLimits.map(({ apiModelId }) => apiModelId)).toEqual(catalog.list('all').map(({ id }) => id))
  })

  it('says that the operator is neither limited nor charged', async () => {
    const { data } = await limitsOf(callerOf('operator', 'ADMIN', 'mine', 'operator'))

    expect(data.apiTier).toEqual({ id: 'operator', isCharged: false })
    expect(data.rateLimits.every(({ rateLimits }) => Array.isArray(rateLimits) && rateLimits.length === 0)).toBe(true)
  })

  it('says of an expired key that it has no access', async () => {
    expect((await limitsOf(callerOf('admin', 'ADMIN'), 'old')).data['accessPermitted']).toBe(false)
  })

  it('answers the same by either spelling of a key', async () => {
    const byPath = await get('/api_keys/{id}/rate_limits', callerOf('admin', 'ADMIN'), { params: { id: 'plain' } })

    expect(byPath).toEqual(await limitsOf(callerOf('admin', 'ADMIN'), 'plain'))
    expect(byPath).toEqual(await limitsOf(callerOf('plain')))
  })

  it.each([
    ['of another account', callerOf('admin', 'ADMIN'), 'foreign'],
    ['that is deleted', callerOf('admin', 'ADMIN'), 'gone'],
    ['that never was', callerOf('admin', 'ADMIN'), 'nothing'],
    ['that is not its own, for a key that does not administer', callerOf('plain'), 'admin'],
  ])('has nothing to say of a key %s, in the same words', async (_what, caller, id) => {
    const missing = { code: 'NOT_FOUND', message: 'There is no such API key', param: 'id' }

    await expect(limitsOf(caller, id)).rejects.toMatchObject(missing)
    await expect(get('/api_keys/{id}/rate_limits', caller, { params: { id } })).rejects.toMatchObject(missing)
    await expect(get('/api_keys/{id}/rate_limit_logs', caller, { params: { id } })).rejects.toMatchObject(missing)
  })
})

describe('GET /api_keys/rate_limits/log', () => {
  const KINDS = ['RPM', 'TPM', 'RPD', 'FAILED_REQUESTS', 'UNSUPPORTED_FEATURE_REQUESTS'] as const
  const refusal = (at: number, more: Partial<RefusalRow> = {}): RefusalRow => ({
    at,
    accountId: 'a1',
    keyId: 'plain',
    model: 'm',
    kind: 'RPM',
    ...more,
  })

  it.each(['/api_keys/rate_limits/log', '/api_keys/rate_limit_logs'])(
    '%s has the last 50 of the account, of all kinds, those of a moment ago',
    async (path) => {
      waiting = [
        ...Array.from({ length: 60 }, (_, at) => refusal(at)),
        ...KINDS.map((kind, index) => refusal(NOW + index, { kind, keyId: 'admin' })),
        refusal(NOW, { accountId: 'a2', keyId: 'foreign' }),
      ]

      const { object, data } = (await get(path, callerOf('plain'))) as { object: string; data: Record<string, unknown>[] } // by the schema

      expect([object, data.length]).toEqual(['list', 50])
      expect(data.slice(0, 5).map(({ rateLimitType }) => rateLimitType)).toEqual([...KINDS].reverse())
      expect(data[4]).toEqual({
        apiKeyId: 'admin',
        modelId: 'm',
        rateLimitTier: 'paid',
        rateLimitType: 'RPM',
        timestamp: '2026-10-07T15:00:00.000Z',
      })
      expect(data.every(({ apiKeyId }) => apiKeyId !== 'foreign')).toBe(true)
    },
  )

  it.each(['/api_keys/{id}/rate_limits/log', '/api_keys/{id}/rate_limit_logs'])('%s has those of one key', async (path) => {
    waiting = [...Array.from({ length: 60 }, (_, at) => refusal(at, { keyId: 'admin' })), refusal(3, { kind: 'TPM' })]

    const { data } = (await get(path, callerOf('plain'), { params: { id: 'plain' } })) as { data: unknown[] } // by the schema

    expect(data).toMatchObject([{ apiKeyId: 'plain', rateLimitType: 'TPM' }])
  })
})
