/**
 * Writes settlements behind the requests they belong to: in batches, in order, again until it works.
 * Invariant: what was queued stays queued until the store has said that it is written.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Settlement, Store } from '../core/store.ts'

/** A settlement waits this long for others, and is lost at most if the machine dies within it. */
export const BATCH_MS = 25
/** How many settlements go into one transaction; so many at once do not wait. */
export const BATCH_MAX = 256
/** After a failed write: the first wait, and the longest that doubling it leads to. */
export const RETRY_MS = 100
export const RETRY_MAX_MS = 5_000
/** How long `close` tries to write what is left. */
export const CLOSE_MS = 5_000

export type WriterOptions = {
  readonly store: Pick<Store, 'commit'>
  /** Told once when writes begin to fail, and once when they work again. */
  readonly onAway: (away: boolean) => void
}

/** What waits is a settlement, with whatever else `onWritten` wants to know in the same object. */
export class Writer<E extends Settlement> {
  readonly #store: Pick<Store, 'commit'>
  readonly #onAway: (away: boolean) => void
  readonly #onWritten: (entry: E) => void
  readonly #queue: E[] = []
  /** How many of the first in the queue were in a write that failed: they may be in the store, or not. */
  #uncertain = 0
  #timer: NodeJS.Timeout | null = null
  /** Whether a flush that was scheduled is under way: the next is scheduled when it ends. */
  #flushing = false
  #retryMs = 0
  /** Everything that touches balances in the store goes one after the other. */
  #lane: Promise<unknown> = Promise.resolve()

  constructor({ store, onAway }: WriterOptions, onWritten: (entry: E) => void) {
    this.#store = store
    this.#onAway = onAway
    this.#onWritten = onWritten
  }

  /** How many settlements are not written yet. */
  get size(): number {
    return this.#queue.length
  }

  /** Whether the last write failed. */
  get away(): boolean {
    return this.#retryMs > 0
  }

  add(entry: E): void {
    this.#queue.push(entry)
    this.#schedule()
  }

  /** Runs `work` while nothing is being written. */
  between<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#lane.then(work)
    this.#lane = turn.catch(() => undefined)
    return turn
  }

  /** Writes all that is queued now. Rejects when the store is away; it is tried again by itself then. */
  async flush(): Promise<void> {
    this.#cancelTimer()
    try {
      await this.between(() => this.#writeAll(this.#queue.length))
    } finally {
      this.#schedule()
    }
  }

  /**
   * Writes one settlement now. To be called between writes. Those whose fate is uncertain go with it, so that
   * afterwards the store says what it has and the queue what it has not.
   */
  async writeNow(settlement: Settlement): Promise<void> {
    await this.#commit(this.#uncertain, settlement)
  }

  /** Writes those that may be in the store or not. To be called between writes. */
  async settleUncertain(): Promise<void> {
    if (this.#uncertain > 0) await this.#commit(this.#uncertain, null)
  }

  /** Tries for a while to write what is left. Returns how many settlements could not be written. */
  async close(): Promise<number> {
    const deadline = AbortSignal.timeout(CLOSE_MS)
    while (this.#queue.length > 0 && !deadline.aborted) {
      try {
        await this.flush()
      } catch {
        await sleep(RETRY_MS, undefined, { signal: deadline }).catch(() => undefined)
      }
    }
    this.#cancelTimer()
    return this.#queue.length
  }

  async #writeAll(count: number): Promise<void> {
    // What comes in meanwhile waits for its own batch: following it would mean many small writes.
    for (let left = count; left > 0; ) {
      const size = Math.min(left, BATCH_MAX)
      await this.#commit(size, null)
      left -= size
    }
  }

  /** Writes the first so many of the queue, and one more. */
  async #commit(count: number, extra: Settlement | null): Promise<void> {
    const entries = this.#queue.slice(0, count)
    const settlements = extra ? [...entries, extra] : entries
    // Never fewer than were uncertain before: who writes begins with those.
    this.#uncertain = count
    try {
      await this.#store.commit(settlements)
    } catch (error) {
      const firstTime = !this.away
      this.#retryMs = Math.min(RETRY_MAX_MS, this.#retryMs === 0 ? RETRY_MS : this.#retryMs * 2)
      if (firstTime) this.#onAway(true)
      throw error
    }
    this.#queue.splice(0, count)
    this.#uncertain = 0
    for (const entry of entries) this.#onWritten(entry)
    if (this.away) {
      this.#retryMs = 0
      this.#onAway(false)
    }
  }

  #schedule(): void {
    if (this.#flushing || this.#queue.length === 0) return
    if (this.away) {
      // This alone does not keep the process up; who ends it calls `close`.
      this.#timer ??= setTimeout(this.#tick, this.#retryMs).unref()
      return
    }
    if (this.#queue.length < BATCH_MAX) {
      this.#timer ??= setTimeout(this.#tick, BATCH_MS)
      return
    }
    this.#cancelTimer()
    this.#flushing = true
    setImmediate(this.#tick)
  }

  readonly #tick = (): void => {
    this.#timer = null
    this.#flushing = true
    this.flush()
      // Nobody waits for this one, and the next is on its way.
      .catch(() => undefined)
      .finally(() => {
        this.#flushing = false
        this.#schedule()
      })
  }

  #cancelTimer(): void {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
  }
}
