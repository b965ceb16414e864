/**
 * What is settled and not committed yet, in two files beside the database, so that the death of this process loses
 * nothing that somebody was charged for. One file is being filled while what is in the other is being committed; a file
 * all of whose settlements are committed is emptied. Numbers and ids only.
 * Invariant: one process at a time has the files; what another one finds there it leaves alone.
 */
import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs'
import type { Settlement } from '../../core/store.ts'
import { MEMORY } from './database.ts'
import { lineOf, settlementOf } from './journal-line.ts'
import { type Ownership, ownAlone } from './owner.ts'

/** Where a line is put together: one process, one line at a time. */
const LINE = Buffer.allocUnsafeSlow(8_192)

type Segment = {
  readonly file: number
  /** What is in it and not committed, by id. */
  readonly open: Set<string>
  sizeBytes: number
}

type Files = { readonly lock: Ownership; filling: Segment; draining: Segment }

export class Journal {
  readonly #path: string
  /** Null where another process has them, and for a database in memory, which nothing outlives. */
  #files: Files | null = null

  constructor(path: string) {
    this.#path = path
  }

  /** Commits what a process that died left behind, and takes the files over. Without effect where they are in use, here or elsewhere. */
  async open(commit: (found: readonly Settlement[]) => Promise<void>): Promise<void> {
    if (this.#path === MEMORY || this.#files) return
    const lock = ownAlone(`${this.#path}.notes-lock`)
    if (!lock) return
    try {
      const paths = [`${this.#path}.notes-a`, `${this.#path}.notes-b`] as const
      const found = paths.flatMap(read)
      if (found.length > 0) await commit(found)
      this.#files = { lock, filling: segment(paths[0]), draining: segment(paths[1]) }
    } catch (error) {
      lock.release()
      throw error
    }
  }

  /** Throws where the line cannot be written whole; nothing of it is left then. */
  note(settlement: Settlement): void {
    const files = this.#files
    if (!files) {
      if (this.#path === MEMORY) return
      throw new Error('another process has the journal')
    }
    const { filling } = files
    const line = lineOf(settlement)
    // Nearly all are short and ASCII, and need no memory of their own.
    const short = line.length * 3 <= LINE.length
    const bytes = short ? LINE.write(line) : Buffer.byteLength(line)
    try {
      const written = short ? writeSync(filling.file, LINE, 0, bytes) : writeSync(filling.file, line)
      if (written !== bytes) throw new Error('the journal took a part of a line')
    } catch (error) {
      // Half a line would spoil the next one.
      ftruncateSync(filling.file, filling.sizeBytes)
      throw error
    }
    filling.sizeBytes += bytes
    filling.open.add(idOf(settlement))
  }

  /** From now on the other file is filled, if all that was in it is committed. */
  turn(): void {
    const files = this.#files
    if (!files || files.draining.open.size > 0 || files.filling.open.size === 0) return
    const { filling, draining } = files
    files.filling = draining
    files.draining = filling
  }

  committed(settlements: readonly Settlement[]): void {
    const files = this.#files
    if (!files) return
    const { filling, draining } = files
    for (const settlement of settlements) {
      const id = idOf(settlement)
      if (!draining.open.delete(id)) filling.open.delete(id)
    }
    empty(draining)
    empty(filling)
  }

  close(): void {
    if (!this.#files) return
    const { lock, filling, draining } = this.#files
    this.#files = null
    closeSync(filling.file)
    closeSync(draining.file)
    lock.release()
  }
}

const idOf = (settlement: Settlement): string => (settlement.kind === 'settle' ? settlement.requestId : settlement.id)

/** Opens a file for appending and empties it: what was in it is committed. */
function segment(path: string): Segment {
  const file = openSync(path, 'a', 0o600)
  ftruncateSync(file, 0)
  return { file, open: new Set(), sizeBytes: 0 }
}

function empty(one: Segment): void {
  if (one.sizeBytes === 0 || one.open.size > 0) return
  ftruncateSync(one.file, 0)
  one.sizeBytes = 0
}

/** The settlements of a file, without the line that its process did not come to end. */
function read(path: string): Settlement[] {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  }
  return text.split('\n').flatMap((line) => settlementOf(line) ?? [])
}
