/** One model and its child: loaded when it is asked for, unloaded when its memory is wanted elsewhere, and loaded again. */
import { Cancel, type Signal } from '../../core/cancel.ts'
import { Failure, callerLeft, fail } from '../../core/errors.ts'
import type { Lease, LocalModel, LocalModels, Tenant } from '../../core/local-models.ts'
import type { CallEnd } from '../process-calls.ts'
import { EngineProcess } from '../process.ts'
import { childInfo } from './wire.ts'
import type { ChildStart } from './wire.ts'

const START_MS = 300_000
/** Sentences and stretches that may wait for each that is computed. */
const WAITING_PER_SLOT = 64

export type LoadedOptions = {
  readonly models: LocalModels
  readonly env: Readonly<Record<string, string>>
  readonly threads: number
}

export type Waits = { readonly signal: Signal; readonly firstByteMs: number; readonly stallMs: number }

/** Invariant: its child lives only while the lease is held. */
export class Loaded implements Tenant {
  readonly model: LocalModel
  readonly #models: LocalModels
  readonly #child: EngineProcess
  readonly #slots: number
  #lease: Lease | null = null
  #opening: Promise<void> | null = null
  readonly #closing = new Cancel()
  #runs = 0
  #working = 0
  readonly #waiting: (() => void)[] = []

  constructor(model: LocalModel, { models, env, threads }: LoadedOptions) {
    this.model = model
    this.#models = models
    this.#slots = Math.max(1, model.parallel)
    const { file, others } = model
    const start: ChildStart = { modality: model.modality === 'tts' ? 'tts' : 'asr', file, others, threads }
    this.#child = new EngineProcess({
      script: new URL('./child.ts', import.meta.url),
      args: [JSON.stringify(start)],
      env,
      startMs: START_MS,
      failure: failureOf,
      onGone: () => this.#release(),
    })
  }

  get busy(): boolean {
    return this.#runs > 0 || this.#child.busy > 0
  }

  get pid(): number | null {
    return this.#child.pid
  }

  /** What the child says of itself, once it is there. */
  async info(waits: Waits): Promise<{ readonly speakers: number; readonly sampleRate: number }> {
    await this.#ready(waits)
    return childInfo.parse(this.#child.info)
  }

  /** One call of the child; calls take turns in the order they come. */
  async call(method: string, body: unknown, bytes: Uint8Array | null, waits: Waits): Promise<CallEnd> {
    this.#runs++
    try {
      await this.#turn(waits.signal)
      try {
        await this.#ready(waits)
        return await this.#child.call(method, body, { signal: waits.signal, silentMs: waits.stallMs, ...(bytes && { bytes }) })
      } finally {
        this.#working--
        this.#waiting.shift()?.()
      }
    } finally {
      this.#runs--
      this.#lease?.used()
    }
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

  /** Resolves when it is this call's turn; the place is taken by then. Who leaves while it waits loses its place. */
  #turn(signal: Signal): Promise<void> {
    if (signal.aborted) return Promise.reject(reasonOf(signal))
    if (this.#working < this.#slots) {
      this.#working++
      return Promise.resolve()
    }
    if (this.#waiting.length >= this.#slots * WAITING_PER_SLOT)
      return Promise.reject(fail('MODEL_AT_CAPACITY', { internal: 'sherpa_full' }))
    return new Promise((resolve, reject) => {
      const go = (): void => {
        signal.removeEventListener('abort', leave)
        this.#working++
        resolve()
      }
      const leave = (): void => {
        const at = this.#waiting.indexOf(go)
        if (at !== -1) this.#waiting.splice(at, 1)
        reject(reasonOf(signal))
      }
      this.#waiting.push(go)
      signal.addEventListener('abort', leave, { once: true })
    })
  }

  /** Room and a child, for as long as the caller waits; whoever waits for the same shares it. */
  async #ready({ signal, firstByteMs }: Waits): Promise<void> {
    while (this.#lease === null || this.#child.state !== 'ready') {
      this.#opening ??= this.#open().finally(() => (this.#opening = null))
      await awaited(this.#opening, signal, firstByteMs)
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

/** What the reasons of the child mean to a caller. */
function failureOf(reason: string): Failure {
  switch (reason) {
    case 'no_library':
      return fail('MODEL_OFFLINE', { say: 'The local engine for speech is not installed for this system', internal: 'sherpa_no_library' })
    case 'bad_file':
      return fail('MODEL_OFFLINE', { say: "The model's files cannot be read", internal: 'sherpa_bad_file' })
    case 'wrong_modality':
      return fail('MODEL_OFFLINE', { say: 'The model cannot do this', internal: 'sherpa_wrong_modality' })
    case 'busy':
      return fail('MODEL_AT_CAPACITY', { internal: 'sherpa_full' })
    default:
      return fail('INFERENCE_FAILED', { internal: 'sherpa_defect' })
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
    const timer = setTimeout(() => settle(() => reject(fail('REQUEST_TIMEOUT', { internal: 'sherpa_loading' }))), limitMs)
    signal.addEventListener('abort', leave, { once: true })
    what.then(
      () => settle(resolve),
      (error: unknown) => settle(() => reject(error instanceof Error ? error : callerLeft())),
    )
  })
}

const reasonOf = (signal: Signal): Failure => (signal.reason instanceof Failure ? signal.reason : callerLeft())
