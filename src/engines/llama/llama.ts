/**
 * The llama engine: open-weight models on this machine, each in a child of its own: by node-llama-cpp, or by llama.cpp's own server
 * where that is there and wanted. Nothing of either is loaded here.
 * Which model files there are and which of them may be in memory is for the store of models to say (`core/local-models.ts`).
 */
import type { Abilities, Engine, EngineModel, Reach } from '../../core/engine.ts'
import { type LocalModel, type LocalModels, PROJECTOR, sees } from '../../core/local-models.ts'
import { Children } from '../children.ts'
import { isFields } from '../fields.ts'
import { embeddingAbility } from './embedding.ts'
import { childFailure } from './failure.ts'
import type { Loaded } from '../loaded.ts'
import type { Run } from './refusal.ts'
import { textAbility } from './text.ts'
import type { ChildStart, ServerStart } from './wire.ts'

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
  /** llama.cpp's own server; null where there is none. */
  readonly server: Server | null
}

export type Server = {
  /** Absolute path of the program. */
  readonly program: string
  /** What its child runs: see `child-server.ts`. */
  readonly script: URL
  /** Which text models it runs. Those without a projector may be run by either way, those with one see by this way only. */
  readonly runs: (model: LocalModel) => boolean
}

export class LlamaEngine implements Engine {
  readonly id: string
  readonly privacy = 'private'
  readonly lists = true
  readonly abilities: Abilities
  readonly #children: Children

  constructor({ id, models, env, threads, gpu, server }: LlamaOptions) {
    this.id = id
    const serverOf = (model: LocalModel): Server | null => (model.modality === 'text' && server?.runs(model) ? server : null)
    const children = new Children({
      models,
      takes: ({ modality }) => modality === 'text' || modality === 'embedding',
      plan(model) {
        const start = startOf(model, threads, gpu)
        const by = serverOf(model)
        const onReady = (info: unknown): void => {
          const bytes = gpuMemoryIn(info)
          if (bytes > 0) models.onGpu(bytes)
        }
        const common = { env, failure: childFailure, onReady, waitingPerSlot: WAITING_PER_SLOT }
        if (by === null) return { ...common, script: new URL('./child.ts', import.meta.url), start }
        return { ...common, script: by.script, start: serverStartOf(model, start, by.program, env) }
      },
    })
    this.#children = children
    const loaded = (model: string): Loaded => children.of(model)
    const runOf = (id: string): Run => {
      const model = children.model(id)
      const by = model !== null && serverOf(model) !== null ? 'server' : 'library'
      return { model: id, by, sees: model !== null && sees(model) }
    }
    this.abilities = { text: textAbility(loaded, runOf), embedding: embeddingAbility(loaded) }
  }

  async probe(): Promise<Reach> {
    return { up: true, models: this.#children.installed().map(listed) }
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

/** Of the GPU that a child computes on; 0 where it has none, or does not say. */
function gpuMemoryIn(info: unknown): number {
  const bytes = isFields(info) ? info['gpuMemoryBytes'] : null
  return typeof bytes === 'number' && Number.isSafeInteger(bytes) ? bytes : 0
}

const startOf = ({ file, modality, contextTokens, parallel }: LocalModel, threads: number, gpu: boolean): ChildStart => ({
  file,
  modality: modality === 'embedding' ? 'embedding' : 'text',
  contextTokens: contextTokens ?? CONTEXT_TOKENS,
  parallel,
  threads,
  gpu,
})

function serverStartOf(
  { others }: LocalModel,
  { modality: _text, ...start }: ChildStart,
  program: string,
  env: Readonly<Record<string, string>>,
): ServerStart {
  return { ...start, program, projector: others[PROJECTOR] ?? null, env }
}

const listed = (model: LocalModel): EngineModel => ({
  name: model.id,
  modality: model.modality === 'embedding' ? 'embedding' : 'text',
  contextTokens: model.contextTokens,
  vision: sees(model),
})
