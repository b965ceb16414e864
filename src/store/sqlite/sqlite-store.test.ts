/** SQLite as a store: the shared suite on a file and in memory, and what only a file can get wrong. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import * as fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Bill } from '../../core/store.ts'
import { describeStore } from '../suite.ts'
import { openSqliteStore } from './sqlite-store.ts'

let home = ''
const file = () => join(home, 'data', 'rialto.sqlite')

const makeHome = async () => {
  home = await mkdtemp(join(tmpdir(), 'rialto-store-'))
}
const removeHome = () => rm(home, { recursive: true, force: true })

describeStore('a SQLite file', {
  async make() {
    await makeHome()
    return openSqliteStore(file())
  },
  again: () => openSqliteStore(file()),
  dispose: removeHome,
})

describeStore('SQLite in memory', { make: () => openSqliteStore(':memory:') })

describe('a SQLite file', () => {
  beforeEach(makeHome)
  afterEach(removeHome)

  it('is readable by its owner only, with its log, in a folder that is so too', async () => {
    const store = await openSqliteStore(file())
    await store.migrate()

    const modes = await Promise.all(['', '-wal', '-shm'].map(async (end) => (await stat(file() + end)).mode & 0o777))
    const folder = (await stat(join(home, 'data'))).mode & 0o777
    await store.close()

    expect(modes).toEqual([0o600, 0o600, 0o600])
    expect(folder).toBe(0o700)
  })

  it('is created and migrated once when several stores open it at the same moment', async () => {
    const stores = await Promise.all(Array.from({ length: 4 }, () => openSqliteStore(file())))

    await Promise.all(stores.map((store) => store.migrate()))

    await stores[0]?.commit([settle('r1', 5n)])
    expect(await stores[3]?.balance('revenue')).toBe(5n)
    await Promise.all(stores.map((store) => store.close()))
  })

  it('is created and migrated once when several processes start at the same moment', async () => {
    const start = () => spawn(process.execPath, ['--input-type=module', '--eval', STARTER, file()], { stdio: 'ignore' })
    const children = Array.from({ length: 3 }, start)

    const exits = await Promise.all(children.map((child) => once(child, 'exit')))

    expect(exits.map(([code]) => code as number)).toEqual([0, 0, 0])
    const store = await openSqliteStore(file())
    await store.ping()
    await store.close()
  })

  it('has every commit that resolved, whole, when the process is killed', async () => {
    const child = spawn(process.execPath, ['--input-type=module', '--eval', WRITER, file()], { stdio: ['ignore', 'pipe', 'ignore'] })
    let acknowledged = ''
    for await (const chunk of child.stdout) {
      acknowledged += String(chunk)
      if (acknowledged.length > 30) child.kill('SIGKILL')
    }

    const store = await openSqliteStore(file())
    await store.migrate()
    const revenue = await store.balance('revenue')
    const spent = (await store.spentByKey('k1', 0)).usd
    await store.close()

    // The writer says one character per commit of ten settlements.
    expect(revenue).toBeGreaterThanOrEqual(BigInt(acknowledged.length) * 10n)
    expect(revenue % 10n).toBe(0n)
    expect(spent).toBe(revenue)
  })

  it('rejects a commit, soon and whole, while another process writes, and takes it again afterwards', async () => {
    const store = await openSqliteStore(file())
    await store.migrate()
    const other = new DatabaseSync(file())
    other.exec('begin immediate')

    await expect(store.commit([settle('r1', 5n)])).rejects.toThrow('locked')
    other.exec('rollback')
    await store.commit([settle('r1', 5n)])

    expect(await store.balance('revenue')).toBe(5n)
    other.close()
    await store.close()
  })

  it('rejects one commit and takes it the next time when usage was deleted by hand meanwhile', async () => {
    const store = await openSqliteStore(file())
    await store.migrate()
    await store.commit([settle('r1', 5n)])
    const other = new DatabaseSync(file())
    other.exec('delete from usage_record; delete from usage_kind')
    other.close()

    await expect(store.commit([settle('r2', 7n)])).rejects.toThrow('FOREIGN KEY')
    await store.commit([settle('r2', 7n)])

    expect(await store.usageOf('r1')).toEqual([])
    expect(await store.usageOf('r2')).toMatchObject([{ accountId: 'a1', keyId: 'k1', line: { amount: 7n } }])
    expect(await store.balance('revenue')).toBe(12n)
    await store.close()
  })

  it('keeps every book equal to the sum of its transfers, whatever is committed how often', async () => {
    const store = await openSqliteStore(file())
    await store.migrate()
    const anySettlement = fc.record({ id: fc.integer({ min: 0, max: 30 }), amount: fc.bigInt({ min: 1n, max: 2n ** 55n }) })
    const batches = fc.array(fc.array(anySettlement, { maxLength: 8 }), { maxLength: 8 })

    await fc.assert(
      fc.asyncProperty(batches, async (given) => {
        for (const batch of given) await store.commit(batch.map(({ id, amount }) => settle(`r${id}`, amount)))

        expect((await store.tally()).differences).toEqual([])
      }),
      { numRuns: 30 },
    )
    await store.close()
  })
})

function settle(requestId: string, amount: bigint): Bill {
  return {
    kind: 'settle',
    requestId,
    at: 1,
    accountId: 'a1',
    keyId: 'k1',
    model: 'm',
    modality: 'text',
    executionMs: 1,
    diemDay: 0,
    lines: [{ unit: 'outputToken', count: 1, priceNano: 1, amount, currency: 'USD' }],
  }
}

const IMPORT = `import { openSqliteStore } from ${JSON.stringify(new URL('./sqlite-store.ts', import.meta.url).href)}
const store = await openSqliteStore(process.argv[1])
await store.migrate()`

const STARTER = `${IMPORT}
await store.close()`

const WRITER = `${IMPORT}
${settle.toString()}
for (let n = 0; ; n += 10) {
  await store.commit(Array.from({ length: 10 }, (_, i) => settle('r' + (n + i), 1n)))
  process.stdout.write('.')
}`
