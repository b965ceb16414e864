/** Tiny models and a store of them that has room for all, for tests of the llama engine. */
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeTinyChatModel, writeTinyEmbeddingModel } from '../../../test/engine/tiny-gguf.ts'
import { fail } from '../../core/errors.ts'
import type { Lease, LocalModality, LocalModel, LocalModels, Tenant } from '../../core/local-models.ts'
import { bareEnvironment } from '../process.ts'
import { LlamaEngine } from './llama.ts'

export const CONTEXT_TOKENS = 2048

/** A store with nothing but a list, which tells who holds what and can make them let go. */
export class ModelsFixture implements LocalModels {
  readonly models: LocalModel[] = []
  readonly held = new Map<string, Tenant>()
  /** The memory of GPUs that it was told of. */
  readonly gpus: number[] = []
  readonly #listeners = new Set<() => void>()

  list(): readonly LocalModel[] {
    return this.models
  }

  onGpu(memoryBytes: number): void {
    this.gpus.push(memoryBytes)
  }

  acquire(id: string, tenant: Tenant): Promise<Lease> {
    const model = this.models.find((one) => one.id === id)
    if (!model) return Promise.reject(fail('MODEL_OFFLINE'))
    this.held.set(id, tenant)
    return Promise.resolve({
      model,
      used: () => undefined,
      release: () => {
        this.held.delete(id)
      },
    })
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async add(id: string, modality: LocalModality, file: string, different: Partial<LocalModel> = {}): Promise<void> {
    const { size } = await stat(file)
    this.models.push({
      id,
      modality,
      file,
      others: {},
      contextTokens: CONTEXT_TOKENS,
      parallel: modality === 'text' ? 4 : 1,
      sizeBytes: size,
      memoryBytes: size,
      ...different,
    })
    for (const listener of this.#listeners) listener()
  }
}

export type Files = { readonly folder: string; readonly chat: string; readonly embedding: string; dispose(): Promise<void> }

export async function makeFiles(): Promise<Files> {
  const folder = await mkdtemp(join(tmpdir(), 'rialto-llama-'))
  const [chat, embedding] = [join(folder, 'chat.gguf'), join(folder, 'embedding.gguf')]
  await Promise.all([writeTinyChatModel(chat), writeTinyEmbeddingModel(embedding)])
  return { folder, chat, embedding, dispose: () => rm(folder, { recursive: true, force: true }) }
}

export async function makeEngine(files: Files): Promise<{ engine: LlamaEngine; models: ModelsFixture }> {
  const models = new ModelsFixture()
  await models.add('tiny-chat', 'text', files.chat)
  await models.add('tiny-embedding', 'embedding', files.embedding)
  const engine = new LlamaEngine({ id: 'llama', models, env: bareEnvironment(process.env), threads: 1, gpu: false, server: null })
  return { engine, models }
}
