/** Who comes in: from memory, from the store, and while the store is away. */
import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import type { Caller } from '../core/call.ts'
import { Failure } from '../core/errors.ts'
import type { AccountRow, KeyRow } from '../core/store.ts'
import { FRESH_MS, Keys, MAX_KNOWN_KEYS, MAX_LOOKUPS, MAX_UNKNOWN_KEYS, requireScope, STALE_MS, UNKNOWN_MS } from './keys.ts'
import { hashKey } from './secret-key.ts'

const START = 1_763_880_000_000

class FakeStore {
  readonly rows = new Map<string, KeyRow>()
  readonly accounts = new Map<string, AccountRow>()
  away = false
  reads = 0

  add(key: string, fields: Partial<KeyRow> = {}): void {
    const row: KeyRow = {
      id: `id-${key}`,
      accountId: 'a1',
      hash: hashKey(key),
      last6: key.slice(-6),
      scope: 'INFERENCE',
      description: '',
      spendCapNano: null,
      createdAt: START,
      expiresAt: null,
      revokedAt: null,
      ...fields,
    }
    this.rows.set(row.hash, row)
  }

  async keyByHash(hash: string): Promise<KeyRow | null> {
    this.reads++
    await Promise.resolve()
    if (this.away) throw new Error('away')
    return this.rows.get(hash) ?? null
  }

  async account(id: string): Promise<AccountRow | null> {
    await Promise.resolve()
    if (this.away) throw new Error('away')
    return this.accounts.get(id) ?? null
  }
}

function setUp() {
  const store = new FakeStore()
  store.accounts.set('a1', { id: 'a1', name: 'Ada', plan: 'paid', creditNano: 0n, createdAt: START })
  const time = { ms: 0 }
  const clock = { now: () => START + time.ms, tick: () => time.ms, id: () => 'x' }
  return { store, time, keys: new Keys(store, clock) }
}

/** What the verification came to: the caller, or the failure, thrown or rejected with. */
async function outcome(keys: Keys, authorization?: string, apiKey?: string): Promise<Caller | Failure> {
  try {
    return await keys.verify(authorization, apiKey)
  } catch (error) {
    if (error instanceof Failure) return error
    throw error
  }
}

const codeOf = async (keys: Keys, key: string) => {
  const result = await outcome(keys, `Bearer ${key}`)
  return result instanceof Failure ? result.code : result.keyId
}

const caller = (scope: Caller['scope']): Caller => ({ accountId: 'a', keyId: 'k', scope, plan: 'paid', spendCapNano: null })

