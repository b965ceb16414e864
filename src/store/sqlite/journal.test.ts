/** What is noted outlives the process that noted it, and is committed once. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { MODALITIES } from '../../core/modality.ts'
import { CURRENCIES } from '../../core/money.ts'
import type { Bill, Settlement, Transfer } from '../../core/store.ts'
import { UNITS } from '../../core/usage.ts'
import { Journal } from './journal.ts'
import { lineOf, settlementOf } from './journal-line.ts'
import { openSqliteStore } from './sqlite-store.ts'

let folder = ''
const file = () => join(folder, 'rialto.db')
const notes = (which: 'a' | 'b') => readFileSync(`${file()}.notes-${which}`, 'utf8')

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rialto-journal-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const bill = (requestId: string, amount = 5n): Bill => ({
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
})

/** Opens a journal whose process left these notes. */
async function reopened(): Promise<{ found: Settlement[]; journal: Journal }> {
  const found: Settlement[] = []
  const journal = new Journal(file())
  await journal.open(async (settlements) => void found.push(...settlements))
  return { found, journal }
}

describe('a line of the journal', () => {
  const whole = fc.nat()
  const amount = fc.bigInt({ min: 0n, max: 2n ** 60n })
  const line = fc.record({
    unit: fc.constantFrom(...UNITS),
    count: fc.maxSafeNat(),
    priceNano: whole,
    amount,
    currency: fc.constantFrom(...CURRENCIES),
  })
  const text = fc.string({ unit: 'binary' })
  const anyBill: fc.Arbitrary<Bill> = fc.record({
    kind: fc.constant('settle' as const),
    requestId: text,
    at: whole,
    accountId: text,
    keyId: text,
    model: text,
    modality: fc.constantFrom(...MODALITIES),
    executionMs: whole,
    diemDay: whole,
    lines: fc.array(line, { maxLength: 4 }),
  })
  const anyTransfer: fc.Arbitrary<Transfer> = fc.record({
    kind: fc.constantFrom('topup' as const, 'grant' as const, 'takeback' as const, 'allowance' as const, 'refund' as const),
    id: text,
    at: whole,
    currency: fc.constantFrom(...CURRENCIES),
    fromBook: text,
    toBook: text,
    amount,
  })

  it('is one line, and gives back what it was made of', () => {
    fc.assert(
      fc.property(fc.oneof(anyBill, anyTransfer), (settlement) => {
        const written = lineOf(settlement)

        expect(written.indexOf('\n')).toBe(written.length - 1)
        expect(settlementOf(written.slice(0, -1))).toEqual(settlement)
      }),
    )
  })

  it('that was cut anywhere, or is something else, is none', () => {
    const written = lineOf(bill('r1'))

    for (let end = 0; end < written.length - 1; end++) expect(settlementOf(written.slice(0, end))).toBeNull()
    for (const other of ['null', '{}', '[]', '["settle"]', '["settle","r",1,"a","k","m","texts",1,0]', '["topup","x",1,"USD","a","b",1,2]'])
      expect(settlementOf(other)).toBeNull()
  })
})

