/** What every store guarantees, whatever is behind it. A new dialect is done when it passes this. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { total } from '../core/money.ts'
import type { AccountRow, Bill, KeyRow, Store, Transfer } from '../core/store.ts'
import { ACCOUNT, KEY, DAY, NO_CAPS, LARGE, topUp, bill, mixed, rowsOf } from './suite-rows.fixture.ts'
import { describeRecords, describeUsage } from './suite-usage.fixture.ts'

/** `make` opens an empty store; `again`, where the data outlives a close, opens the last one once more. */
export type StoreMaker = { make(): Promise<Store>; again?(): Promise<Store>; dispose?(): Promise<void> }

export function describeStore(name: string, maker: StoreMaker): void {
  describe(`${name} as a store`, () => {
    let store: Store

    beforeEach(async () => {
      store = await maker.make()
      await store.migrate()
    })

    afterEach(async () => {
      await store.close()
      await maker.dispose?.()
    })

    describeAccountsAndKeys(() => store)
    describeMoney(() => store)
    describeUsage(() => store)
    describeRecords(() => store)

    it('answers a ping, migrates again without a change, and closes twice', async () => {
      await store.insertAccount(ACCOUNT)

      await store.migrate()
      await store.ping()

      expect(await store.account('a1')).toEqual(ACCOUNT)
      await store.close()
      await store.close()
      await expect(store.ping()).rejects.toThrow()
    })

    it.skipIf(!maker.again)('has everything after a close and an open, and writes nothing twice then', async () => {
      await store.insertAccount(ACCOUNT)
      await store.insertKey(KEY)
      await store.commit([bill('r1', LARGE)])
      await store.close()

      store = (await maker.again?.()) ?? store
      await store.migrate()
      await store.commit([bill('r1', LARGE)])

      expect(await store.account('a1')).toEqual(ACCOUNT)
      expect(await store.keyByHash(KEY.hash)).toEqual(KEY)
      expect(await store.balance('revenue')).toBe(LARGE)
      expect(await store.usageOf('r1')).toHaveLength(2)
    })
  })
}

function describeAccountsAndKeys(store: () => Store): void {
  it('gives an account back as it was written, and nothing for an unknown id', async () => {
    const operator: AccountRow = { ...ACCOUNT, id: 'operator', creditNano: null, wallet: null, closedAt: 9 }
    await store().insertAccount(ACCOUNT)
    await store().insertAccount(operator)

    expect(await store().account('a1')).toEqual(ACCOUNT)
    expect(await store().account('operator')).toEqual(operator)
    expect(await store().account('a2')).toBeNull()
  })

  it('keeps the account that is there when the same id comes again', async () => {
    await store().insertAccount(ACCOUNT)

    const again = await store().insertAccount({ ...ACCOUNT, name: 'Eve', creditNano: null })

    expect(again).toBe(false)
    expect(await store().account('a1')).toEqual(ACCOUNT)
  })

  it('lets no two accounts share a wallet, and any number have none', async () => {
    const inserted = [
      await store().insertAccount(ACCOUNT),
      await store().insertAccount({ ...ACCOUNT, id: 'a2' }),
      await store().insertAccount({ ...ACCOUNT, id: 'a3', wallet: null }),
      await store().insertAccount({ ...ACCOUNT, id: 'a4', wallet: null }),
    ]

    expect(inserted).toEqual([true, false, true, true])
    expect(await store().accountOfWallet('0xa1')).toEqual(ACCOUNT)
    expect(await store().accountOfWallet('0xa2')).toBeNull()
    expect(await store().accountsWithWallet()).toEqual([ACCOUNT])
  })

  it('replaces all of an account, lists accounts in the order of their ids, and invents none', async () => {
    const ids = ['a3', 'a1', 'a2']
    for (const id of ids) await store().insertAccount({ ...ACCOUNT, id, wallet: null })
    const changed: AccountRow = { ...ACCOUNT, name: 'Eve', plan: 'free', creditNano: null, diemAllowanceNano: 0n, closedAt: 8 }

    await store().replaceAccount(changed)
    await store().replaceAccount({ ...changed, id: 'a9' })

    expect(await store().account('a1')).toEqual(changed)
    expect((await store().accounts(null, 2)).map(({ id }) => id)).toEqual(['a1', 'a2'])
    expect((await store().accounts('a2', 2)).map(({ id }) => id)).toEqual(['a3'])
  })

  it('finds a key by its hash only, with every field as it was written', async () => {
    const bare: KeyRow = {
      ...KEY,
      id: 'k2',
      hash: 'cd'.repeat(32),
      scope: 'ADMIN',
      caps: NO_CAPS,
      models: null,
      expiresAt: null,
      revokedAt: 7,
    }
    await store().insertAccount(ACCOUNT)

    expect(await store().countKeys()).toBe(0)
    expect(await store().insertKey(KEY)).toBe(true)
    expect(await store().insertKey(bare)).toBe(true)

    expect(await store().countKeys()).toBe(2)
    expect(await store().keyByHash(KEY.hash)).toEqual(KEY)
    expect(await store().keyByHash(bare.hash)).toEqual(bare)
    expect(await store().keyByHash('k1')).toBeNull()
  })

  it('leaves a key alone whose id comes again, and refuses a second key with the same hash', async () => {
    await store().insertAccount(ACCOUNT)
    await store().insertKey(KEY)

    expect(await store().insertKey({ ...KEY, hash: 'cd'.repeat(32) })).toBe(false)
    await expect(store().insertKey({ ...KEY, id: 'k2' })).rejects.toThrow()

    expect(await store().countKeys()).toBe(1)
    expect(await store().keyByHash(KEY.hash)).toEqual(KEY)
  })

  it('refuses a key of an account that is not there', async () => {
    await expect(store().insertKey(KEY)).rejects.toThrow()
  })

  it('replaces all of a key but its id, so that the old hash finds nothing', async () => {
    const rotated: KeyRow = { ...KEY, hash: 'ef'.repeat(32), last6: 'zzz999', scope: 'ADMIN', caps: NO_CAPS, revokedAt: 9 }
    await store().insertAccount(ACCOUNT)
    await store().insertKey(KEY)

    await store().replaceKey(rotated)
    await store().replaceKey({ ...rotated, id: 'k9', hash: '01'.repeat(32) })

    expect(await store().keyByHash(KEY.hash)).toBeNull()
    expect(await store().keyByHash(rotated.hash)).toEqual(rotated)
    expect(await store().countKeys()).toBe(1)
  })

  it('lists the keys of an account that are not revoked, newest first', async () => {
    await store().insertAccount(ACCOUNT)
    for (const [i, revokedAt] of [null, 5, null].entries())
      await store().insertKey({ ...KEY, id: `k${i}`, hash: `${i}`.repeat(64), createdAt: i, revokedAt })

    expect((await store().keysOf('a1')).map(({ id }) => id)).toEqual(['k2', 'k0'])
    expect(await store().keysOf('a2')).toEqual([])
  })

  it('moves the last use of a key forward only, and keeps it when the key is replaced', async () => {
    await store().insertAccount(ACCOUNT)
    await store().insertKey(KEY)

    await store().touchKeys([{ keyId: 'k1', at: 9 }])
    await store().touchKeys([
      { keyId: 'k1', at: 5 },
      { keyId: 'k7', at: 5 },
    ])
    await store().replaceKey({ ...KEY, lastUsedAt: 1 })

    expect(await store().key('k1')).toEqual({ ...KEY, lastUsedAt: 9 })
    expect(await store().key('k7')).toBeNull()
  })
}

