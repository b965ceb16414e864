/**
 * The hot write: settlements in batches, one transaction each, by prepared statements (kysely would cost ten times
 * as much per row).
 * Invariant: balances and key sums change in the transaction that writes the transfers they sum up, and by those only.
 */
import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Amount } from '../../core/money.ts'
import type { Settlement, Transfer, UsageRow } from '../../core/store.ts'
import { MEMORY } from './database.ts'

export class Commits {
  readonly #db: DatabaseSync
  readonly #path: string
  readonly #transfer: StatementSync
  readonly #usage: StatementSync
  readonly #book: StatementSync
  readonly #spend: StatementSync
  #log: Promise<FileHandle> | null = null

  /** The schema must be there: statements are prepared against it. */
  constructor(db: DatabaseSync, path: string) {
    this.#db = db
    this.#path = path
    this.#transfer = db.prepare(
      'insert into transfer (id, at, from_book, to_book, amount, kind) values (?, ?, ?, ?, ?, ?) on conflict (id) do nothing',
    )
    this.#usage = db.prepare('insert into usage_record values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)')
    this.#book = db.prepare(
      'insert into book (id, balance) values (?, ?) on conflict (id) do update set balance = balance + excluded.balance',
    )
    this.#spend = db.prepare(
      'insert into key_spend (key_id, spent) values (?, ?) on conflict (key_id) do update set spent = spent + excluded.spent',
    )
  }

  /** Writes all or none, then waits for the disk outside of the event loop. */
  async write(settlements: readonly Settlement[]): Promise<void> {
    this.#db.exec('begin immediate')
    try {
      this.#insert(settlements)
      this.#db.exec('commit')
    } catch (error) {
      // A failed commit may have ended the transaction already.
      if (this.#db.isTransaction) this.#db.exec('rollback')
      throw error
    }
    if (this.#path !== MEMORY) await this.#flush()
  }

  async close(): Promise<void> {
    const log = await this.#log?.catch(() => null)
    await log?.close()
  }

  #insert(settlements: readonly Settlement[]): void {
    const books = new Map<string, Amount>()
    const spends = new Map<string, Amount>()
    for (const { transfer, usage } of settlements) {
      const seq = this.#insertTransfer(transfer, usage)
      if (seq === null) continue
      if (transfer) {
        add(books, transfer.fromBook, -transfer.amount)
        add(books, transfer.toBook, transfer.amount)
      }
      let line = 0
      for (const row of usage) {
        this.#insertUsage(seq, line++, row)
        if (row.line.amount !== 0n) add(spends, row.keyId, row.line.amount)
      }
    }
    for (const [id, delta] of books) this.#book.run(id, delta)
    for (const [id, delta] of spends) this.#spend.run(id, delta)
  }

  /** The new transfer's place, or null where this id is written already (or there is nothing to write). */
  #insertTransfer(transfer: Transfer | null, usage: readonly UsageRow[]): number | bigint | null {
    const first = usage[0]
    const { changes, lastInsertRowid } = transfer
      ? this.#transfer.run(transfer.id, transfer.at, transfer.fromBook, transfer.toBook, transfer.amount, transfer.kind)
      : first
        ? this.#transfer.run(settleId(first.requestId), first.at, null, null, 0n, 'settle')
        : NOTHING
    return Number(changes) === 1 ? lastInsertRowid : null
  }

  #insertUsage(seq: number | bigint, order: number, row: UsageRow): void {
    const { unit, count, priceNano, amount } = row.line
    this.#usage.run(seq, order, row.at, row.accountId, row.keyId, row.model, row.modality, unit, count, priceNano, amount, row.executionMs)
  }

  /**
   * SQLite would wait for the disk inside the event loop, once per batch. A sync of its log through a handle of our
   * own does the same in a thread: a transaction counts as soon as its frames are in the log, which never shrinks
   * or moves while the database is open.
   */
  async #flush(): Promise<void> {
    this.#log ??= openLog(this.#path)
    try {
      await (await this.#log).datasync()
    } catch (error) {
      this.#log = null
      throw error
    }
  }
}

/** The id of the transfer that settles a request. */
export const settleId = (requestId: string): string => `settle:${requestId}`

const NOTHING = { changes: 0, lastInsertRowid: 0 } as const

async function openLog(path: string): Promise<FileHandle> {
  const log = await open(`${path}-wal`, 'r+')
  // The names of new files must last as well.
  const folder = await open(dirname(path), 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
  return log
}

function add(sums: Map<string, Amount>, id: string, delta: Amount): void {
  sums.set(id, (sums.get(id) ?? 0n) + delta)
}
