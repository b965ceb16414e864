/** What an older release wrote is there after an upgrade, under the names that it has from then on. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Kysely, SqliteDialect } from 'kysely'
import { Migrator } from 'kysely/migration'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { dayOf } from '../../../core/book.ts'
import { forKysely, openDatabase } from '../database.ts'
import { openSqliteStore } from '../sqlite-store.ts'
import { provider } from './provider.ts'

let folder = ''
const file = () => join(folder, 'rialto.db')

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rialto-upgrade-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const AT = 1_763_880_000_123
const LATER = AT + 86_400_000

/** A database as the first release made it: two accounts, a payment, two charges on two days, a run that was free. */
async function makeFirst(): Promise<void> {
  const db = await openDatabase(file())
  const kysely = new Kysely({ dialect: new SqliteDialect({ database: forKysely(db) }) })
  await new Migrator({ db: kysely, provider }).migrateTo('0001-first')
  db.exec(`
    insert into account (id, name, plan, credit_nano, created_at) values ('a1', 'Ada', 'paid', 500, 1), ('operator', 'Op', 'operator', null, 2);
    insert into api_key (id, account_id, hash, last6, scope, description, spend_cap_nano, created_at, expires_at, revoked_at)
      values ('k1', 'a1', 'h1', 'abc123', 'INFERENCE', 'laptop', 900, 3, 4, null), ('k2', 'operator', 'h2', 'def456', 'ADMIN', '', null, 3, null, 5);
    insert into book (seq, id, balance) values (1, 'bank', -1000), (2, 'account:a1', 880), (3, 'revenue', 120);
    insert into transfer (seq, id, at, from_book, to_book, amount, kind) values
      (1, 'topup:p1', ${AT}, 1, 2, 1000, 'topup'), (2, 'settle:r1', ${AT}, 2, 3, 100, 'settle'),
      (3, 'settle:r2', ${LATER}, 2, 3, 20, 'settle'), (4, 'settle:r3', ${LATER}, null, null, 0, 'settle');
    insert into usage_kind (seq, account_id, key_id, model, modality, unit, price_nano) values
      (1, 'a1', 'k1', 'm', 'text', 'inputToken', 10), (2, 'a1', 'k1', 'm', 'text', 'outputToken', 20), (3, 'operator', 'k2', 'm', 'text', 'outputToken', 0);
    insert into usage_record (transfer_seq, line, kind_seq, count, amount, execution_ms) values
      (2, 0, 1, 4, 40, 250), (2, 1, 2, 3, 60, 250), (3, 0, 2, 1, 20, 90), (4, 0, 3, 7, 0, 30);
    insert into key_spend (key_id, spent) values ('k1', 120);
    insert into refusal (at, account_id, key_id, model, kind) values (9, 'a1', 'k1', 'm', 'RPM')`)
  await kysely.destroy()
  db.close()
}

describe('a database of the first release', () => {
  it('keeps accounts, keys and refusals; caps are for the lifetime, in dollars', async () => {
    await makeFirst()

    const store = await openSqliteStore(file())
    await store.migrate()

    expect(await store.account('a1')).toMatchObject({ name: 'Ada', creditNano: 500n, diemAllowanceNano: 0n, wallet: null, closedAt: null })
    expect(await store.key('k1')).toEqual({
      id: 'k1',
      accountId: 'a1',
      hash: 'h1',
      last6: 'abc123',
      scope: 'INFERENCE',
      description: 'laptop',
      caps: { period: 'LIFETIME', usd: 900n, diem: null },
      capVcuNano: null,
      modelPrivacy: 'ALL',
      models: null,
      createdAt: 3,
      expiresAt: 4,
      revokedAt: null,
      lastUsedAt: null,
    })
    expect(await store.key('k2')).toMatchObject({ revokedAt: 5, caps: { usd: null } })
    expect(await store.refusals('a1', 9)).toHaveLength(1)
    await store.close()
  })

  it('keeps its books, and has usage by time, daily sums and key sums made of the rows there are', async () => {
    await makeFirst()

    const store = await openSqliteStore(file())
    await store.migrate()

    expect(await store.books()).toEqual([
      { id: 'account:a1', currency: 'USD', balance: 880n },
      { id: 'bank', currency: 'USD', balance: -1_000n },
      { id: 'revenue', currency: 'USD', balance: 120n },
    ])
    expect(await store.usageOf('r1')).toMatchObject([
      { at: AT, accountId: 'a1', keyId: 'k1', line: { unit: 'inputToken', count: 4, amount: 40n, currency: 'USD' }, executionMs: 250 },
      { line: { unit: 'outputToken', count: 3, amount: 60n, currency: 'USD' } },
    ])
    expect(await store.usageOf('r3')).toMatchObject([{ accountId: 'operator', line: { count: 7, amount: 0n } }])
    const filter = { accountId: 'a1', currency: null, from: null, to: null }
    expect((await store.usage(filter, 'desc', 0, 9)).map(({ requestId }) => requestId)).toEqual(['r2', 'r1', 'r1'])
    expect(await store.usageDays('a1', 0, 99_999)).toMatchObject([
      { day: dayOf(AT), unit: 'inputToken', count: 4, amount: 40n, requests: 1 },
      { day: dayOf(AT), unit: 'outputToken', count: 3, amount: 60n, requests: 1 },
      { day: dayOf(LATER), unit: 'outputToken', count: 1, amount: 20n, requests: 1 },
    ])
    expect([await store.spentByKey('k1', 0), await store.spentByKey('k1', dayOf(LATER))]).toEqual([
      { usd: 120n, diem: 0n },
      { usd: 20n, diem: 0n },
    ])
    expect((await store.movements('a1', 0, 9)).map(({ id }) => id)).toEqual(['settle:r2:USD', 'settle:r1:USD', 'topup:bank:p1'])
    expect((await store.tally()).differences).toEqual([])
    await store.close()
  })

  it('writes nothing twice that it had written before, and goes on where it was', async () => {
    await makeFirst()
    const store = await openSqliteStore(file())
    await store.migrate()
    const line = { unit: 'outputToken', count: 1, priceNano: 20, amount: 20n, currency: 'USD' } as const
    const bill = {
      kind: 'settle',
      at: LATER,
      accountId: 'a1',
      keyId: 'k1',
      model: 'm',
      modality: 'text',
      executionMs: 1,
      diemDay: dayOf(LATER),
    } as const

    await store.commit([
      { id: 'topup:bank:p1', at: LATER, currency: 'USD', fromBook: 'bank', toBook: 'account:a1', amount: 1_000n, kind: 'topup' },
      ...['r2', 'r3', 'r4'].map((requestId) => ({ ...bill, requestId, lines: [line] })),
    ])
    await store.migrate()

    expect(await store.balance('account:a1')).toBe(860n)
    expect((await store.tally()).differences).toEqual([])
    const steps = new DatabaseSync(file(), { readOnly: true })
    expect(steps.prepare('select name from kysely_migration order by name').all()).toMatchObject([
      { name: '0001-first' },
      { name: '0002-currencies' },
    ])
    steps.close()
    await store.close()
  })
})
