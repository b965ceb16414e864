/**
 * Forgets what is kept for a time only: refusals, and what administrators did. The store deletes in slices with others'
 * requests in between; this says when, and from what day on. Usage and the ledger are never among it.
 */
import type { Clock } from '../core/clock.ts'
import type { Store } from '../core/store.ts'

const DAY_MS = 86_400_000
/** How often it looks, and how long after the start for the first time, when there is other work. */
export const EVERY_MS = 3_600_000
export const FIRST_MS = 60_000

export type RetentionOptions = {
  readonly store: Pick<Store, 'forget'>
  readonly clock: Pick<Clock, 'now'>
  /** For how many days each is kept; 0 is for ever. */
  readonly refusalDays: number
  readonly auditDays: number
  /** Told how many rows went, where some did. */
  readonly onForgot?: (rows: number) => void
}

export class Retention {
  readonly #options: RetentionOptions
  #timer: NodeJS.Timeout | null = null
  #forgetting: Promise<void> = Promise.resolve()
  #stopped = false

  constructor(options: RetentionOptions) {
    this.#options = options
  }

  /** Begins to look now and then; keeps no process alive. Does nothing where all is kept for ever. */
  start(): void {
    const { refusalDays, auditDays } = this.#options
    if (refusalDays > 0 || auditDays > 0) this.#wait(FIRST_MS)
  }

  /** Looks no more; resolves once what is under way has ended. */
  async stop(): Promise<void> {
    this.#stopped = true
    if (this.#timer) clearTimeout(this.#timer)
    await this.#forgetting
  }

  #wait(ms: number): void {
    this.#timer = setTimeout(() => {
      this.#forgetting = this.#forget().then(() => {
        if (!this.#stopped) this.#wait(EVERY_MS)
      })
    }, ms).unref()
  }

  /** Never rejects: while the database is away nothing is forgotten, and the next time it is. */
  async #forget(): Promise<void> {
    const { store, clock, refusalDays, auditDays, onForgot } = this.#options
    const since = (days: number): number => (days === 0 ? 0 : clock.now() - days * DAY_MS)
    try {
      const rows = await store.forget({ refusals: since(refusalDays), audit: since(auditDays) })
      if (rows > 0) onForgot?.(rows)
    } catch {
      return
    }
  }
}
