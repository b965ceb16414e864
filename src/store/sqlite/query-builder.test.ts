/** What a start and a run cost in memory: kysely is loaded with the first query that needs it, and not before. */
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { openSqliteStore } from './sqlite-store.ts'

let folder = ''
const file = () => join(folder, 'rialto.db')

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rialto-builder-'))
  const store = await openSqliteStore(file())
  await store.migrate()
  await store.close()
})
afterEach(() => rm(folder, { recursive: true, force: true }))

it('a server that starts on a database there is and serves runs never loads kysely; one that lists accounts does', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', SERVER, file()])

  expect(stdout.split('\n')).toEqual(['runs: 0', 'lists: a1', 'some: true', ''])
})

it('queries that come at once, before it is loaded, all get their answer', async () => {
  const store = await openSqliteStore(file())
  await store.migrate()

  const answers = await Promise.all([store.accounts(null, 9), store.books(), store.audit(null, 9), store.refusals('a1', 9)])

  expect(answers).toEqual([[], [], [], []])
  await store.close()
})

it('a query of either kind is rejected once the store is closed', async () => {
  const store = await openSqliteStore(file())
  await store.migrate()
  await store.account('a1')
  await store.close()

  await expect(store.account('a1')).rejects.toThrow()
  await expect(store.balance('bank')).rejects.toThrow()
  await expect(store.accounts(null, 9)).rejects.toThrow('not open')
})

it('a database of a later release is refused, and left as it is', async () => {
  const db = new DatabaseSync(file())
  db.exec("insert into kysely_migration (name, timestamp) values ('9999-later', '')")
  const store = await openSqliteStore(file())

  await expect(store.migrate()).rejects.toThrow('9999-later')

  await store.close()
  expect(db.prepare('select count(*) as steps from kysely_migration').get()).toEqual({ steps: 3 })
  db.close()
})

const SERVER = `import { registerHooks } from 'node:module'
let loaded = 0
registerHooks({
  load(url, context, next) {
    if (url.includes('/kysely/') || /\\/migrations\\/0/.test(url)) loaded++
    return next(url, context)
  },
})
const { openSqliteStore } = await import(${JSON.stringify(new URL('./sqlite-store.ts', import.meta.url).href)})
const store = await openSqliteStore(process.argv[1])
await store.migrate()
await store.ping()
await store.insertAccount({ id: 'a1', name: 'Ada', plan: 'paid', creditNano: null, diemAllowanceNano: 0n, wallet: null, createdAt: 1, closedAt: null })
const caps = { period: 'LIFETIME', usd: null, diem: null }
const key = { id: 'k1', accountId: 'a1', hash: 'h', last6: '', scope: 'INFERENCE', description: '', caps, capVcuNano: null, modelPrivacy: 'ALL',
  models: null, createdAt: 1, expiresAt: null, revokedAt: null, lastUsedAt: null }
await store.insertKey(key)
await store.replaceKey(key)
await store.touchKeys([{ keyId: 'k1', at: 2 }])
await Promise.all([store.countKeys(), store.keyByHash('h'), store.key('k1'), store.account('a1'), store.accountOfWallet('w'), store.accountsWithWallet()])
await Promise.all([store.prices(), store.balance('bank'), store.minted('diem:a1:0'), store.hasTransfer('x'), store.spentByKey('k1', 0)])
const line = { unit: 'outputToken', count: 1, priceNano: 1, amount: 1n, currency: 'USD' }
const bill = { kind: 'settle', requestId: 'r1', at: 1, accountId: 'a1', keyId: 'k1', model: 'm', modality: 'text', executionMs: 1, diemDay: 0, lines: [line] }
store.note(bill)
await store.commit([bill])
await store.insertRefusals([{ at: 1, accountId: 'a1', keyId: 'k1', model: 'm', kind: 'RPM' }])
await store.usageDays('a1', 0, 1)
await store.forget({ refusals: 1, audit: 1 })
console.log('runs: ' + loaded)
console.log('lists: ' + (await store.accounts(null, 9)).map(({ id }) => id))
console.log('some: ' + (loaded > 0))
await store.close()`
