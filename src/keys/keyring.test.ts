/** What an account does with its keys, over the real store. */
import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ERRORS, Failure, fail } from '../core/errors.ts'
import type { KeyRow, Store } from '../core/store.ts'
import { openSqliteStore } from '../store/sqlite/sqlite-store.ts'
import { Keyring, type KeySettings, MAX_ACTIVE_KEYS, type NewKey } from './keyring.ts'
import { accountRow, failureOf, keyRow, standing, START, WANTED } from './keys.fixture.ts'
import { Keys } from './keys.ts'

const BY = 'admin'

let store: Store
let keys: Keys
let keyring: Keyring
let time: { ms: number }
beforeEach(async () => {
  store = await openSqliteStore(':memory:')
  await store.migrate()
  for (const id of ['a1', 'a2']) await store.insertAccount(accountRow({ id }))
  const standingClock = standing()
  time = standingClock.time
  admit = () => Promise.resolve()
  keys = new Keys(store, standingClock.clock)
  keyring = keyringOver(store)
})
afterEach(async () => {
  await keys.close()
  await store.close()
})

let admit: (accountId: string) => Promise<void>

function keyringOver(over: Store): Keyring {
  const clock = { now: () => START + time.ms, tick: () => time.ms, id: () => crypto.randomUUID() }
  return new Keyring({ store: over, clock, keys, knowsModel: (id) => id.startsWith('model-'), admit })
}

const create = (more: Partial<NewKey> = {}, account = 'a1') => keyring.create(account, BY, { ...WANTED, ...more })
const comesIn = async (key: { reveal(): string }) => {
  try {
    return await keys.verify(`Bearer ${key.reveal()}`, undefined)
  } catch (error) {
    return error instanceof Failure ? error.code : error
  }
}

describe('a new key', () => {
  it('comes in with what was asked for, and only its hash is kept', async () => {
    const { key, row } = await create({ usd: 5n, period: 'MONTH', modelPrivacy: 'PRIVATE_ONLY', models: ['model-1'], scope: 'ADMIN' })

    expect(await comesIn(key)).toMatchObject({
      accountId: 'a1',
      keyId: row.id,
      scope: 'ADMIN',
      plan: 'paid',
      caps: { period: 'MONTH', usd: 5n, diem: null },
      modelPrivacy: 'PRIVATE_ONLY',
      models: new Set(['model-1']),
    })
    const kept = await store.key(row.id)
    expect(kept).toEqual(row)
    expect(inspect(kept)).not.toContain(key.reveal().slice(7, -6))
    expect(row).toMatchObject({ hash: key.hash, last6: key.reveal().slice(-6), createdAt: START, lastUsedAt: null })
  })

  it('has caps as large as the API allows, exactly', async () => {
    const largest = 9_999_999_999n * 1_000_000_000n

    const { row } = await create({ usd: largest, diem: largest - 1n, vcu: 1n })

    expect(await store.key(row.id)).toMatchObject({ caps: { usd: largest, diem: largest - 1n }, capVcuNano: 1n })
  })

  it.each([
    ['expiresAt', { expiresAt: START }],
    ['expiresAt', { expiresAt: START - 1 }],
    ['models.1', { models: ['model-1', 'nothing'] }],
  ] as const)('is refused with a 400 that names %s', async (param, wrong) => {
    const failure = await failureOf(create(wrong))

    expect(failure).toMatchObject({ code: 'INVALID_REQUEST', param })
    expect(failure.message).toContain(param)
    expect(await keyring.list('a1')).toEqual([])
  })

  it('is not made where the account may make no more just now', async () => {
    const tooMany = fail('RATE_LIMIT_EXCEEDED', { retryAfterMs: 1_500 })
    admit = (accountId) => (accountId === 'a1' ? Promise.reject(tooMany) : Promise.resolve())
    keyring = keyringOver(store)

    expect(await failureOf(create())).toBe(tooMany)
    await create({}, 'a2')

    expect(await keyring.list('a1')).toEqual([])
    expect(await keyring.list('a2')).toHaveLength(1)
  })
})

