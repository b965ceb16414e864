/** Who comes in, and in which words everybody else is refused. */
import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import type { Caller } from '../core/call.ts'
import { Failure } from '../core/errors.ts'
import { OPERATOR_ACCOUNT } from './first-key.ts'
import { accountRow, codeOf, outcome, setUp, START } from './keys.fixture.ts'
import { MAX_LOOKUPS, requireScope, UNKNOWN_MS } from './keys.ts'

const caller = (scope: Caller['scope']): Caller => ({
  accountId: 'a',
  keyId: 'k',
  scope,
  plan: 'paid',
  caps: { period: 'EPOCH', usd: null, diem: null },
  modelPrivacy: 'ALL',
  models: null,
})

describe('verifying a key', () => {
  it('finds the caller with the plan of its account, then knows it without the store and at once', async () => {
    const { keys, store } = setUp()
    const caps = { period: 'MONTH', usd: 5n, diem: null } as const
    store.add('good', { scope: 'ADMIN', caps, modelPrivacy: 'PRIVATE_ONLY', models: ['m1', 'm2'] })

    const first = await keys.verify('Bearer good', undefined)
    const second = keys.verify('Bearer good', undefined)

    expect(first).toEqual({
      accountId: 'a1',
      keyId: 'id-good',
      scope: 'ADMIN',
      plan: 'paid',
      caps,
      modelPrivacy: 'PRIVATE_ONLY',
      models: new Set(['m1', 'm2']),
    })
    expect(second).toBe(first)
    expect(store.reads).toBe(1)
  })

  it.each([
    ['Bearer good', undefined],
    ['bearer good', undefined],
    ['BEARER  good ', undefined],
    [undefined, 'good'],
    ['Bearer good', 'other'],
  ])('takes %j and x-api-key %j', async (authorization, apiKey) => {
    const { keys, store } = setUp()
    store.add('good')

    expect(await outcome(keys, authorization, apiKey)).toMatchObject({ keyId: 'id-good' })
  })

  it('refuses whatever is wrong in the same words, which say what is expected and nothing of the key', async () => {
    const { keys, store } = setUp()
    store.add('revoked-key', { revokedAt: START })
    store.add('expired-key', { expiresAt: START })
    store.add('orphan-key', { accountId: 'a9' })
    store.add('closed-key', { accountId: 'a2' })
    store.accounts.set('a2', accountRow({ id: 'a2', closedAt: START }))
    const attempts: [string | undefined, string?][] = [
      [undefined],
      [''],
      ['Bearer '],
      ['Basic good'],
      ['good'],
      [`Bearer ${'x'.repeat(300)}`],
      ['Bearer unknown-key'],
      ['Bearer revoked-key'],
      ['Bearer expired-key'],
      ['Bearer orphan-key'],
      ['Bearer closed-key'],
      ['Basic good', 'unknown-key'],
      [undefined, ' '],
    ]

    const results = await Promise.all(attempts.map((attempt) => outcome(keys, ...attempt)))

    for (const result of results) {
      expect(result).toMatchObject({ code: 'AUTHENTICATION_FAILED', message: expect.stringContaining('Authorization: Bearer') })
      expect(inspect(result, { depth: null })).not.toMatch(/(unknown|revoked|expired|orphan|closed)-key/)
    }
    expect(new Set(results.map((result) => (result instanceof Failure ? result.message : ''))).size).toBe(1)
  })

  it('stops taking a key at the moment it expires, without asking the store', async () => {
    const { keys, store, time } = setUp()
    store.add('good', { expiresAt: START + 500 })
    await keys.verify('Bearer good', undefined)

    time.ms = 499
    expect(await codeOf(keys, 'good')).toBe('id-good')
    time.ms = 500
    expect(await codeOf(keys, 'good')).toBe('AUTHENTICATION_FAILED')

    expect(store.reads).toBe(1)
  })

  it('stops taking the keys of an account from the moment it is closed on', async () => {
    const { keys, store, time } = setUp()
    store.add('good')
    store.accounts.set('a1', accountRow({ closedAt: START + 500 }))

    expect(await codeOf(keys, 'good')).toBe('id-good')
    time.ms = 500
    expect(await codeOf(keys, 'good')).toBe('AUTHENTICATION_FAILED')
  })

  it('knows a key under every spelling of its header, and no other key by them', async () => {
    const { keys, store } = setUp()
    store.add('good')
    store.add('Bearer good', { id: 'odd' })
    await keys.verify('Bearer good', undefined)

    expect(keys.verify('Bearer good', undefined)).toMatchObject({ keyId: 'id-good' })
    expect(keys.verify('bearer  good', undefined)).toMatchObject({ keyId: 'id-good' })
    expect(keys.verify(undefined, 'good')).toMatchObject({ keyId: 'id-good' })
    expect(await outcome(keys, undefined, 'Bearer good')).toMatchObject({ keyId: 'odd' })
    for (const other of ['Bearer goo', 'Bearer good1', 'Bearer Good', 'good', 'Bearergood']) {
      expect(await outcome(keys, other)).toMatchObject({ code: 'AUTHENTICATION_FAILED' })
    }
  })

  it('asks the store once for requests with the same new key that come together', async () => {
    const { keys, store } = setUp()
    store.add('good')

    const callers = await Promise.all(Array.from({ length: 50 }, () => keys.verify('Bearer good', undefined)))

    expect(new Set(callers).size).toBe(1)
    expect(store.reads).toBe(1)
  })

  it('remembers for a short while that a key is unknown', async () => {
    const { keys, store, time } = setUp()
    await codeOf(keys, 'late')
    store.add('late')

    expect(await codeOf(keys, 'late')).toBe('AUTHENTICATION_FAILED')
    expect(store.reads).toBe(1)
    time.ms = UNKNOWN_MS
    expect(await codeOf(keys, 'late')).toBe('id-late')
  })

  it('bounds how many look-ups are under way', async () => {
    const { keys } = setUp()

    const results = await Promise.all(Array.from({ length: MAX_LOOKUPS + 1 }, (_, i) => outcome(keys, `Bearer k${i}`)))

    const statuses = results.map((result) => (result instanceof Failure ? result.status : 0))
    expect(statuses.filter((status) => status === 503)).toHaveLength(1)
    expect(statuses.filter((status) => status === 401)).toHaveLength(MAX_LOOKUPS)
  })
})

describe('the scope of a key', () => {
  const operator = (scope: Caller['scope']): Caller => ({ ...caller(scope), accountId: OPERATOR_ACCOUNT })

  it('ADMIN may use everything of its account, INFERENCE only inference', () => {
    requireScope(caller('ADMIN'), 'ADMIN')
    requireScope(caller('ADMIN'), 'INFERENCE')
    requireScope(caller('INFERENCE'), 'INFERENCE')

    expect(() => requireScope(caller('INFERENCE'), 'ADMIN')).toThrow(expect.objectContaining({ code: 'UNAUTHORIZED' }))
  })

  it('ADMIN of the account of the operator may use what is of the server, and no other key', () => {
    requireScope(operator('ADMIN'), 'OPERATOR')

    for (const other of [caller('ADMIN'), caller('INFERENCE'), operator('INFERENCE')]) {
      expect(() => requireScope(other, 'OPERATOR')).toThrow(expect.objectContaining({ code: 'UNAUTHORIZED' }))
    }
  })
})
