/**
 * One server, one database file: the ledger's balances live in memory, so a second server on the same folder would sell
 * the same money twice. The lock is SQLite's own, on an empty database beside the real one: the system lets go of it
 * when its process ends, however that happens.
 */
import { chmodSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'

export type Ownership = { release(): void }

/** Takes the lock file at `path` for this process until it is released; null where another one has it. */
export function ownAlone(path: string): Ownership | null {
  const db = new DatabaseSync(path)
  try {
    db.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE')
    chmodSync(path, 0o600)
    return { release: () => db.close() }
  } catch (error) {
    db.close()
    if (isBusy(error)) return null
    throw error
  }
}

const SQLITE_BUSY = 5

const isBusy = (error: unknown): boolean => error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY
