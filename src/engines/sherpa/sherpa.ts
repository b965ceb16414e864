/** The sherpa engine: speech and transcription by open models on this machine, each in a child of its own. */
import type { AudioTools } from '../../core/audio.ts'
import type { Abilities, Engine, EngineModel, Reach } from '../../core/engine.ts'
import { fail } from '../../core/errors.ts'
import type { LocalModel, LocalModels } from '../../core/local-models.ts'
import { asrAbility } from './asr.ts'
import { Loaded } from './loaded.ts'
import { ttsAbility } from './tts.ts'

export type SherpaOptions = {
  readonly id: string
  readonly models: LocalModels
  readonly tools: AudioTools
  /** What children get to see of the environment: `bareEnvironment(process.env)`. */
  readonly env: Readonly<Record<string, string>>
  readonly threads: number
}

export class SherpaEngine implements Engine {
  readonly id: string
  readonly privacy = 'private'
  readonly lists = true
  readonly abilities: Abilities
  readonly #options: SherpaOptions
  readonly #loaded = new Map<string, Loaded>()
  readonly #unwatch: () => void

  constructor(options: SherpaOptions) {
    this.id = options.id
    this.#options = options
    const loaded = (model: string): Loaded => this.#of(model)
    this.abilities = { tts: ttsAbility(loaded, options.tools), asr: asrAbility(loaded, options.tools) }
    this.#unwatch = options.models.onChange(() => this.#sweep())
  }

  /** What is installed; whether its files are any good shows when they are loaded. */
  async probe(): Promise<Reach> {
    return { up: true, models: this.#installed().map(({ id, modality }): EngineModel => ({ name: id, modality, contextTokens: null })) }
  }

  async close(): Promise<void> {
    this.#unwatch()
    await Promise.all([...this.#loaded.values()].map((one) => one.close()))
    this.#loaded.clear()
  }

  /** The process id of a model's child; null where it is not loaded. */
  pid(model: string): number | null {
    return this.#loaded.get(model)?.pid ?? null
  }

  #of(id: string): Loaded {
    const model = this.#installed().find((one) => one.id === id)
    if (!model) {
      throw fail('MODEL_OFFLINE', {
        say: `The model is not on this machine yet: npm run models -- pull ${id}`,
        internal: 'sherpa_not_pulled',
      })
    }
    const there = this.#loaded.get(id)
    if (there && isSame(there.model, model)) return there
    if (there) void there.close()
    const made = new Loaded(model, this.#options)
    this.#loaded.set(id, made)
    return made
  }

  /** Children of models that are gone go too, once nobody uses them. */
  #sweep(): void {
    const installed = this.#installed()
    for (const [id, one] of this.#loaded) {
      if (one.busy || installed.some((model) => isSame(model, one.model))) continue
      this.#loaded.delete(id)
      void one.close()
    }
  }

  #installed(): readonly LocalModel[] {
    return this.#options.models.list().filter(({ modality }) => modality === 'tts' || modality === 'asr')
  }
}

const isSame = (a: LocalModel, b: LocalModel): boolean => a.id === b.id && a.file === b.file && a.parallel === b.parallel