function describeMoney(store: () => Store): void {
  it('moves money between books exactly, beyond what a float can hold', async () => {
    await store().commit([topUp('p1', LARGE), bill('r1', 1n)])

    expect(await store().balance('account:a1')).toBe(LARGE - 1n)
    expect(await store().balance('bank')).toBe(-LARGE)
    expect(await store().balance('revenue')).toBe(1n)
    expect(await store().balance('account:a2')).toBe(0n)
  })

  it('gives the usage of a request back line by line, in order, as it was written', async () => {
    const written = bill('r1', 1_000n)

    await store().commit([bill('r0', 5n), written])

    expect(await store().usageOf('r1')).toEqual(rowsOf(written))
    expect(await store().usageOf('r2')).toEqual([])
  })

  it('writes a transfer id once, with its usage rows, within a batch and across batches', async () => {
    await store().commit([bill('r1', 10n), bill('r1', 10n), bill('r2', 7n)])
    await store().commit([bill('r1', 999n), bill('r3', 1n)])

    expect(await store().balance('revenue')).toBe(18n)
    expect(await store().spentByKey('k1', 0)).toEqual({ usd: 18n, diem: 0n })
    expect(await store().usageOf('r1')).toEqual(rowsOf(bill('r1', 10n)))
  })

  it('writes the usage of a run that cost nothing once, and moves nothing', async () => {
    const free = bill('r1', 0n)

    await store().commit([free])
    await store().commit([free])

    expect(await store().usageOf('r1')).toEqual(rowsOf(free))
    expect(await store().balance('revenue')).toBe(0n)
    expect(await store().spentByKey('k1', 0)).toEqual({ usd: 0n, diem: 0n })
  })

  it('adds up what each key spent', async () => {
    await store().commit([bill('r1', 10n), bill('r2', 20n, 'k2'), bill('r3', 30n)])

    expect(await store().spentByKey('k1', 0)).toEqual({ usd: 40n, diem: 0n })
    expect(await store().spentByKey('k2', 0)).toEqual({ usd: 20n, diem: 0n })
    expect(await store().spentByKey('k3', 0)).toEqual({ usd: 0n, diem: 0n })
  })

  it('writes nothing of a batch when one of its transfers is impossible', async () => {
    const impossible = topUp('p1', -1n)

    await expect(store().commit([bill('r1', 10n), impossible])).rejects.toThrow()

    expect(await store().balance('revenue')).toBe(0n)
    expect(await store().usageOf('r1')).toEqual([])
    await store().commit([bill('r0', 1n, 'k2'), bill('r1', 10n)])
    expect(await store().balance('revenue')).toBe(11n)
    expect(await store().usageOf('r1')).toEqual(rowsOf(bill('r1', 10n)))
  })

  it('writes batches of any size whole and in order, also where a part of them is there already', async () => {
    const sizes = [1, 7, 8, 9, 16, 17, 40]
    const bills = sizes.flatMap((size) => Array.from({ length: size }, (_, i) => bill(`s${size}-${i}`, BigInt(size + i), `k${i % 3}`)))

    for (const size of sizes) await store().commit(bills.filter(({ requestId }) => requestId.startsWith(`s${size}-`)))
    const news = { ...bill('new', 5n, 'k9'), accountId: 'a9', model: 'm9' }
    await store().commit([...bills.slice(20, 50), news, ...bills.slice(0, 3)])

    for (const one of [...bills, news]) expect(await store().usageOf(one.requestId)).toEqual(rowsOf(one))
    expect(await store().balance('revenue')).toBe(total(bills.flatMap(({ lines }) => lines)) + 5n)
    expect(await store().balance('account:a9')).toBe(-5n)
    expect(await store().spentByKey('k9', 0)).toEqual({ usd: 5n, diem: 0n })
  })

  it('tells usage apart by account, key, model, modality, unit, price and currency', async () => {
    const one = bill('r0', 100n)
    const [line] = one.lines
    const others: Partial<Bill>[] = [
      { accountId: 'a2' },
      { keyId: 'k2' },
      { model: 'm2' },
      { modality: 'embedding' },
      { lines: line ? [{ ...line, unit: 'cacheReadToken', amount: 100n }] : [] },
      { lines: line ? [{ ...line, priceNano: 31, amount: 100n }] : [] },
      { lines: line ? [{ ...line, currency: 'DIEM', amount: 100n }] : [] },
    ]
    const bills = [one, ...others.map((change, i) => ({ ...one, ...change, requestId: `r${i + 1}` }))]

    await store().commit(bills)

    for (const each of bills) expect(await store().usageOf(each.requestId)).toEqual(rowsOf(each))
  })

  it('moves what each currency paid between its own books, and writes the run once', async () => {
    const split = mixed('r1')

    await store().commit([split])
    await store().commit([bill('r0', 3n), split, bill('r2', 4n)])

    expect(await store().usageOf('r1')).toEqual(rowsOf(split))
    expect(await store().books()).toEqual([
      { id: 'account:a1', currency: 'USD', balance: -47n },
      { id: 'bundled:a1', currency: 'BUNDLED_CREDITS', balance: -30n },
      { id: `diem:a1:${DAY}`, currency: 'DIEM', balance: -20n },
      { id: 'revenue', currency: 'USD', balance: 47n },
      { id: 'revenue:bundled', currency: 'BUNDLED_CREDITS', balance: 30n },
      { id: 'revenue:diem', currency: 'DIEM', balance: 20n },
    ])
    expect(await store().spentByKey('k1', 0)).toEqual({ usd: 77n, diem: 20n })
    expect((await store().tally()).differences).toEqual([])
  })

  it('knows what allowances brought into a book, and which transfers there are', async () => {
    const allowance: Transfer = {
      ...topUp('x', 70n),
      id: 'epoch:a1:5',
      currency: 'DIEM',
      fromBook: 'diem:mint',
      toBook: 'diem:a1:5',
      kind: 'allowance',
    }

    await store().commit([allowance, { ...allowance, id: 'epoch:a1:5:90', amount: 20n }, { ...allowance, id: 'grant:1', kind: 'grant' }])

    expect(await store().minted('diem:a1:5')).toBe(90n)
    expect(await store().balance('diem:a1:5')).toBe(160n)
    expect([await store().hasTransfer('epoch:a1:5:90'), await store().hasTransfer('epoch:a1:6')]).toEqual([true, false])
  })

  it('adds up what keys spent from a day on, by the day that it was held on', async () => {
    await store().commit([
      { ...bill('r1', 10n), diemDay: DAY - 1 },
      { ...bill('r2', 5n), diemDay: DAY },
      { ...bill('r3', 7n, 'k2'), diemDay: DAY },
      { ...bill('r4', 9n, 'k3'), accountId: 'a2' },
    ])

    expect(await store().spentByKey('k1', DAY)).toEqual({ usd: 5n, diem: 0n })
    expect(await store().spentByKeys('a1', DAY)).toEqual(new Map(['k1', 'k2'].map((key, i) => [key, { usd: i === 0 ? 5n : 7n, diem: 0n }])))
    expect(await store().spentByKeys('a1', 0)).toEqual(
      new Map([
        ['k1', { usd: 15n, diem: 0n }],
        ['k2', { usd: 7n, diem: 0n }],
      ]),
    )
  })

  it('takes commits that overlap, and one of nothing', async () => {
    const batches = Array.from({ length: 20 }, (_, i) => [bill(`r${i}`, 1n), bill(`r${i + 1}`, 1n)])

    await Promise.all([...batches.map((batch) => store().commit(batch)), store().commit([])])

    expect(await store().balance('revenue')).toBe(21n)
    expect(await store().balance('account:a1')).toBe(-21n)
  })
}
