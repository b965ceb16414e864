/** One model and its child: loaded when it is asked for, unloaded when its memory is wanted elsewhere, and loaded again. */
import type { Signal } from '../../core/cancel.ts'
import { Cancel } from '../../core/cancel.ts'
import { Failure, callerLeft, fail } from '../../core/errors.ts'
import type { Lease, LocalModel, LocalModels, Tenant } from '../../core/local-models.ts'
import type { CallEnd } from '../process-calls.ts'
import { EngineProcess } from '../process.ts'
import { childFailure } from './failure.ts'
import { Slots } from './slots.ts'
import type { ChildStart } from './wire.ts'

/** The largest files of a slow disk take minutes. */
const START_MS = 600_000
/** Runs that may wait per run that is computed. More would wait for longer than anybody does. */
const WAITING_PER_SLOT = 16
const CONTEXT_TOKENS = 8_192

export type LoadedOptions = {
  readonly models: LocalModels
  readonly env: Readonly<Record<string, string>>
  readonly threads: number
  readonly gpu: boolean
}

/** What one call needs beside its body. */
export type Waits = { readonly signal: Signal; readonly firstByteMs: number; readonly stallMs: number }

/** Invariant: its child lives only while the lease is held. */
export class Loaded implements Tenant {
  readonly model: LocalModel
  readonly #models: LocalModels
  readonly #slots: Slots
  readonly #child: EngineProcess
  #lease: Lease | null = null
  #opening: Promise<void> | null = null
  /** Ends a wait for memory when the engine closes. */
  readonly #closing = new Cancel()
  #runs = 0

  constructor(model: LocalModel, { models, env, threads, gpu }: LoadedOptions) {
    this.model = model
    this.#models = models
    this.#slots = new Slots(model.parallel, model.parallel * WAITING_PER_SLOT)
    const start: ChildStart = {
      file: model.file,
      modality: model.modality === 'embedding' ? 'embedding' : 'text',
      contextTokens: model.contextTokens ?? CONTEXT_TOKENS,
      parallel: model.parallel,
      threads,
      gpu,
    }
    this.#child = new EngineProcess({
      script: new URL('./child.ts', import.meta.url),
      args: [JSON.stringify(start)],
      env,
      startMs: START_MS,
      failure: childFailure,
      onGone: () => this.#release(),
    })
  }

  get busy(): boolean {
    return this.#runs > 0 || this.#child.busy > 0
  }

  /** The child's process id, for tests and measurements; null while the model is not loaded. */
  get pid(): number | null {
    return this.#child.pid
  }

  /** One call of the child, in turn: `choice` is how many of the same run went before it. */
  async call(method: string, body: unknown, choice: number, waits: Waits, onPart: (value: unknown) => void): Promise<CallEnd> {
    const { signal, firstByteMs, stallMs } = waits
    this.#runs++
    try {
      const giveBack = await this.#slots.take(choice, signal, firstByteMs)
      try {
        await this.#ready(signal, firstByteMs)
        return await this.#child.call(method, body, { signal, silentMs: stallMs, onPart })
      } finally {
        giveBack()
      }
    } finally {
      this.#runs--
      this.#lease?.used()
    }
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
    const timer = setTimeout(() => settle(() => reject(fail('REQUEST_TIMEOUT', { internal: 'llama_loading' }))), limitMs)
    signal.addEventListener('abort', leave, { once: true })
    what.then(
      () => settle(resolve),
      (error: unknown) => settle(() => reject(error instanceof Error ? error : callerLeft())),
    )
  })
}

const reasonOf = (signal: Signal): Failure => (signal.reason instanceof Failure ? signal.reason : callerLeft())
