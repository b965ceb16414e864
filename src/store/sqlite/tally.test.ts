import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CURRENCIES } from '../../core/money.ts'
import type { Bill, Store, Transfer } from '../../core/store.ts'
import { openSqliteStore } from './sqlite-store.ts'

const HOUR = 3_600_000
const AT = Date.parse('2026-06-01T22:30:00Z')
const DAY = Math.floor(AT / 86_400_000)

const topUp = (id: string, amount: bigint, accountId = 'a1'): Transfer => ({
  id: `topup:bank:${id}`,
  at: AT,
  currency: 'USD',
  fromBook: 'bank',
  toBook: `account:${accountId}`,
  amount,
  kind: 'topup',
})

const bill = (id: number, more: Partial<Bill> = {}): Bill => ({
  kind: 'settle',
  requestId: `r${id}`,
  at: AT + id * HOUR,
  accountId: `a${id % 3}`,
  keyId: `k${id % 3}`,
  model: 'm',
  modality: 'text',
  executionMs: 1,
  diemDay: DAY,
  lines: CURRENCIES.slice(0, 1 + (id % 3)).flatMap((currency) => [
    { unit: 'inputToken', count: 3, priceNano: 5, amount: 15n, currency },
    { unit: 'outputToken', count: id, priceNano: 2, amount: BigInt(id * 2), currency },
  ]),
  ...more,
})

const bills = Array.from({ length: 40 }, (_, id) => bill(id))
const free = bill(99, { lines: [{ unit: 'inputToken', count: 3, priceNano: 0, amount: 0n, currency: 'USD' }] })

describe('everything added up anew', () => {
  let folder: string
  let path: string
  let store: Store

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rialto-tally-'))
    path = join(folder, 'rialto.db')
    store = await openSqliteStore(path)
    await store.migrate()
    await store.commit([topUp('p1', 2n ** 53n + 1n), ...bills, free])
  })
  afterEach(async () => {
    await store.close()
    await rm(folder, { recursive: true })
  })

  it.each(['in a file', 'in memory'])('comes to the sums that are kept, and each currency to zero, %s', async (place) => {
    const other = await openSqliteStore(':memory:')
    await other.migrate()
    await other.commit([topUp('p1', 2n ** 53n + 1n), ...bills, free])

    const { differences, leftOut, sums, usageRows, transfers } = await (place === 'in memory' ? other : store).tally()
    await other.close()

    expect([differences, leftOut]).toEqual([[], 0])
    expect(usageRows).toBe(bills.flatMap(({ lines }) => lines).length + 1)
    expect(transfers).toBe(2 + bills.reduce((sum, { lines }) => sum + lines.length / 2, 0))
    for (const currency of CURRENCIES) {
      const of = sums.filter((sum) => sum.currency === currency)
      expect(of.length).toBeGreaterThan(1)
      expect(of.reduce((sum, { balance }) => sum + balance, 0n)).toBe(0n)
      expect(of.reduce((sum, { recomputed }) => sum + recomputed, 0n)).toBe(0n)
    }
    expect(sums.find(({ books }) => books === 'bank')).toMatchObject({ count: 1, balance: -(2n ** 53n) - 1n })
    expect(sums.find(({ books }) => books === 'account:*')?.count).toBe(2)
  })

  it('of nothing is nothing', async () => {
    const empty = await openSqliteStore(':memory:')
    await empty.migrate()

    expect(await empty.tally()).toEqual({ transfers: 0, usageRows: 0, sums: [], differences: [], leftOut: 0 })
    await empty.close()
  })

  it.each([
    ['a balance', 'update book set balance = balance + 7 where id = ?', 'bank', [{ what: 'book', id: 'bank', currency: 'USD' }]],
    ['a transfer', 'update transfer set amount = amount + 7 where id = ?', 'topup:bank:p1', [{ what: 'book' }, { what: 'book' }]],
    [
      'the sum of a key',
      'update key_day set usd = usd + 7 where key_id = ? and day = (select max(day) from key_day)',
      'k2',
      [{ what: 'key', id: 'k2', currency: 'USD' }],
    ],
    [
      'the sum of a day',
      `update usage_day set amount = amount + 7 where (payer_seq, day, kind_seq) =
         (select payer_seq, day, kind_seq from usage_day join payer on payer.seq = payer_seq where payer.id = ? limit 1)`,
      'a1',
      [{ what: 'day' }, { what: 'key' }],
    ],
    [
      'a usage record',
      'update usage_record set amount = amount + 7 where line = 0 and transfer_seq = (select seq from transfer where id = ?)',
      'settle:r1:DIEM',
      [{ what: 'charge', id: 'settle:r1:DIEM', currency: 'DIEM' }, { what: 'day' }, { what: 'usage', currency: 'DIEM' }],
    ],
    [
      'a charge that is gone',
      'delete from transfer where id = ?',
      'settle:r1:DIEM',
      [{ what: 'book' }, { what: 'book' }, { what: 'usage', currency: 'DIEM' }],
    ],
    [
      'a transfer between currencies',
      "update transfer set to_book = (select seq from book where id = 'revenue:diem') where id = ?",
      'topup:bank:p1',
      [{ what: 'currency', id: 'topup:bank:p1' }, { what: 'book' }, { what: 'book' }],
    ],
  ])('says where %s was tampered with', async (_, query, parameter, differences) => {
    const db = new DatabaseSync(path)
    db.prepare(query).run(parameter)
    db.close()

    const tally = await store.tally()

    expect(tally.differences).toEqual(differences.map((one) => expect.objectContaining(one)))
    for (const { kept, recomputed } of tally.differences) expect(kept).not.toBe(recomputed)
  })

  it('names a hundred differences at most and counts the others', async () => {
    await store.commit(Array.from({ length: 130 }, (_, i) => topUp(`x${i}`, 1n, `b${i}`)))
    const db = new DatabaseSync(path)
    db.exec("update book set balance = balance + 1 where id like 'account:b%'")
    db.close()

    const { differences, leftOut } = await store.tally()

    expect([differences.length, leftOut]).toEqual([100, 30])
  })

  it('is of one moment, whatever is written meanwhile', async () => {
    for (let round = 0; round < 10; round++) await store.commit(Array.from({ length: 500 }, (_, i) => bill(1_000 + round * 500 + i)))
    const state = { done: false, written: 0 }
    const tallies = Promise.all([store.tally(), store.tally()]).finally(() => (state.done = true))
    while (!state.done) {
      await store.commit([bill(100_000 + state.written++)])
      await new Promise((resolve) => setImmediate(resolve))
    }

    for (const tally of await tallies) expect(tally.differences).toEqual([])
    expect(state.written).toBeGreaterThan(1)
  })
})
