/**
 * Makes what SQLite wrote to its log last, outside of the event loop. SQLite would wait for the disk inside it, once per
 * batch. A sync of the log through a handle of our own does the same in a thread: a transaction counts as soon as its
 * frames are in the log, which never shrinks or moves while the database is open.
 */
import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'

export class WalSync {
  readonly #path: string
  #log: Promise<FileHandle> | null = null

  constructor(path: string) {
    this.#path = path
  }

  async sync(): Promise<void> {
    this.#log ??= openLog(this.#path)
    try {
      await (await this.#log).datasync()
    } catch (error) {
      this.#log = null
      throw error
    }
  }

  async close(): Promise<void> {
    const log = await this.#log?.catch(() => null)
    await log?.close()
  }
}

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
