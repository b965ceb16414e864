/** The log of refusals, which an account can read: written in batches, off the path, and dropped rather than waited for. */
import type { RefusalRow, Store } from '../core/store.ts'

/** How many wait at most; what comes on top is counted, not kept. */
export const MAX_WAITING = 2_000
/** How many go into one write, and how long the first of them waits for others. */
export const BATCH_ROWS = 500
export const BATCH_MS = 1_000

export class RefusalLog {
  readonly #store: Pick<Store, 'insertRefusals'>
  #waiting: RefusalRow[] = []
  #timer: NodeJS.Timeout | null = null
  #writing: Promise<void> = Promise.resolve()
  #dropped = 0

  constructor(store: Pick<Store, 'insertRefusals'>) {
    this.#store = store
  }

  /** How many rows were lost, because too many came or the store was away. */
  get dropped(): number {
    return this.#dropped
  }

  /** Takes a row; never throws and never waits. Bound to its log, to be handed around. */
  readonly note = (row: RefusalRow): void => {
    if (this.#waiting.length >= MAX_WAITING) {
      this.#dropped++
      return
    }
    this.#waiting.push(row)
    this.#timer ??= setTimeout(() => void this.flush(), BATCH_MS).unref()
  }

  /** Writes what is waiting. Never rejects: these rows are worth less than the requests behind them. */
  flush(): Promise<void> {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    this.#writing = this.#writing.then(() => this.#write())
    return this.#writing
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, BATCH_ROWS)
      try {
        await this.#store.insertRefusals(batch)
      } catch {
        this.#dropped += batch.length
      }
    }
  }
}
