/** What is remembered of keys, for how long, and what becomes of it when they change or the store is away. */
import { describe, expect, it } from 'vitest'
import { accountRow, codeOf, outcome, setUp, settled, START } from './keys.fixture.ts'
import { FRESH_MS, IDLE_MS, MAX_KNOWN_KEYS, MAX_LOOKUPS, MAX_UNKNOWN_KEYS, REFRESH_MS, STALE_MS } from './keys.ts'

describe('a key in memory', () => {
  it.each([
    ['revoked', { revokedAt: START }, 'AUTHENTICATION_FAILED'],
    ['changed', { id: 'changed' }, 'changed'],
  ] as const)('serves a key that was %s elsewhere for a second at most', async (_what, fields, expected) => {
    const { keys, store, time } = setUp()
    store.add('good')
    await keys.verify('Bearer good', undefined)
    store.add('good', fields)

    time.ms = FRESH_MS - 1
    expect(FRESH_MS).toBeLessThanOrEqual(1_000)
    expect(keys.verify('Bearer good', undefined)).toMatchObject({ keyId: 'id-good' })
    time.ms = FRESH_MS
    expect(await codeOf(keys, 'good')).toBe(expected)
  })

  it('counts the age of what it read from before it was read', async () => {
    const { keys, store, time } = setUp()
    store.add('good')
    let open = (): void => {}
    store.gate = new Promise((resolve) => (open = resolve))

    const first = outcome(keys, 'Bearer good')
    time.ms = 900
    open()
    await first
    store.add('good', { revokedAt: START })

    time.ms = FRESH_MS
    expect(await codeOf(keys, 'good')).toBe('AUTHENTICATION_FAILED')
  })

  it('reads a key in use again in the background, once, so that nobody waits for it', async () => {
    const { keys, store, time } = setUp()
    store.add('good')
    await keys.verify('Bearer good', undefined)

    for (time.ms = REFRESH_MS; time.ms < 10_000; time.ms += 100) {
      for (let i = 0; i < 3; i++) expect(keys.verify('Bearer good', undefined)).not.toBeInstanceOf(Promise)
      await settled()
    }

    expect(store.reads).toBeGreaterThan(10)
    expect(store.reads).toBeLessThanOrEqual(1 + Math.ceil(10_000 / REFRESH_MS))
  })

  it('shows at the next request what a read in the background found', async () => {
    const { keys, store, time } = setUp()
    store.add('good')
    store.add('gone')
    await keys.verify('Bearer good', undefined)
    await keys.verify('Bearer gone', undefined)
    store.add('good', { modelPrivacy: 'PRIVATE_ONLY' })
    store.add('gone', { revokedAt: START })
    time.ms = REFRESH_MS

    expect(keys.verify('Bearer good', undefined)).toMatchObject({ modelPrivacy: 'ALL' })
    expect(keys.verify('Bearer gone', undefined)).toMatchObject({ keyId: 'id-gone' })
    await settled()

    expect(keys.verify('Bearer good', undefined)).toMatchObject({ modelPrivacy: 'PRIVATE_ONLY' })
    expect(() => keys.verify('Bearer gone', undefined)).toThrow(expect.objectContaining({ code: 'AUTHENTICATION_FAILED' }))
  })

  it.each([
    ['the key', { keyId: 'id-told' }],
    ['its account', { accountId: 'a1' }],
    ['all keys', 'all'],
  ] as const)('notices a change at once when it is told of %s', async (_which, which) => {
    const { keys, store } = setUp()
    store.add('told')
    store.add('other', { accountId: 'a2' })
    store.accounts.set('a2', accountRow({ id: 'a2' }))
    for (const key of ['told', 'other']) await keys.verify(`Bearer ${key}`, undefined)
    store.add('told', { revokedAt: START })

    keys.invalidate(which)

    expect(await codeOf(keys, 'told')).toBe('AUTHENTICATION_FAILED')
    expect(keys.verify('Bearer other', undefined) instanceof Promise).toBe(which === 'all')
  })

  it('takes a key that was refused as soon as it is told of its change', async () => {
    const { keys, store } = setUp()
    store.add('good', { expiresAt: START })
    await codeOf(keys, 'good')
    store.add('good', { expiresAt: null })

    keys.invalidate({ keyId: 'id-good' })

    expect(await codeOf(keys, 'good')).toBe('id-good')
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
})

describe('a flood of unknown keys', () => {
  it('costs a known key nothing, not even when it has to be read again', async () => {
    const { keys, store, time } = setUp()
    store.add('good')
    await keys.verify('Bearer good', undefined)
    time.ms = FRESH_MS
    let open = (): void => {}
    store.gate = new Promise((resolve) => (open = resolve))

    const flood = Array.from({ length: MAX_LOOKUPS + 10 }, (_, i) => outcome(keys, `Bearer k${i}`))
    const good = outcome(keys, 'Bearer good')
    open()

    expect(await good).toMatchObject({ keyId: 'id-good' })
    await Promise.all(flood)
  })
})

describe('the last use of a key', () => {
  it('is noted in memory and written once for many requests', async () => {
    const { keys, store, time } = setUp()
    store.add('good')
    store.add('other')
    for (time.ms = 0; time.ms < 100; time.ms++) await keys.verify('Bearer good', undefined)
    await keys.verify('Bearer other', undefined)
    expect(store.touched).toEqual([])

    await keys.flush()
    await keys.flush()

    expect(store.touched).toEqual([
      [
        { keyId: 'id-good', at: START + 99 },
        { keyId: 'id-other', at: START + 100 },
      ],
    ])
  })

  it('waits while the store is away, and is not lost with the entry it was noted in', async () => {
    const { keys, store, time } = setUp()
    store.add('good')
    await keys.verify('Bearer good', undefined)
    store.away = true
    await keys.flush()
    keys.invalidate('all')
    store.away = false
    time.ms = 5
    await keys.verify('Bearer good', undefined)

    await keys.close()

    expect(store.touched.flat()).toContainEqual({ keyId: 'id-good', at: START + 5 })
  })

  it('is none for a key that is refused', async () => {
    const { keys, store } = setUp()
    store.add('old', { expiresAt: START })
    await codeOf(keys, 'old')

    await keys.close()

    expect(store.touched).toEqual([])
  })
})

describe('a key that nobody uses any more', () => {
  it('is forgotten after a while, and read again when it comes back', async () => {
    const { keys, store, time } = setUp()
    store.add('idle')
    store.add('busy')
    for (const key of ['idle', 'busy']) await keys.verify(`Bearer ${key}`, undefined)
    await keys.flush()
    store.away = true
    time.ms = IDLE_MS - 1
    await keys.verify('Bearer busy', undefined)
    await keys.flush()

    time.ms = IDLE_MS
    store.away = false
    keys.tidy()
    const reads = store.reads
    await keys.verify('Bearer idle', undefined)

    expect(store.reads).toBe(reads + 1)
  })
})

describe('while the store is away', () => {
  it('a key that was valid works on for five minutes, then gets a 503', async () => {
    const { keys, store, time } = setUp()
    store.add('good')
    await keys.verify('Bearer good', undefined)
    store.away = true

    for (time.ms = FRESH_MS; time.ms < STALE_MS; time.ms += 9_000) expect(await codeOf(keys, 'good')).toBe('id-good')
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

  it('a key that is revoked as it comes back stops working within a second of its next use', async () => {
    const { keys, store, time } = setUp()
    store.add('good')
    await keys.verify('Bearer good', undefined)
    store.away = true
    time.ms = FRESH_MS
    expect(await codeOf(keys, 'good')).toBe('id-good')
    store.away = false
    store.add('good', { revokedAt: START })

    time.ms += FRESH_MS

    expect(await codeOf(keys, 'good')).toBe('AUTHENTICATION_FAILED')
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
