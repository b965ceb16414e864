/** What every store guarantees, whatever is behind it. A new dialect is done when it passes this. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { total } from '../core/money.ts'
import type { AccountRow, Bill, KeyRow, RefusalRow, Store, Transfer, UsageRow } from '../core/store.ts'

/** `make` opens an empty store; `again`, where the data outlives a close, opens the last one once more. */
export type StoreMaker = { make(): Promise<Store>; again?(): Promise<Store>; dispose?(): Promise<void> }

const ACCOUNT: AccountRow = { id: 'a1', name: 'Ada', plan: 'paid', creditNano: 5_000_000_000n, createdAt: 1_763_880_000_123 }

const KEY: KeyRow = {
  id: 'k1',
  accountId: 'a1',
  hash: 'ab'.repeat(32),
  last6: 'abc123',
  scope: 'INFERENCE',
  description: 'laptop',
  spendCapNano: 2n ** 60n,
  createdAt: 1_763_880_000_123,
  expiresAt: 1_795_416_000_000,
  revokedAt: null,
}

/** More than a float holds exactly. */
const LARGE = 2n ** 53n + 1n

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
    describeRefusals(() => store)

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
    const operator: AccountRow = { ...ACCOUNT, id: 'operator', creditNano: null }
    await store().insertAccount(ACCOUNT)
    await store().insertAccount(operator)

    expect(await store().account('a1')).toEqual(ACCOUNT)
    expect(await store().account('operator')).toEqual(operator)
    expect(await store().account('a2')).toBeNull()
  })

  it('keeps the account that is there when the same id comes again', async () => {
    await store().insertAccount(ACCOUNT)

    await store().insertAccount({ ...ACCOUNT, name: 'Eve', creditNano: null })

    expect(await store().account('a1')).toEqual(ACCOUNT)
  })

  it('finds a key by its hash only, with every field as it was written', async () => {
    const bare: KeyRow = { ...KEY, id: 'k2', hash: 'cd'.repeat(32), scope: 'ADMIN', spendCapNano: null, expiresAt: null, revokedAt: 7 }
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
    const rotated: KeyRow = { ...KEY, hash: 'ef'.repeat(32), last6: 'zzz999', scope: 'ADMIN', spendCapNano: null, revokedAt: 9 }
    await store().insertAccount(ACCOUNT)
    await store().insertKey(KEY)

    await store().replaceKey(rotated)
    await store().replaceKey({ ...rotated, id: 'k9', hash: '01'.repeat(32) })

    expect(await store().keyByHash(KEY.hash)).toBeNull()
    expect(await store().keyByHash(rotated.hash)).toEqual(rotated)
    expect(await store().countKeys()).toBe(1)
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
    expect(await store().spentByKey('k1')).toBe(18n)
    expect(await store().usageOf('r1')).toEqual(rowsOf(bill('r1', 10n)))
  })

  it('writes the usage of a run that cost nothing once, and moves nothing', async () => {
    const free = bill('r1', 0n)

    await store().commit([free])
    await store().commit([free])

    expect(await store().usageOf('r1')).toEqual(rowsOf(free))
    expect(await store().balance('revenue')).toBe(0n)
    expect(await store().spentByKey('k1')).toBe(0n)
  })

  it('adds up what each key spent', async () => {
    await store().commit([bill('r1', 10n), bill('r2', 20n, 'k2'), bill('r3', 30n)])

    expect(await store().spentByKey('k1')).toBe(40n)
    expect(await store().spentByKey('k2')).toBe(20n)
    expect(await store().spentByKey('k3')).toBe(0n)
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
    const news = { ...bill('new', 5n, 'k9'), fromBook: 'account:a9', accountId: 'a9', model: 'm9' }
    await store().commit([...bills.slice(20, 50), news, ...bills.slice(0, 3)])

    for (const one of [...bills, news]) expect(await store().usageOf(one.requestId)).toEqual(rowsOf(one))
    expect(await store().balance('revenue')).toBe(total(bills.flatMap(({ lines }) => lines)) + 5n)
    expect(await store().balance('account:a9')).toBe(-5n)
    expect(await store().spentByKey('k9')).toBe(5n)
  })

  it('tells usage apart by account, key, model, modality, unit and price', async () => {
    const one = bill('r0', 100n)
    const [line] = one.lines
    const others: Partial<Bill>[] = [
      { accountId: 'a2' },
      { keyId: 'k2' },
      { model: 'm2' },
      { modality: 'embedding' },
      { lines: line ? [{ ...line, unit: 'cacheReadToken', amount: 100n }] : [] },
      { lines: line ? [{ ...line, priceNano: 31, amount: 100n }] : [] },
    ]
    const bills = [one, ...others.map((change, i) => ({ ...one, ...change, requestId: `r${i + 1}` }))]

    await store().commit(bills)

    for (const each of bills) expect(await store().usageOf(each.requestId)).toEqual(rowsOf(each))
  })

  it('takes commits that overlap, and one of nothing', async () => {
    const batches = Array.from({ length: 20 }, (_, i) => [bill(`r${i}`, 1n), bill(`r${i + 1}`, 1n)])

    await Promise.all([...batches.map((batch) => store().commit(batch)), store().commit([])])

    expect(await store().balance('revenue')).toBe(21n)
    expect(await store().balance('account:a1')).toBe(-21n)
  })
}

function describeRefusals(store: () => Store): void {
  it('lists the refusals of one account, the latest first, up to the limit', async () => {
    await store().insertRefusals([refusal(1), refusal(2, 'a2'), refusal(3)])
    await store().insertRefusals([])
    await store().insertRefusals([refusal(4)])

    expect(await store().refusals('a1', 2)).toEqual([refusal(4), refusal(3)])
    expect(await store().refusals('a1', 50)).toHaveLength(3)
    expect(await store().refusals('a3', 50)).toEqual([])
  })
}

const refusal = (at: number, accountId = 'a1'): RefusalRow => ({ at, accountId, keyId: 'k1', model: 'm', kind: 'RPM' })

function topUp(paymentId: string, amount: bigint): Transfer {
  return { id: `topup:${paymentId}`, at: 1_763_880_000_123, fromBook: 'bank', toBook: 'account:a1', amount, kind: 'topup' }
}

/** The bill of a text run with two lines that sum up to the amount. */
function bill(requestId: string, amount: bigint, keyId = 'k1'): Bill {
  const input = amount / 3n
  return {
    kind: 'settle',
    requestId,
    at: 1_763_880_000_123,
    fromBook: 'account:a1',
    toBook: 'revenue',
    amount,
    accountId: 'a1',
    keyId,
    model: 'm',
    modality: 'text',
    executionMs: 250,
    lines: [
      { unit: 'inputToken', count: 12, priceNano: 30, amount: input },
      { unit: 'outputToken', count: 12, priceNano: 30, amount: amount - input },
    ],
  }
}

function rowsOf({ requestId, at, accountId, keyId, model, modality, executionMs, lines }: Bill): UsageRow[] {
  return lines.map((line) => ({ requestId, at, accountId, keyId, model, modality, line, executionMs }))
}
