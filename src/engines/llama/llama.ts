/**
 * The llama engine: open-weight models on this machine, each in a child of its own. Nothing of the library is loaded here.
 * Which model files there are and which of them may be in memory is for the store of models to say (`core/local-models.ts`).
 */
import type { Abilities, Engine, EngineModel, Reach } from '../../core/engine.ts'
import { fail } from '../../core/errors.ts'
import type { LocalModel, LocalModels } from '../../core/local-models.ts'
import { embeddingAbility } from './embedding.ts'
import { Loaded } from './loaded.ts'
import { textAbility } from './text.ts'

export type LlamaOptions = {
  readonly id: string
  readonly models: LocalModels
  /** What children get to see of the environment: `bareEnvironment(process.env)`. */
  readonly env: Readonly<Record<string, string>>
  /** `os.availableParallelism()` is right for a machine that does nothing else. */
  readonly threads: number
  readonly gpu: boolean
}

export class LlamaEngine implements Engine {
  readonly id: string
  readonly privacy = 'private'
  readonly lists = true
  readonly abilities: Abilities
  readonly #options: LlamaOptions
  readonly #loaded = new Map<string, Loaded>()
  readonly #unwatch: () => void

  constructor(options: LlamaOptions) {
    this.id = options.id
    this.#options = options
    const loaded = (model: string): Loaded => this.#of(model)
    this.abilities = { text: textAbility(loaded), embedding: embeddingAbility(loaded) }
    this.#unwatch = options.models.onChange(() => this.#sweep())
  }

  /** What is installed; whether a file is any good shows when it is loaded. */
  async probe(): Promise<Reach> {
    return { up: true, models: this.#installed().map(listed) }
  }

  async close(): Promise<void> {
    this.#unwatch()
    await Promise.all([...this.#loaded.values()].map((one) => one.close()))
    this.#loaded.clear()
  }

  /** Loads a model before anybody asks for it. Rejects as a run of it would. */
  async warm(model: string): Promise<void> {
    await this.#of(model).warm()
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
        internal: 'llama_not_pulled',
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
    return this.#options.models.list().filter(({ modality }) => modality === 'text' || modality === 'embedding')
  }
}

const isSame = (a: LocalModel, b: LocalModel): boolean =>
  a.id === b.id && a.file === b.file && a.contextTokens === b.contextTokens && a.parallel === b.parallel

const listed = ({ id, modality, contextTokens }: LocalModel): EngineModel => ({
  name: id,
  modality: modality === 'embedding' ? 'embedding' : 'text',
  contextTokens,
})
