/**
 * Writes settlements behind the requests they belong to: in batches, in order, again until it works.
 * Invariant: what was queued stays queued until the store has said that it is written.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Settlement, Store } from '../core/store.ts'

/** A settlement waits this long for others, noted down; it is lost at most if the machine dies within it. */
export const BATCH_MS = 50
/** How many settlements go into one transaction; so many at once do not wait. */
export const BATCH_MAX = 512
/** After a failed write: the first wait, and the longest that doubling it leads to. */
export const RETRY_MS = 100
export const RETRY_MAX_MS = 5_000
/** How long `close` tries to write what is left. */
export const CLOSE_MS = 5_000

export type WriterOptions = {
  readonly store: Pick<Store, 'commit' | 'note'>
  /** Told once when what is queued can neither be noted nor written, and once when it can again. */
  readonly onAway: (away: boolean) => void
}

/** What waits is a settlement, with whatever else `onWritten` wants to know in the same object. */
export class Writer<E extends Settlement> {
  readonly #store: Pick<Store, 'commit' | 'note'>
  readonly #onAway: (away: boolean) => void
  readonly #onWritten: (entry: E) => void
  readonly #queue: E[] = []
  /** How many of the first in the queue were in a write that failed: they may be in the store, or not. */
  #uncertain = 0
  #timer: NodeJS.Timeout | null = null
  /** Whether a flush that was scheduled is under way: the next is scheduled when it ends. */
  #flushing = false
  #retryMs = 0
  /**
   * How many of the first in the queue are noted down; the death of the process would lose the others.
   * Invariant: nothing is noted before what came before it, so that a charge never outlives the money that paid for it.
   */
  #noted = 0
  #told = false
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

  /** Whether the last write failed, or something waits that only the memory has. */
  get away(): boolean {
    return this.#retryMs > 0 || this.#noted < this.#queue.length
  }

  /** Survives the death of the process when this returns, unless `away` says otherwise. */
  add(entry: E): void {
    this.#queue.push(entry)
    this.#note()
    this.#schedule()
  }

  /** Whether something with this id waits. */
  has(id: string): boolean {
    return this.#queue.some((entry) => entry.kind !== 'settle' && entry.id === id)
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
   * Writes settlements now, all or none. To be called between writes. Those whose fate is uncertain go with them, so
   * that afterwards the store says what it has and the queue what it has not.
   */
  async writeNow(settlements: readonly Settlement[]): Promise<void> {
    await this.#commit(this.#uncertain, settlements)
  }

  /** Writes those that may be in the store or not. To be called between writes. */
  async settleUncertain(): Promise<void> {
    if (this.#uncertain > 0) await this.#commit(this.#uncertain, [])
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
      await this.#commit(size, [])
      left -= size
    }
  }

  /** Writes the first so many of the queue, and more. */
  async #commit(count: number, more: readonly Settlement[]): Promise<void> {
    const entries = this.#queue.slice(0, count)
    // Never fewer than were uncertain before: who writes begins with those.
    this.#uncertain = count
    try {
      await this.#store.commit(more.length > 0 ? [...entries, ...more] : entries)
    } catch (error) {
      // Where nothing of the queue was in it nothing is tried again, so nothing would find out that the store is back.
      if (count > 0) this.#retryMs = Math.min(RETRY_MAX_MS, this.#retryMs === 0 ? RETRY_MS : this.#retryMs * 2)
      this.#tell()
      throw error
    }
    this.#queue.splice(0, count)
    this.#uncertain = 0
    this.#retryMs = 0
    this.#noted = Math.max(0, this.#noted - count)
    for (const entry of entries) this.#onWritten(entry)
    this.#note()
  }

  #note(): void {
    try {
      for (let next = this.#queue[this.#noted]; next; next = this.#queue[this.#noted]) {
        this.#store.note(next)
        this.#noted++
      }
    } catch {
      // The runs are over and their callers served: they stay here until they can be noted or written.
    }
    this.#tell()
  }

  #tell(): void {
    if (this.away === this.#told) return
    this.#told = this.away
    this.#onAway(this.#told)
  }

  #schedule(): void {
    if (this.#flushing || this.#queue.length === 0) return
    if (this.#retryMs > 0) {
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
