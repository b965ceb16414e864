/** What is special about keys in SQLite; the rest is in the suite of all stores. */
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { Store } from '../../core/store.ts'
import { accountRow, keyRow } from '../../keys/keys.fixture.ts'
import { openSqliteStore } from './sqlite-store.ts'

let store: Store
beforeEach(async () => {
  store = await openSqliteStore(':memory:')
  await store.migrate()
  await store.insertAccount(accountRow())
})
afterEach(() => store.close())

it.each([0n, 1n, 2n ** 63n - 1n, 2n ** 63n, 9_999_999_999_000_000_000n])('a cap of %d nano-dollars comes back as it was', async (cap) => {
  const row = keyRow('k', { caps: { period: 'MONTH', usd: cap, diem: null }, capVcuNano: cap })

  await store.insertKey(row)
  expect(await store.key(row.id)).toEqual(row)
  const changed = { ...row, caps: { period: 'EPOCH', usd: null, diem: cap }, capVcuNano: null } as const
  await store.replaceKey(changed)

  expect(await store.keyByHash(row.hash)).toEqual(changed)
})

it('the last uses of many keys are written at once, the latest of each key, and none moves back', async () => {
  const ids = Array.from({ length: 1_200 }, (_, i) => `id-k${i}`)
  for (const [i] of ids.entries()) await store.insertKey(keyRow(`k${i}`))
  const last = async (id = '') => (await store.key(id))?.lastUsedAt

  await store.touchKeys(ids.map((keyId) => ({ keyId, at: 100 })))
  await store.touchKeys([
    { keyId: 'id-k1', at: 50 },
    { keyId: 'id-k2', at: 300 },
    { keyId: 'id-k2', at: 200 },
    { keyId: 'nothing', at: 7 },
  ])
  await store.touchKeys([])

  expect(await Promise.all([ids[0], ids[1], ids[2], ids[1_199]].map(last))).toEqual([100, 100, 300, 100])
})

it('a look-up by hash is not mistaken about what was changed meanwhile, and rejects once it is closed', async () => {
  const row = keyRow('k')
  expect(await store.keyByHash(row.hash)).toBeNull()
  await store.insertKey(row)
  expect(await store.keyByHash(row.hash)).toEqual(row)
  await store.replaceKey({ ...row, revokedAt: 5 })

  expect(await store.keyByHash(row.hash)).toMatchObject({ revokedAt: 5 })
  await store.close()
  await expect(store.keyByHash(row.hash)).rejects.toThrow()
})
