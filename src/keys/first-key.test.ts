/** The operator can always come in, and nobody else does. */
import { describe, expect, it } from 'vitest'
import type { Caller } from '../core/call.ts'
import type { AccountRow, KeyRow, Store } from '../core/store.ts'
import { ensureFirstKey, OPERATOR_ACCOUNT, OPERATOR_PLAN } from './first-key.ts'
import { standing } from './keys.fixture.ts'
import { Keys } from './keys.ts'

const { clock } = standing()
const CHOSEN = 'chosen-by-the-operator'

type Needed = 'account' | 'insertAccount' | 'replaceAccount' | 'keyByHash' | 'key' | 'countKeys' | 'insertKey' | 'replaceKey' | 'touchKeys'

/** Accounts and keys in memory, with the guarantees of the store suite; money never comes into it. */
class MemoryStore implements Pick<Store, Needed> {
  readonly accounts = new Map<string, AccountRow>()
  readonly keys = new Map<string, KeyRow>()

  account = (id: string) => Promise.resolve(this.accounts.get(id) ?? null)
  insertAccount = (row: AccountRow) => Promise.resolve(!this.accounts.has(row.id) && !!this.accounts.set(row.id, row))
  replaceAccount = (row: AccountRow) => Promise.resolve(void (this.accounts.has(row.id) && this.accounts.set(row.id, row)))
  keyByHash = (hash: string) => Promise.resolve([...this.keys.values()].find((row) => row.hash === hash) ?? null)
  key = (id: string) => Promise.resolve(this.keys.get(id) ?? null)
  countKeys = () => Promise.resolve(this.keys.size)
  insertKey = (row: KeyRow) => Promise.resolve(!this.keys.has(row.id) && !!this.keys.set(row.id, row))
  replaceKey = (row: KeyRow) => Promise.resolve(void (this.keys.has(row.id) && this.keys.set(row.id, row)))
  touchKeys = () => Promise.resolve()
}

const start = (store: MemoryStore, fromEnv: string | null = null) => ensureFirstKey(store, { fromEnv, clock })

async function comesIn(store: MemoryStore, key: string): Promise<Caller | null> {
  try {
    return await new Keys(store, clock).verify(`Bearer ${key}`, undefined)
  } catch {
    return null
  }
}

describe('the first start', () => {
  it('makes the account of the operator, without a bottom, and shows a key of the administrator once', async () => {
    const store = new MemoryStore()

    const key = await start(store)
    const again = await start(store)

    expect(again).toBeNull()
    expect(await comesIn(store, key?.reveal() ?? '')).toMatchObject({ accountId: OPERATOR_ACCOUNT, scope: 'ADMIN', plan: OPERATOR_PLAN })
    expect(await store.account(OPERATOR_ACCOUNT)).toMatchObject({ creditNano: null })
    expect(store.keys.size).toBe(1)
  })

  it('keeps the hash of the key, not the key', async () => {
    const store = new MemoryStore()

    const key = await start(store)

    const kept = JSON.stringify([...store.keys.values()])
    expect(kept).toContain(key?.hash)
    expect(kept).not.toContain(key?.reveal().slice(7, -6))
  })

  it('of two processes at the same moment leaves one key, shown by the one that made it', async () => {
    const store = new MemoryStore()

    const keys = await Promise.all([start(store), start(store)])

    const shown = keys.filter((key) => key !== null)
    expect(shown).toHaveLength(1)
    expect(await comesIn(store, shown[0]?.reveal() ?? '')).not.toBeNull()
  })
})

describe('a key from the environment', () => {
  it('comes in as the administrator, is never shown, and no other is made', async () => {
    const store = new MemoryStore()

    const shown = await start(store, CHOSEN)
    await start(store, CHOSEN)

    expect(shown).toBeNull()
    expect(await comesIn(store, CHOSEN)).toMatchObject({ accountId: OPERATOR_ACCOUNT, scope: 'ADMIN' })
    expect(store.keys.size).toBe(1)
  })

  it('takes the place of the one that was there at an earlier start', async () => {
    const store = new MemoryStore()
    await start(store, CHOSEN)

    await start(store, `${CHOSEN}-2`)

    expect(await comesIn(store, CHOSEN)).toBeNull()
    expect(await comesIn(store, `${CHOSEN}-2`)).not.toBeNull()
  })

  it('is valid again though it was revoked, expired or of a smaller scope', async () => {
    const store = new MemoryStore()
    await start(store, CHOSEN)
    for (const [id, row] of store.keys) store.keys.set(id, { ...row, revokedAt: 1, expiresAt: 2, scope: 'INFERENCE' })

    await start(store, CHOSEN)

    expect(await comesIn(store, CHOSEN)).toMatchObject({ scope: 'ADMIN' })
  })

  it('opens the account of the operator again where it was closed', async () => {
    const store = new MemoryStore()
    await start(store, CHOSEN)
    for (const [id, row] of store.accounts) store.accounts.set(id, { ...row, closedAt: 1 })
    expect(await comesIn(store, CHOSEN)).toBeNull()

    await start(store, CHOSEN)

    expect(await comesIn(store, CHOSEN)).not.toBeNull()
  })

  it('may be the one that was generated at the first start; an earlier one from the environment then ends', async () => {
    const store = new MemoryStore()
    const generated = (await start(store))?.reveal() ?? ''
    await start(store, CHOSEN)

    await start(store, generated)

    expect(await comesIn(store, generated)).not.toBeNull()
    expect(await comesIn(store, CHOSEN)).toBeNull()
  })
})
