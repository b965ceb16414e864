/** The sherpa engine: speech and transcription by open models on this machine, each in a child of its own. */
import type { AudioTools } from '../../core/audio.ts'
import type { Abilities, Engine, EngineModel, Reach } from '../../core/engine.ts'
import type { LocalModel, LocalModels } from '../../core/local-models.ts'
import { Children } from '../children.ts'
import { asrAbility } from './asr.ts'
import { childFailure } from './failure.ts'
import { ttsAbility } from './tts.ts'
import type { ChildStart } from './wire.ts'

/** Sentences and stretches that may wait for each that is computed. */
const WAITING_PER_SLOT = 64

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
  readonly #children: Children

  constructor({ id, models, tools, env, threads }: SherpaOptions) {
    this.id = id
    const children = new Children({
      models,
      takes: ({ modality }) => modality === 'tts' || modality === 'asr',
      plan: (model) => ({
        script: new URL('./child.ts', import.meta.url),
        env,
        failure: childFailure,
        start: startOf(model, threads),
        waitingPerSlot: WAITING_PER_SLOT,
      }),
    })
    this.#children = children
    this.abilities = { tts: ttsAbility((model) => children.of(model)), asr: asrAbility((model) => children.of(model), tools) }
  }

  async probe(): Promise<Reach> {
    const models = this.#children.installed()
    return { up: true, models: models.map(({ id, modality }): EngineModel => ({ name: id, modality, contextTokens: null })) }
  }

  close(): Promise<void> {
    return this.#children.close()
  }

  async warm(model: string): Promise<void> {
    await this.#children.of(model).warm()
  }

  /** The process id of a model's child; null where it is not loaded. */
  pid(model: string): number | null {
    return this.#children.pid(model)
  }
}

const startOf = ({ file, others, modality }: LocalModel, threads: number): ChildStart => ({
  modality: modality === 'tts' ? 'tts' : 'asr',
  file,
  others,
  threads,
})
