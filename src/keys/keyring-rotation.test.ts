/** Another secret for the same key, over the real store. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Failure } from '../core/errors.ts'
import type { Store } from '../core/store.ts'
import { openSqliteStore } from '../store/sqlite/sqlite-store.ts'
import { ensureFirstKey, ENVIRONMENT_KEY, OPERATOR_ACCOUNT } from './first-key.ts'
import { Keyring, type NewKey } from './keyring.ts'
import { accountRow, failureOf, standing, START, WANTED } from './keys.fixture.ts'
import { Keys } from './keys.ts'

const BY = 'admin'

let store: Store
let keys: Keys
let keyring: Keyring
let time: { ms: number }
beforeEach(async () => {
  store = await openSqliteStore(':memory:')
  await store.migrate()
  await store.insertAccount(accountRow())
  const standingClock = standing()
  time = standingClock.time
  keys = new Keys(store, standingClock.clock)
  keyring = keyringOver(store)
})
afterEach(async () => {
  await keys.close()
  await store.close()
})

function keyringOver(over: Store): Keyring {
  const clock = { now: () => START + time.ms, tick: () => time.ms, id: () => crypto.randomUUID() }
  return new Keyring({ store: over, clock, keys, knowsModel: () => true, admit: () => Promise.resolve() })
}

const create = (more: Partial<NewKey> = {}) => keyring.create('a1', BY, { ...WANTED, ...more })
const comesIn = async (key: { reveal(): string }) => {
  try {
    return await keys.verify(`Bearer ${key.reveal()}`, undefined)
  } catch (error) {
    return error instanceof Failure ? error.code : error
  }
}

describe('a rotation', () => {
  it('gives the same key another secret; the old one works on for the grace time and no longer', async () => {
    const { key, row } = await create({ usd: 5n })
    await comesIn(key)

    const rotated = await keyring.rotate('a1', BY, row.id, 60_000)

    expect(rotated.earlierUntil).toBe(START + 60_000)
    expect(rotated.row).toEqual({ ...row, hash: rotated.key.hash, last6: rotated.key.last6 })
    expect(await comesIn(rotated.key)).toMatchObject({ keyId: row.id, caps: { usd: 5n } })
    time.ms = 59_999
    expect(await comesIn(key)).toEqual(await comesIn(rotated.key))
    time.ms = 60_000
    expect(await comesIn(key)).toBe('AUTHENTICATION_FAILED')
    expect(await comesIn(rotated.key)).toMatchObject({ keyId: row.id })
    expect((await keyring.list('a1')).map((listed) => listed.row.id)).toEqual([row.id])
  })

  it('without a grace time ends the old secret at once', async () => {
    const { key, row } = await create()
    await comesIn(key)

    const { key: next } = await keyring.rotate('a1', BY, row.id, 0)

    expect(await comesIn(key)).toBe('AUTHENTICATION_FAILED')
    expect(await comesIn(next)).toMatchObject({ keyId: row.id })
  })

  it('while the one before has not run out ends the oldest secret at once', async () => {
    const { key: first, row } = await create()
    const { key: second } = await keyring.rotate('a1', BY, row.id, 60_000)
    const { key: third } = await keyring.rotate('a1', BY, row.id, 30_000)

    expect(await comesIn(first)).toBe('AUTHENTICATION_FAILED')
    expect(await comesIn(second)).toMatchObject({ keyId: row.id })
    expect(await comesIn(third)).toMatchObject({ keyId: row.id })
    time.ms = 30_000
    expect(await comesIn(second)).toBe('AUTHENTICATION_FAILED')
  })

  it('lets a change of the key work under its old secret too, and its expiry end both', async () => {
    const { key, row } = await create()
    const { key: next } = await keyring.rotate('a1', BY, row.id, 60_000)
    for (const either of [key, next]) await comesIn(either)

    await keyring.change('a1', BY, row.id, { usd: 1n, expiresAt: START + 500 })

    for (const either of [key, next]) expect(await comesIn(either)).toMatchObject({ keyId: row.id, caps: { usd: 1n } })
    time.ms = 500
    for (const either of [key, next]) expect(await comesIn(either)).toBe('AUTHENTICATION_FAILED')
  })

  it('leaves the old secret in force where it breaks off anywhere', async () => {
    const { key, row } = await create()
    for (const broken of ['insertAudit', 'key', 'insertKey', 'replaceKey'] as const) {
      let calls = 0
      const limit = broken === 'key' ? 1 : 0
      const failing = { ...store, [broken]: (value: never) => (calls++ < limit ? store.key(value) : Promise.reject(new Error('away'))) }

      await expect(keyringOver(failing).rotate('a1', BY, row.id, 60_000)).rejects.toThrow('away')

      keys.invalidate('all')
      expect(await comesIn(key)).toMatchObject({ keyId: row.id })
    }
    const { key: next } = await keyring.rotate('a1', BY, row.id, 60_000)
    for (const either of [key, next]) expect(await comesIn(either)).toMatchObject({ keyId: row.id })
  })

  it('lets nobody in who read a hash in the database', async () => {
    const { key, row } = await create()
    await keyring.rotate('a1', BY, row.id, 60_000)

    for (const read of [key.hash, `before:${key.hash}`]) expect(await comesIn({ reveal: () => read })).toBe('AUTHENTICATION_FAILED')
  })

  it('is refused for a key that has expired, and for the one that the environment sets', async () => {
    const { row } = await create({ expiresAt: START + 1 })
    time.ms = 1
    await ensureFirstKey(store, { fromEnv: 'chosen-by-the-operator', clock: standing().clock })

    expect(await failureOf(keyring.rotate('a1', BY, row.id, 0))).toMatchObject({ code: 'INVALID_REQUEST', param: 'id' })
    expect(await failureOf(keyring.rotate(OPERATOR_ACCOUNT, BY, ENVIRONMENT_KEY, 0))).toMatchObject({
      code: 'INVALID_REQUEST',
      message: expect.stringContaining('RIALTO_ADMIN_KEY'),
    })
  })
})
