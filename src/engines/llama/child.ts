/**
 * The llama child: one model file in llama.cpp, by node-llama-cpp. The only script that loads the library; a file that is no
 * good, or a defect in native code, ends this process and nothing else.
 */
import type * as Library from 'node-llama-cpp'
import type { Llama, LlamaModel } from 'node-llama-cpp'
import { ChildFailure, serveParent } from '../process-child.ts'
import type { ChildHandler } from '../process-child.ts'
import type { ChatBody, ChildInfo, ChildStart, EmbedBody } from './wire.ts'

/** How many tokens of prompts are read at once: enough to keep the processor busy, few enough that others get their turn. */
const BATCH_TOKENS = 512

// The parent wrote it: it is what its type says.
const start = JSON.parse(process.argv[2] ?? '') as ChildStart

await serveParent(async () => {
  const library = await import('node-llama-cpp').catch(() => {
    throw new ChildFailure('no_library')
  })
  const llama = await open(library)
  const model = await llama.loadModel({ modelPath: start.file, ...(llama.gpu === false && { gpuLayers: 0 }) }).catch((error: unknown) => {
    throw new ChildFailure(error instanceof library.InsufficientMemoryError ? 'no_memory' : 'bad_file')
  })
  const handle = start.modality === 'text' ? await chats(llama, model) : await embeddings(model)
  const gpuMemoryBytes = llama.gpu === false ? 0 : (await llama.getVramState()).total
  const info: ChildInfo = { gpuMemoryBytes, contextTokens: contextTokensOf(model) }
  return { info, handle }
})

/** On the GPU where there is one and a build for it; otherwise, or where that fails, on the CPU. */
async function open({ getLlama, LlamaLogLevel }: Pick<typeof Library, 'getLlama' | 'LlamaLogLevel'>): Promise<Llama> {
  const options = {
    build: 'never',
    skipDownload: true,
    progressLogs: false,
    maxThreads: start.threads,
    logLevel: LlamaLogLevel.disabled,
  } as const
  if (start.gpu) {
    try {
      return await getLlama({ ...options, gpu: 'auto' })
    } catch {
      // No build for the GPU is installed, or it does not run here.
    }
  }
  try {
    return await getLlama({ ...options, gpu: false })
  } catch {
    throw new ChildFailure('no_library')
  }
}

function contextTokensOf(model: LlamaModel): number {
  return Math.min(start.contextTokens, model.trainContextSize || start.contextTokens)
}

/** The library says why in words only; the file was read, so what is missing is memory. */
function noRoom(): never {
  throw new ChildFailure('no_memory')
}

async function chats(llama: Llama, model: LlamaModel): Promise<ChildHandler> {
  const { Chats } = await import('./child-chat.ts')
  const sizes = { contextSize: contextTokensOf(model), sequences: start.parallel, batchSize: BATCH_TOKENS, threads: start.threads }
  const context = await model.createContext({ ...sizes, failedCreationRemedy: false }).catch(noRoom)
  const made = new Chats({ llama, model, context, parallel: start.parallel })
  return async (call) => {
    if (call.method !== 'chat') throw new ChildFailure('wrong_modality')
    // The gateway's ability made it.
    return { value: await made.chat(call.body as ChatBody, call) }
  }
}

async function embeddings(model: LlamaModel): Promise<ChildHandler> {
  const { Embeddings } = await import('./child-embedding.ts')
  const contextTokens = contextTokensOf(model)
  // A text is read in one batch: models that look both ways cannot do otherwise.
  const sizes = { contextSize: contextTokens, batchSize: contextTokens, threads: start.threads }
  const context = await model.createEmbeddingContext(sizes).catch(noRoom)
  const made = new Embeddings(model, context, contextTokens)
  return async (call) => {
    if (call.method !== 'embed') throw new ChildFailure('wrong_modality')
    // The gateway's ability made it.
    const { end, vectors } = await made.embed(call.body as EmbedBody, call)
    return { value: end, bytes: new Uint8Array(vectors.buffer) }
  }
}
