/**
 * The llama engine: open-weight models on this machine, each in a child of its own. Nothing of the library is loaded here.
 * Which model files there are and which of them may be in memory is for the store of models to say (`core/local-models.ts`).
 */
import type { Abilities, Engine, EngineModel, Reach } from '../../core/engine.ts'
import type { LocalModel, LocalModels } from '../../core/local-models.ts'
import { Children } from '../children.ts'
import { embeddingAbility } from './embedding.ts'
import { childFailure } from './failure.ts'
import { textAbility } from './text.ts'
import type { ChildStart } from './wire.ts'

/** Runs that may wait per run that is computed. */
const WAITING_PER_SLOT = 16
const CONTEXT_TOKENS = 8_192

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
  readonly #children: Children

  constructor({ id, models, env, threads, gpu }: LlamaOptions) {
    this.id = id
    const children = new Children({
      models,
      takes: ({ modality }) => modality === 'text' || modality === 'embedding',
      plan: (model) => ({
        script: new URL('./child.ts', import.meta.url),
        env,
        failure: childFailure,
        start: startOf(model, threads, gpu),
        waitingPerSlot: WAITING_PER_SLOT,
      }),
    })
    this.#children = children
    this.abilities = { text: textAbility((model) => children.of(model)), embedding: embeddingAbility((model) => children.of(model)) }
  }

  async probe(): Promise<Reach> {
    return { up: true, models: this.#children.installed().map(listed) }
  }

  close(): Promise<void> {
    return this.#children.close()
  }

  /** Loads a model before anybody asks for it. Rejects as a run of it would. */
  async warm(model: string): Promise<void> {
    await this.#children.of(model).warm()
  }

  /** The process id of a model's child; null where it is not loaded. */
  pid(model: string): number | null {
    return this.#children.pid(model)
  }
}

const startOf = ({ file, modality, contextTokens, parallel }: LocalModel, threads: number, gpu: boolean): ChildStart => ({
  file,
  modality: modality === 'embedding' ? 'embedding' : 'text',
  contextTokens: contextTokens ?? CONTEXT_TOKENS,
  parallel,
  threads,
  gpu,
})

const listed = ({ id, modality, contextTokens }: LocalModel): EngineModel => ({
  name: id,
  modality: modality === 'embedding' ? 'embedding' : 'text',
  contextTokens,
})
