import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { AccountRow, Store } from '../../core/store.ts'
import { openSqliteStore } from './sqlite-store.ts'

const ADA: AccountRow = {
  id: 'ada',
  name: 'Ada',
  plan: 'default',
  creditNano: 5n,
  diemAllowanceNano: 7n,
  wallet: '0xab',
  createdAt: 1,
  closedAt: null,
}

let store: Store
beforeEach(async () => {
  store = await openSqliteStore(':memory:')
  await store.migrate()
  await store.insertAccount(ADA)
})
afterEach(() => store.close())

describe('a change of some fields of an account', () => {
  it('leaves the others as they are, nulls among what can be said', async () => {
    const changed = await store.changeAccount('ada', { creditNano: null, closedAt: 9 })
    const again = await store.changeAccount('ada', { wallet: null, name: 'Ada L.', diemAllowanceNano: 0n })

    expect(changed).toEqual({ ...ADA, creditNano: null, closedAt: 9 })
    expect(again).toEqual({ ...ADA, creditNano: null, closedAt: 9, wallet: null, name: 'Ada L.', diemAllowanceNano: 0n })
    expect(await store.account('ada')).toEqual(again)
  })

  it('of nothing changes nothing, and of an account that is not there gives null', async () => {
    expect(await store.changeAccount('ada', {})).toEqual(ADA)
    expect(await store.changeAccount('bob', { name: 'Bob' })).toBeNull()
    expect(await store.changeAccount('bob', {})).toBeNull()
  })

  it('that come together lose nothing of each other', async () => {
    await Promise.all([
      store.changeAccount('ada', { name: 'A' }),
      store.changeAccount('ada', { diemAllowanceNano: 3n }),
      store.changeAccount('ada', { plan: 'partner' }),
    ])

    expect(await store.account('ada')).toEqual({ ...ADA, name: 'A', diemAllowanceNano: 3n, plan: 'partner' })
  })

  it('rejects where the wallet is another account’s', async () => {
    await store.insertAccount({ ...ADA, id: 'bob', wallet: null })

    await expect(store.changeAccount('bob', { wallet: '0xab' })).rejects.toThrow()

    expect(await store.account('bob')).toMatchObject({ wallet: null })
  })
})

it('a movement is found by its id, as it is listed', async () => {
  const transfer = {
    id: 'grant:i1',
    at: 5,
    currency: 'USD',
    fromBook: 'grants',
    toBook: 'account:ada',
    amount: 2n ** 53n + 1n,
    kind: 'grant',
  } as const
  await store.commit([transfer])

  expect(await store.movement('grant:i1')).toEqual({ ...transfer, seq: 1, requestId: null, model: null })
  expect([await store.movement('grant:i1')]).toEqual(await store.allMovements(0, 10))
  expect(await store.movement('grant:i2')).toBeNull()
})