describe('verifying a key', () => {
  it('finds the caller with the plan of its account, then knows it without the store and at once', async () => {
    const { keys, store } = setUp()
    store.add('good', { scope: 'ADMIN', spendCapNano: 5n })

    const first = await keys.verify('Bearer good', undefined)
    const second = keys.verify('Bearer good', undefined)

    expect(first).toEqual({ accountId: 'a1', keyId: 'id-good', scope: 'ADMIN', plan: 'paid', spendCapNano: 5n })
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
      ['Basic good', 'unknown-key'],
      [undefined, ' '],
    ]

    const results = await Promise.all(attempts.map((attempt) => outcome(keys, ...attempt)))

    for (const result of results) {
      expect(result).toMatchObject({ code: 'AUTHENTICATION_FAILED', message: expect.stringContaining('Authorization: Bearer') })
      expect(inspect(result, { depth: null })).not.toMatch(/(unknown|revoked|expired|orphan)-key/)
    }
    expect(new Set(results.map((result) => (result instanceof Failure ? result.message : ''))).size).toBe(1)
  })

  it('stops taking a key at the moment it expires, without asking the store', async () => {
    const { keys, store, time } = setUp()
    store.add('good', { expiresAt: START + 1_000 })
    await keys.verify('Bearer good', undefined)

    time.ms = 999
    expect(await codeOf(keys, 'good')).toBe('id-good')
    time.ms = 1_000
    expect(await codeOf(keys, 'good')).toBe('AUTHENTICATION_FAILED')

    expect(store.reads).toBe(1)
  })

  it('notices a revocation within a minute, and at once when it is told', async () => {
    const { keys, store, time } = setUp()
    for (const key of ['slow', 'told']) {
      store.add(key)
      await keys.verify(`Bearer ${key}`, undefined)
      store.add(key, { revokedAt: START })
    }

    keys.invalidate({ hash: hashKey('told') })

    expect(await codeOf(keys, 'told')).toBe('AUTHENTICATION_FAILED')
    time.ms = FRESH_MS - 1
    expect(await codeOf(keys, 'slow')).toBe('id-slow')
    time.ms = FRESH_MS
    expect(await codeOf(keys, 'slow')).toBe('AUTHENTICATION_FAILED')
  })

  it('does not remember what a look-up read before it was told of a change', async () => {
    const { keys, store } = setUp()
    store.add('good')

    const early = outcome(keys, 'Bearer good')
    keys.invalidate('all')
    store.add('good', { revokedAt: START })

    await early
    expect(await codeOf(keys, 'good')).toBe('AUTHENTICATION_FAILED')
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

  it('keeps the keys in use when more come than it remembers', async () => {
    const { keys, store } = setUp()
    store.add('busy')
    for (let i = 0; i < MAX_KNOWN_KEYS + 10; i++) {
      store.add(`k${i}`)
      await keys.verify(`Bearer k${i}`, undefined)
      await keys.verify('Bearer busy', undefined)
    }

    expect(keys.verify('Bearer busy', undefined)).not.toBeInstanceOf(Promise)
    expect(keys.verify('Bearer k0', undefined)).toBeInstanceOf(Promise)
  })

  it('remembers a bounded number of refusals, and none of them costs a valid key its place', async () => {
    const { keys, store } = setUp()
    store.add('good')
    await keys.verify('Bearer good', undefined)
    for (let i = 0; i < MAX_UNKNOWN_KEYS + 1; i++) await codeOf(keys, `wrong${i}`)
    const reads = store.reads

    await codeOf(keys, 'wrong0')
    await codeOf(keys, `wrong${MAX_UNKNOWN_KEYS}`)

    expect(store.reads).toBe(reads + 1)
    expect(keys.verify('Bearer good', undefined)).not.toBeInstanceOf(Promise)
  })

  it('bounds how many look-ups are under way', async () => {
    const { keys } = setUp()

    const results = await Promise.all(Array.from({ length: MAX_LOOKUPS + 1 }, (_, i) => outcome(keys, `Bearer k${i}`)))

    const statuses = results.map((result) => (result instanceof Failure ? result.status : 0))
    expect(statuses.filter((status) => status === 503)).toHaveLength(1)
    expect(statuses.filter((status) => status === 401)).toHaveLength(MAX_LOOKUPS)
  })
})

describe('while the store is away', () => {
  it('a key that was valid works on for five minutes, then gets a 503', async () => {
    const { keys, store, time } = setUp()
    store.add('good')
    await keys.verify('Bearer good', undefined)
    store.away = true

    for (time.ms = FRESH_MS; time.ms < STALE_MS; time.ms += 10_000) expect(await codeOf(keys, 'good')).toBe('id-good')
    time.ms = STALE_MS
    const late = await outcome(keys, 'Bearer good')

    expect(late).toMatchObject({ status: 503, retryAfterMs: expect.any(Number) })
  })

  it('a key that is not known gets a 503, never a 401, and comes in as soon as the store is back', async () => {
    const { keys, store } = setUp()
    store.add('good')
    store.away = true

    const away = await outcome(keys, 'Bearer good')
    store.away = false

    expect(away).toMatchObject({ status: 503 })
    expect(await codeOf(keys, 'good')).toBe('id-good')
  })

  it('is not asked for every request of a known key', async () => {
    const { keys, store, time } = setUp()
    store.add('good')
    await keys.verify('Bearer good', undefined)
    store.away = true
    time.ms = FRESH_MS
    await keys.verify('Bearer good', undefined)
    const reads = store.reads

    for (let i = 0; i < 10; i++) expect(keys.verify('Bearer good', undefined)).not.toBeInstanceOf(Promise)

    expect(store.reads).toBe(reads)
  })

  it('a known key that expires meanwhile is refused', async () => {
    const { keys, store, time } = setUp()
    store.add('good', { expiresAt: START + FRESH_MS })
    await keys.verify('Bearer good', undefined)
    store.away = true

    time.ms = FRESH_MS

    expect(await codeOf(keys, 'good')).toBe('AUTHENTICATION_FAILED')
  })
})

describe('the scope of a key', () => {
  it('ADMIN may use everything, INFERENCE only inference', () => {
    requireScope(caller('ADMIN'), 'ADMIN')
    requireScope(caller('ADMIN'), 'INFERENCE')
    requireScope(caller('INFERENCE'), 'INFERENCE')

    expect(() => requireScope(caller('INFERENCE'), 'ADMIN')).toThrow(expect.objectContaining({ code: 'UNAUTHORIZED' }))
  })
})