describe('an account with as many keys as it may have', () => {
  const fill = async (count: number, fields: (i: number) => Partial<KeyRow> = () => ({})): Promise<void> => {
    for (let i = 0; i < count; i++) await store.insertKey(keyRow(`k${i}`, fields(i)))
  }

  it('gets no other one, not even where two are asked for together', async () => {
    await fill(MAX_ACTIVE_KEYS - 1)

    const both = await Promise.allSettled([create(), create()])

    expect(both.map(({ status }) => status)).toEqual(['fulfilled', 'rejected'])
    expect(await failureOf(create())).toMatchObject({ code: 'INVALID_REQUEST', message: expect.stringContaining('500') })
    expect(await keyring.list('a1')).toHaveLength(MAX_ACTIVE_KEYS)
  })

  it('gets one for each that is revoked, and in the place of the longest expired one', async () => {
    await fill(MAX_ACTIVE_KEYS, (i) => (i === 7 || i === 8 ? { expiresAt: START - i } : {}))

    await create()
    expect((await keyring.list('a1')).filter(({ row }) => row.expiresAt !== null).map(({ row }) => row.id)).toEqual(['id-k7'])
    await create()
    await expect(create()).rejects.toThrow('500')
    await keyring.revoke('a1', BY, 'id-k1')
    await create()

    expect(await keyring.list('a1')).toHaveLength(MAX_ACTIVE_KEYS)
  })
})

describe('a key of another account', () => {
  it('is not there, in the same words as one that never was, whatever is asked', async () => {
    const { key, row } = await create({}, 'a2')
    const { row: gone } = await create()
    await keyring.revoke('a1', BY, gone.id)
    const asked = [
      (id: string) => keyring.get('a1', id),
      (id: string) => keyring.change('a1', BY, id, { description: 'mine' }),
      (id: string) => keyring.change('a1', BY, id, { expiresAt: 1 }),
      (id: string) => keyring.revoke('a1', BY, id),
      (id: string) => keyring.rotate('a1', BY, id, 0),
    ]

    const failures: Failure[] = []
    for (const ask of asked) for (const id of [row.id, 'nothing', '', gone.id, 'x'.repeat(100_000)]) failures.push(await failureOf(ask(id)))

    for (const failure of failures)
      expect(failure).toMatchObject({ code: 'NOT_FOUND', message: failures[0]?.message, internal: failures[0]?.internal })
    expect(await keyring.list('a1')).toEqual([])
    expect(await comesIn(key)).toMatchObject({ keyId: row.id })
    expect(await store.key(row.id)).toEqual(row)
  })
})

describe('a change', () => {
  it('works at once, and leaves what it does not name', async () => {
    const { key, row } = await create({ usd: 5n, diem: 6n, models: ['model-1'] })
    await comesIn(key)

    const changed = await keyring.change('a1', BY, row.id, { usd: null, period: 'LIFETIME', modelPrivacy: 'PRIVATE_TEXT' })

    expect(changed).toEqual({ ...row, caps: { period: 'LIFETIME', usd: null, diem: 6n }, modelPrivacy: 'PRIVATE_TEXT' })
    expect((await store.key(row.id))?.caps).toEqual(changed.caps)
    expect(await comesIn(key)).toMatchObject({ caps: changed.caps, modelPrivacy: 'PRIVATE_TEXT', models: new Set(['model-1']) })
  })

  it('extends a key that has expired', async () => {
    const { key, row } = await create({ expiresAt: START + 10 })
    time.ms = 10
    expect(await comesIn(key)).toBe('AUTHENTICATION_FAILED')

    await keyring.change('a1', BY, row.id, { expiresAt: null })

    expect(await comesIn(key)).toMatchObject({ keyId: row.id })
  })

  it('of what cannot be changes nothing', async () => {
    const { row } = await create()

    for (const wrong of [{ expiresAt: START }, { models: ['nothing'] }]) {
      expect(await failureOf(keyring.change('a1', BY, row.id, { description: 'new', ...wrong }))).toMatchObject({ status: 400 })
    }

    expect(await store.key(row.id)).toEqual(row)
  })

  it('is not lost among others, and never undoes a revocation', async () => {
    const { key, row } = await create()
    const changes: Partial<KeySettings>[] = [{ description: 'b' }, { usd: 1n }, { diem: 2n }, { modelPrivacy: 'PRIVATE_ONLY' }]

    await Promise.all(changes.map((change) => keyring.change('a1', BY, row.id, change)))
    expect(await store.key(row.id)).toMatchObject({ description: 'b', caps: { usd: 1n, diem: 2n }, modelPrivacy: 'PRIVATE_ONLY' })
    await Promise.allSettled([
      keyring.change('a1', BY, row.id, { usd: 3n }),
      keyring.revoke('a1', BY, row.id),
      keyring.change('a1', BY, row.id, { usd: 4n }),
      keyring.rotate('a1', BY, row.id, 1_000),
    ])

    expect((await store.key(row.id))?.revokedAt).not.toBeNull()
    expect(await comesIn(key)).toBe('AUTHENTICATION_FAILED')
  })
})

