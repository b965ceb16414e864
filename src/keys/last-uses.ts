/** When each key was last used: noted in memory, written in batches, never once per request. */
import type { Caller } from '../core/call.ts'
import type { Store } from '../core/store.ts'

/** How many keys may wait to be written; what comes on top is noted at its next use. */
export const MAX_WAITING_USES = 10_000

/** A key in memory as far as its use goes: noting one more changes a number and nothing else. */
export type Used = {
  readonly caller: Pick<Caller, 'keyId'>
  /** Wall time in ms. */
  usedAt: number
  /** Whether it is among those to be written. */
  waiting: boolean
}

export class LastUses {
  readonly #store: Pick<Store, 'touchKeys'>
  #waiting: Used[] = []
  #writing: Promise<void> = Promise.resolve()

  constructor(store: Pick<Store, 'touchKeys'>) {
    this.#store = store
  }

  note(used: Used, at: number): void {
    used.usedAt = at
    if (used.waiting || this.#waiting.length >= MAX_WAITING_USES) return
    used.waiting = true
    this.#waiting.push(used)
  }

  /** Writes what waits. Never rejects: while the store is away it waits on. */
  flush(): Promise<void> {
    this.#writing = this.#writing.then(() => this.#write())
    return this.#writing
  }

  async #write(): Promise<void> {
    const batch = this.#waiting
    if (batch.length === 0) return
    this.#waiting = []
    for (const used of batch) used.waiting = false
    try {
      await this.#store.touchKeys(batch.map(({ caller, usedAt }) => ({ keyId: caller.keyId, at: usedAt })))
    } catch {
      for (const used of batch) this.note(used, used.usedAt)
    }
  }
}
