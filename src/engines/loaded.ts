/** One model and its child: loaded when it is asked for, unloaded when its memory is wanted elsewhere, and loaded again. */
import { Cancel, type Signal } from '../core/cancel.ts'
import { Failure, callerLeft, fail } from '../core/errors.ts'
import type { Lease, LocalModel, LocalModels, Tenant } from '../core/local-models.ts'
import type { CallEnd } from './process-calls.ts'
import { EngineProcess, type ProcessOptions } from './process.ts'
import { Slots } from './slots.ts'

/** The largest files of a slow disk take minutes. */
const START_MS = 600_000

/** How an engine runs a model in a child: its script, what that is told at its start, and what its refusals mean. */
export type ChildPlan = Pick<ProcessOptions, 'script' | 'env' | 'failure'> & {
  /** Goes to the script as JSON, in its only argument. */
  readonly start: unknown
  /** Is told what the child says of itself each time it is ready. */
  readonly onReady?: (info: unknown) => void
  /** Calls that may wait per call that is computed. More would wait for longer than anybody does. */
  readonly waitingPerSlot: number
}

/** How long a call may wait for its turn and for the model (`firstByteMs`), and for each word of the child (`stallMs`). */
export type Waits = { readonly signal: Signal; readonly firstByteMs: number; readonly stallMs: number }

export type LoadedCall = Waits & {
  readonly bytes?: Uint8Array
  /** How many calls of the same run may be in the queue before this one; 0 where a run makes them one after another. */
  readonly choice?: number
  readonly onPart?: (value: unknown) => void
}

/** Invariant: its child lives only while the lease is held. */
export class Loaded implements Tenant {
  readonly model: LocalModel
  readonly #models: LocalModels
  readonly #slots: Slots
  readonly #child: EngineProcess
  readonly #onReady: (info: unknown) => void
  #lease: Lease | null = null
  #opening: Promise<void> | null = null
  /** Ends a wait for memory when the engine closes. */
  readonly #closing = new Cancel()
  #runs = 0

  constructor(model: LocalModel, models: LocalModels, { start, waitingPerSlot, onReady = () => undefined, ...child }: ChildPlan) {
    this.model = model
    this.#models = models
    this.#onReady = onReady
    const slots = Math.max(1, model.parallel)
    this.#slots = new Slots(slots, slots * waitingPerSlot)
    this.#child = new EngineProcess({ ...child, args: [JSON.stringify(start)], startMs: START_MS, onGone: () => this.#release() })
  }

  get busy(): boolean {
    return this.#runs > 0 || this.#child.busy > 0
  }

  /** The child's process id, for tests and measurements; null while the model is not loaded. */
  get pid(): number | null {
    return this.#child.pid
  }

  /** What the child said of itself when it was ready; the model is loaded for it. */
  async info({ signal, firstByteMs }: Waits): Promise<unknown> {
    await this.#ready(signal, firstByteMs)
    return this.#child.info
  }

  /**
   * One call of the child, in turn. Rejects with `MODEL_AT_CAPACITY` where the queue is full or too slow, with what the child's
   * refusal means, and with the signal's reason on abort: a call that waits then loses its place, one that runs is ended.
   */
  call(method: string, body: unknown, { signal, firstByteMs, stallMs, choice = 0, ...rest }: LoadedCall): Promise<CallEnd> {
    return this.during(async () => {
      const giveBack = await this.#slots.take(choice, signal, firstByteMs)
      try {
        await this.#ready(signal, firstByteMs)
        return await this.#child.call(method, body, { ...rest, signal, silentMs: stallMs })
      } finally {
        giveBack()
      }
    })
  }

  /** Work of several calls of which the child remembers the earlier ones: the model is not unloaded between them. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    this.#runs++
    try {
      return await work()
    } finally {
      this.#runs--
      this.#lease?.used()
    }
  }

  /**
   * Tells the child what takes no computing, at once, however many wait for their turn. Nobody hears what came of it; where there
   * is no child there is nothing to be told. One that does not answer within `silentMs` is taken for hung.
   */
  tell(method: string, body: unknown, silentMs: number): void {
    this.#child.call(method, body, { signal: new Cancel(), silentMs }).catch(() => undefined)
  }

  /** Loads the model before anybody asks for it. */
  async warm(): Promise<void> {
    await this.#ready(this.#closing, START_MS)
  }

  async evict(): Promise<boolean> {
    if (this.busy) return false
    await this.#child.stop()
    this.#release()
    return true
  }

  async close(): Promise<void> {
    this.#closing.abort(fail('SHUTTING_DOWN'))
    await this.#child.close()
    this.#release()
  }

  /** Room and a child, for as long as the caller waits; whoever waits for the same shares it. */
  async #ready(signal: Signal, limitMs: number): Promise<void> {
    while (this.#lease === null || this.#child.state !== 'ready') {
      this.#opening ??= this.#open().finally(() => (this.#opening = null))
      await awaited(this.#opening, signal, limitMs)
    }
    this.#lease.used()
  }

  async #open(): Promise<void> {
    this.#lease ??= await this.#models.acquire(this.model.id, this, this.#closing)
    try {
      await this.#child.ensureReady(this.#closing)
      this.#onReady(this.#child.info)
    } catch (error) {
      this.#release()
      throw error
    }
  }

  #release(): void {
    this.#lease?.release()
    this.#lease = null
  }
}

/** Waits for what goes on for others too. */
function awaited(what: Promise<void>, signal: Signal, limitMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(reasonOf(signal))
    const settle = (end: () => void): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', leave)
      end()
    }
    const leave = (): void => settle(() => reject(reasonOf(signal)))
    const timer = setTimeout(() => settle(() => reject(fail('REQUEST_TIMEOUT', { internal: 'local_loading' }))), limitMs)
    signal.addEventListener('abort', leave, { once: true })
    what.then(
      () => settle(resolve),
      (error: unknown) => settle(() => reject(error instanceof Error ? error : callerLeft())),
    )
  })
}

const reasonOf = (signal: Signal): Failure => (signal.reason instanceof Failure ? signal.reason : callerLeft())
