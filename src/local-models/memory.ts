/**
 * Who may have a model loaded: a budget of memory, and who makes room in it for whom.
 * Invariant: what all leases take together is never more than the budget was when the last of them was given.
 */
import type { Clock } from '../core/clock.ts'
import type { Signal } from '../core/cancel.ts'
import { Failure, callerLeft, fail } from '../core/errors.ts'
import type { Lease, LocalModel, Tenant } from '../core/local-models.ts'

/** More requests for memory than this do not wait for each other. */
const MAX_WAITING = 256
/** A tenant that has not let go by then is taken for one that will not. */
const EVICT_MS = 30_000

export type MemoryOptions = {
  readonly clock: Pick<Clock, 'tick'>
  readonly budgetBytes: () => number
  /** How long a request waits for room; 0: not at all. */
  readonly waitMs: number
  /** After how long without use a model is unloaded; 0 is never. */
  readonly idleMs: number
  /** Not unloaded for being idle. */
  readonly keeps: ReadonlySet<string>
  readonly evictMs?: number
}

type Held = { readonly model: LocalModel; readonly tenant: Tenant; usedTick: number; evicting: Promise<boolean> | null }

type Waiting = { readonly model: LocalModel; readonly tenant: Tenant; over: boolean; readonly end: (result: Lease | Failure) => void }

export class Memory {
  #options: MemoryOptions
  readonly #held = new Set<Held>()
  readonly #waiting: Waiting[] = []
  /** Asked in vain since the last change: not asked again before the next one. */
  readonly #unwilling = new Set<Held>()
  #working = false
  #again = false
  #timer: NodeJS.Timeout | null = null

  constructor(options: MemoryOptions) {
    this.#options = options
  }

  get usedBytes(): number {
    let sum = 0
    for (const { model } of this.#held) sum += model.memoryBytes
    return sum
  }

  get budgetBytes(): number {
    return this.#options.budgetBytes()
  }

  /** The ids of what is loaded, the least recently used first. */
  get loaded(): readonly string[] {
    return [...this.#held].sort((a, b) => a.usedTick - b.usedTick).map(({ model }) => model.id)
  }

  /** As the port says; the model is one that fits the budget alone. First come, first served. */
  acquire(model: LocalModel, tenant: Tenant, signal: Signal): Promise<Lease> {
    if (signal.aborted) return Promise.reject(reasonOf(signal))
    if (this.#waiting.length >= MAX_WAITING) return Promise.reject(full(model))
    return new Promise((resolve, reject) => {
      const abort = (): void => waiting.end(reasonOf(signal))
      const timer = setTimeout(() => waiting.end(full(model)), this.#options.waitMs)
      const waiting: Waiting = {
        model,
        tenant,
        over: false,
        end: (result) => {
          if (waiting.over) return
          waiting.over = true
          clearTimeout(timer)
          signal.removeEventListener('abort', abort)
          if (result instanceof Failure) {
            reject(result)
            this.#changed()
          } else resolve(result)
        },
      }
      signal.addEventListener('abort', abort)
      this.#waiting.push(waiting)
      void this.#work()
    })
  }

  /** Asks those that nobody used for long enough to unload. Called by itself when the first one's time is over. */
  async sweep(): Promise<void> {
    const { clock, idleMs, keeps } = this.#options
    if (idleMs === 0) return
    const now = clock.tick()
    const idle = [...this.#held].filter(({ model, tenant, usedTick }) => !keeps.has(model.id) && !tenant.busy && now - usedTick >= idleMs)
    await Promise.all(idle.map((held) => this.#evict(held)))
    this.#arm()
  }

  /** Nothing more is unloaded by itself, and nobody waits any longer. */
  close(): void {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    // Each that ends is taken out of the list.
    for (const waiting of this.#waiting.slice()) waiting.end(fail('SHUTTING_DOWN', { internal: 'models_closed' }))
    this.#options = { ...this.#options, idleMs: 0 }
  }

  #changed(): void {
    this.#unwilling.clear()
    void this.#work()
  }

  /** Serves those who wait, in turn, as far as that goes now. One of these runs at a time. */
  async #work(): Promise<void> {
    this.#again = true
    if (this.#working) return
    this.#working = true
    try {
      while (this.#again) {
        this.#again = false
        await this.#serve()
      }
    } finally {
      this.#working = false
    }
  }

  async #serve(): Promise<void> {
    for (let first = this.#waiting[0]; first; first = this.#waiting[0]) {
      if (first.over) {
        this.#waiting.shift()
        continue
      }
      if (this.usedBytes + first.model.memoryBytes <= this.budgetBytes) {
        this.#waiting.shift()
        first.end(this.#lease(first))
        continue
      }
      const victim = this.#victim()
      if (!victim) {
        if (this.#options.waitMs === 0) first.end(full(first.model))
        else return
      } else if (!(await this.#evict(victim))) this.#unwilling.add(victim)
    }
  }

  /** The one that was used least recently, of those that nothing is at work in. */
  #victim(): Held | null {
    let found: Held | null = null
    for (const held of this.#held)
      if (!held.tenant.busy && !this.#unwilling.has(held) && (!found || held.usedTick < found.usedTick)) found = held
    return found
  }

  #lease({ model, tenant }: Waiting): Lease {
    const held: Held = { model, tenant, usedTick: this.#options.clock.tick(), evicting: null }
    this.#held.add(held)
    this.#arm()
    return {
      model,
      used: () => {
        held.usedTick = this.#options.clock.tick()
        if (this.#waiting.length > 0) this.#changed()
      },
      release: () => this.#release(held),
    }
  }

  #release(held: Held): void {
    if (!this.#held.delete(held)) return
    this.#changed()
  }

  /** Whether its memory is free. One that is being asked is not asked twice at once. */
  #evict(held: Held): Promise<boolean> {
    if (!this.#held.has(held)) return Promise.resolve(true)
    held.evicting ??= this.#asked(held).finally(() => {
      held.evicting = null
    })
    return held.evicting
  }

  async #asked(held: Held): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<false>((resolve) => {
      timer = setTimeout(() => resolve(false), this.#options.evictMs ?? EVICT_MS)
      timer.unref()
    })
    try {
      const gone = await Promise.race([held.tenant.evict(), late])
      if (gone) this.#release(held)
      return gone || !this.#held.has(held)
    } catch {
      // It is the tenant's to say why; here it means that nothing became free.
      return false
    } finally {
      clearTimeout(timer)
    }
  }

  /** The timer for the first one whose time is over. */
  #arm(): void {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    const { clock, idleMs, keeps } = this.#options
    const due = [...this.#held].filter(({ model }) => !keeps.has(model.id)).map(({ usedTick }) => usedTick + idleMs)
    if (idleMs === 0 || due.length === 0) return
    // At least a second: one that is busy all the time has its time over again and again.
    const ms = Math.max(Math.min(...due) - clock.tick(), 1000)
    this.#timer = setTimeout(() => void this.sweep(), ms)
    this.#timer.unref()
  }
}

const full = ({ id }: LocalModel): Failure =>
  fail('MODEL_AT_CAPACITY', { say: `There is no memory for ${id} at the moment: other models are at work in it`, internal: 'memory_busy' })

function reasonOf(signal: Signal): Failure {
  return signal.reason instanceof Failure ? signal.reason : callerLeft()
}
