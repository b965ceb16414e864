/** How long a year of a large account takes: printed, not asserted. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, it } from 'vitest'
import { z } from 'zod'
import { CURRENCIES } from '../../core/money.ts'
import { openSqliteStore } from '../../store/sqlite/sqlite-store.ts'
import { DAY_MS, accountRow, askOf, keyRow } from './billing.fixture.ts'

const FIRST_DAY = Date.UTC(2025, 0, 1) / DAY_MS
const DAYS = 365
const REQUESTS_A_DAY = 1_000_000
const KEYS = 10
const MODELS = 5
const UNITS = ['inputToken', 'cacheReadToken', 'outputToken'] as const
/** Two of the three currencies on a day: the allowance of DIEM runs out in the course of it. */
const PAID_WITH = CURRENCIES.filter((currency) => currency !== 'BUNDLED_CREDITS')
/** Per day, key, model and unit, as if every key used every model in both currencies. */
const REQUESTS_EACH = REQUESTS_A_DAY / (KEYS * MODELS * PAID_WITH.length)

/** The sums that the store would have written with 365 million charges. */
function fill(path: string): number {
  const db = new DatabaseSync(path)
  db.exec("begin; insert into payer (seq, id) values (1, 'a')")
  const kind = db.prepare(
    'insert into usage_kind (payer_seq, key_id, model, modality, unit, price_nano, currency) values (1, ?, ?, ?, ?, 7, ?)',
  )
  const kinds: number[] = []
  for (let key = 0; key < KEYS; key++)
    for (let model = 0; model < MODELS; model++)
      for (const unit of UNITS)
        for (const currency of PAID_WITH) kinds.push(Number(kind.run(`key-${key}`, `m${model}`, 'text', unit, currency).lastInsertRowid))
  const sum = db.prepare('insert into usage_day (payer_seq, day, kind_seq, count, amount, requests) values (1, ?, ?, ?, ?, ?)')
  for (let day = 0; day < DAYS; day++)
    for (const seq of kinds) sum.run(FIRST_DAY + day, seq, REQUESTS_EACH * 1_000, REQUESTS_EACH * 7_000, REQUESTS_EACH)
  db.exec('commit')
  db.close()
  return kinds.length * DAYS
}

it('answers for a year of a million requests a day from daily sums alone', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'rialto-year-'))
  const path = join(folder, 'rialto.db')
  const empty = await openSqliteStore(path)
  await empty.migrate()
  await empty.insertAccount(accountRow('a'))
  for (let key = 0; key < KEYS; key++) await empty.insertKey(keyRow(`key-${key}`, 'a'))
  await empty.close()
  const sums = fill(path)
  const store = await openSqliteStore(path)
  await store.migrate()
  try {
    const ask = askOf(store)
    const times: string[] = []
    let last: unknown
    for (let i = 0; i < 5; i++) {
      const started = performance.now()
      const before = process.cpuUsage()
      last = (await ask('/billing/usage-analytics', { startDate: '2025-01-01', endDate: '2025-12-31' })).body
      const { user, system } = process.cpuUsage(before)
      times.push(`${Math.round(performance.now() - started)} (${Math.round((user + system) / 1_000)} of CPU)`)
    }

    const { byDate, byModel, byKey } = z
      .looseObject({ byDate: z.array(z.unknown()), byModel: z.array(z.unknown()), byKey: z.array(z.unknown()) })
      .parse(last)
    expect([byDate.length, byModel.length, byKey.length]).toEqual([DAYS, MODELS, KEYS])
    process.stdout.write(`usage-analytics, a year of 1 M requests a day, ${sums} daily sums: ${times.join(', ')} ms\n`)
  } finally {
    await store.close()
    await rm(folder, { recursive: true, force: true })
  }
})