describe('a revoked key', () => {
  it('stops working at once, is listed no more, and cannot be revoked again', async () => {
    const { key, row } = await create()
    await comesIn(key)

    await keyring.revoke('a1', BY, row.id)

    expect(await comesIn(key)).toBe('AUTHENTICATION_FAILED')
    expect(await keyring.list('a1')).toEqual([])
    expect(await failureOf(keyring.revoke('a1', BY, row.id))).toMatchObject({ code: 'NOT_FOUND' })
  })

  it('ends with its earlier secret', async () => {
    const { key, row } = await create()
    const rotated = await keyring.rotate('a1', BY, row.id, 60_000)
    for (const either of [key, rotated.key]) await comesIn(either)

    await keyring.revoke('a1', BY, row.id)

    for (const either of [key, rotated.key]) expect(await comesIn(either)).toBe('AUTHENTICATION_FAILED')
  })
})

describe('what a key has spent', () => {
  it('is told for the trailing seven days and for the period of its caps', async () => {
    const periods = ['EPOCH', 'MONTH', 'LIFETIME'] as const
    const made = await Promise.all(periods.map((period) => create({ period })))
    const day = Math.floor(START / 86_400_000)
    const spend = (fromDay: number) => ({ usd: BigInt(fromDay), diem: 1n })
    const spending: Store = {
      ...store,
      spentByKey: (_id, fromDay) => Promise.resolve(spend(fromDay)),
      spentByKeys: (_id, fromDay) => Promise.resolve(new Map(made.map(({ row }) => [row.id, spend(fromDay)]))),
    }

    const listed = await keyringOver(spending).list('a1')
    const got = await Promise.all(made.map(({ row }) => keyringOver(spending).get('a1', row.id)))

    // START is the 23rd of a month.
    const expected = { EPOCH: day, MONTH: day - 22, LIFETIME: 0 }
    for (const { row, trailing, period } of [...listed, ...got]) {
      expect(trailing).toEqual(spend(day - 6))
      expect(period).toEqual(spend(expected[row.caps.period]))
    }
    expect(listed).toHaveLength(3)
  })

  it('and when it was last used is right as soon as it is asked for', async () => {
    const { key, row } = await create()
    time.ms = 77
    await comesIn(key)

    expect((await keyring.get('a1', row.id)).row.lastUsedAt).toBe(START + 77)
    expect((await keyring.list('a1'))[0]?.row.lastUsedAt).toBe(START + 77)
  })
})

describe('the audit', () => {
  it('has each thing that was done, by whom and to which key, and nothing that people wrote', async () => {
    const { row } = await create({ description: 'CANARY', models: ['model-CANARY'] })
    await keyring.change('a1', BY, row.id, { usd: 5n, description: 'CANARY' })
    await keyring.rotate('a1', BY, row.id, 1_000)
    await keyring.revoke('a1', BY, row.id)

    const lines = await store.audit(null, 10)

    expect(lines.map(({ action }) => action)).toEqual(['key.revoke', 'key.rotate', 'key.change', 'key.create'])
    for (const line of lines) expect(line).toMatchObject({ byKeyId: BY, object: row.id, details: { account: 'a1' } })
    expect(lines[2]?.details['fields']).toBe('description usd')
    expect(JSON.stringify(lines)).not.toContain('CANARY')
  })
})

describe('the text of a key', () => {
  it('is in no failure of this room, however that is printed', async () => {
    const { key, row } = await create()
    const { key: next } = await keyring.rotate('a1', BY, row.id, 1_000)
    const away: Store = { ...store, insertKey: () => Promise.reject(new Error('away')), keyByHash: () => Promise.reject(new Error('away')) }
    const failures: unknown[] = []
    const collect = (work: () => unknown): Promise<unknown> =>
      Promise.resolve()
        .then(work)
        .catch((error: unknown) => failures.push(error))

    await collect(() => keyringOver(away).create('a1', BY, WANTED))
    await collect(() => new Keys(away, standing().clock).verify(`Bearer ${next.reveal()}`, undefined))
    for (const id of [key.reveal(), next.reveal()]) {
      await collect(() => keyring.get('a1', id))
      await collect(() => keyring.rotate('a1', BY, id, 0))
      await collect(() => keyring.create('a1', BY, { ...WANTED, models: [id] }))
    }
    await keyring.revoke('a1', BY, row.id)
    for (const secret of [key, next]) {
      await collect(() => keys.verify(`Bearer ${secret.reveal()}`, undefined))
      await collect(() => keys.verify(undefined, secret.reveal()))
      await collect(() => keys.verify(secret.reveal(), undefined))
    }

    expect(failures).toHaveLength(14)
    for (const failure of failures) {
      const error = failure instanceof Error ? failure : new Error('not an error')
      const prints = [String(failure), error.stack, JSON.stringify(failure), inspect(failure, { depth: null, showHidden: true })]
      for (const secret of [key, next]) expect(prints.join('\n')).not.toContain(secret.reveal().slice(7, -6))
      if (failure instanceof Failure) expect(Object.keys(ERRORS)).toContain(failure.code)
    }
  })
})