describe('the journal', () => {
  it('gives what was noted and not committed to the next process, and forgets what was', async () => {
    const { journal } = await reopened()
    for (const id of ['r1', 'r2', 'r3']) journal.note(bill(id))
    journal.turn()
    journal.note(bill('r4'))
    journal.committed([bill('r1')])
    expect([notes('a').split('\n').length - 1, notes('b').split('\n').length - 1]).toEqual([3, 1])

    journal.committed([bill('r2'), bill('r3')])
    expect([notes('a'), notes('b').split('\n').length - 1]).toEqual(['', 1])
    journal.close()

    const next = await reopened()
    expect(next.found).toEqual([bill('r4')])
    expect([notes('a'), notes('b')]).toEqual(['', ''])
    next.journal.close()
  })

  it('stays as small as what is not committed, however long it runs', async () => {
    const { journal } = await reopened()
    let largest = 0
    for (let i = 0; i < 500; i++) {
      journal.note(bill(`a${i}`))
      journal.turn()
      journal.note(bill(`b${i}`))
      journal.committed([bill(`a${i}`), ...(i > 0 ? [bill(`b${i - 1}`)] : [])])
      largest = Math.max(largest, notes('a').length + notes('b').length)
    }

    expect(largest).toBeLessThan(5 * lineOf(bill('a999')).length)
    journal.close()
  })

  it('is readable by its owner only', async () => {
    const { journal } = await reopened()
    journal.note(bill('r1'))

    expect(['notes-a', 'notes-b', 'notes-lock'].map((end) => statSync(`${file()}.${end}`).mode & 0o777)).toEqual([0o600, 0o600, 0o600])
    journal.close()
  })

  it('drops a last line that its process did not come to end', async () => {
    writeFileSync(`${file()}.notes-a`, lineOf(bill('r1')) + lineOf(bill('r2')).slice(0, 30))

    const { found, journal } = await reopened()

    expect(found).toEqual([bill('r1')])
    journal.close()
  })

  it('keeps what it found when that cannot be committed, for the next start', async () => {
    appendFileSync(`${file()}.notes-b`, lineOf(bill('r1')))

    await expect(new Journal(file()).open(() => Promise.reject(new Error('away')))).rejects.toThrow('away')

    const { found, journal } = await reopened()
    expect(found).toEqual([bill('r1')])
    journal.close()
  })

  it('belongs to one process: another one takes nothing out of it and cannot note', async () => {
    const { journal } = await reopened()
    journal.note(bill('r1'))

    const other = await reopened()

    expect(other.found).toEqual([])
    expect(() => other.journal.note(bill('r2'))).toThrow('another process')
    expect(notes('a')).toBe(lineOf(bill('r1')))
    other.journal.close()
    journal.close()
  })

  it('says so when the disk takes no more, and spoils no line', async () => {
    const full = process.platform === 'linux' ? '/dev/full' : null
    const { journal } = await reopened()
    journal.note(bill('r1'))
    journal.close()
    if (full !== null) expect(() => appendFileSync(full, 'x')).toThrow('ENOSPC')

    expect(() => journal.note(bill('r2'))).toThrow()
    expect(notes('a')).toBe(lineOf(bill('r1')))
  })
})

describe('a store over a file', () => {
  it('has every charge that was noted, whole and once, when the process is killed', async () => {
    const child = spawn(process.execPath, ['--input-type=module', '--eval', NOTER, file()], { stdio: ['ignore', 'pipe', 'ignore'] })
    let acknowledged = 0
    for await (const chunk of child.stdout) {
      acknowledged += String(chunk).length
      if (acknowledged > 2_000) child.kill('SIGKILL')
    }
    if (child.exitCode === null && child.signalCode === null) await once(child, 'close')

    const store = await openSqliteStore(file())
    await store.migrate()
    const revenue = await store.balance('revenue')
    const { differences } = await store.tally()
    await store.close()

    // One character, and one nano-dollar, per note.
    expect(revenue).toBeGreaterThanOrEqual(BigInt(acknowledged))
    expect(differences).toEqual([])
    expect([notes('a'), notes('b')]).toEqual(['', ''])
  })
})

/** Notes one charge after the other, says so, and commits some behind, never all. */
const NOTER = `import { writeSync } from 'node:fs'
import { openSqliteStore } from ${JSON.stringify(new URL('./sqlite-store.ts', import.meta.url).href)}
const store = await openSqliteStore(process.argv[1])
await store.migrate()
const bill = ${bill.toString()}
let waiting = []
for (let n = 0; ; n++) {
  const one = bill('r' + n, 1n)
  store.note(one)
  writeSync(1, '.')
  waiting.push(one)
  if (waiting.length === 64) await store.commit(waiting.splice(0, 48))
}`
