/** Opens the database file and lends it to kysely: pragmas, file modes, and the adapter for its SQLite dialect. */
import { chmodSync, closeSync, mkdirSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { SQLInputValue } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import type { SqliteDatabase } from 'kysely'

/** The path that means: in memory, gone when closed. */
export const MEMORY = ':memory:'

/** How long a statement may wait, inside the event loop, for another process (a backup) to let go of the file. */
const BUSY_MS = 100
/** How long opening and migrating may wait, outside of it, for another process that does the same. */
const START_WAIT_MS = 10_000
const START_RETRY_MS = 25
/** How many pages (of 4 KiB) the log takes before SQLite copies them into the file. */
const CHECKPOINT_PAGES = 1_000

/**
 * Opens or creates the file, readable by its owner only, in a folder made likewise where there is none.
 * `synchronous=NORMAL` leaves the wait for the disk to `Commits`, which waits outside of the event loop.
 */
export function openDatabase(path: string): Promise<DatabaseSync> {
  if (path !== MEMORY) makePrivate(path)
  return whenFree(() => {
    const db = new DatabaseSync(path, { timeout: BUSY_MS, readBigInts: true, enableForeignKeyConstraints: true })
    try {
      db.exec(
        `pragma journal_mode = wal; pragma synchronous = normal; pragma wal_autocheckpoint = ${CHECKPOINT_PAGES}; pragma trusted_schema = off`,
      )
    } catch (error) {
      db.close()
      throw error
    }
    return db
  })
}

/** Repeats `work` while another process holds the file, for a bounded time. */
export async function whenFree<T>(work: () => T | Promise<T>): Promise<T> {
  for (let waitedMs = 0; ; waitedMs += START_RETRY_MS) {
    try {
      return await work()
    } catch (error) {
      if (!isBusy(error) || waitedMs >= START_WAIT_MS) throw error
    }
    await sleep(START_RETRY_MS)
  }
}

/** What kysely's SQLite dialect wants of a database, in terms of `node:sqlite`. Closing is the store's business. */
export function forKysely(db: DatabaseSync): SqliteDatabase {
  return {
    close: () => undefined,
    prepare(text) {
      const statement = db.prepare(text)
      return {
        reader: statement.columns().length > 0,
        all: (parameters) => statement.all(...bindable(parameters)),
        run: (parameters) => statement.run(...bindable(parameters)),
        iterate: (parameters) => statement.iterate(...bindable(parameters)),
      }
    },
  }
}

/** The schema's types allow strings, numbers, bigints and null as values, and so does SQLite. */
const bindable = (parameters: readonly unknown[]): SQLInputValue[] => parameters as SQLInputValue[]

function makePrivate(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  closeSync(openSync(path, 'a', 0o600))
  // A file from elsewhere (a restored backup) may be wider. SQLite gives its side files the mode of this one.
  chmodSync(path, 0o600)
}

const SQLITE_BUSY = 5
const SQLITE_LOCKED = 6

function isBusy(error: unknown): boolean {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return false
  // The low byte is the primary code; the rest of it says which kind.
  const primary = error.errcode & 0xff
  return primary === SQLITE_BUSY || primary === SQLITE_LOCKED
}
