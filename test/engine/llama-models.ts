/** Two models loaded into llama.cpp by node-llama-cpp: one answers chats, one embeds. */
import { getLlama, LlamaChat, resolveChatWrapper } from 'node-llama-cpp'
import type { ChatHistoryItem, LlamaModel, Token } from 'node-llama-cpp'
import { Refusal } from './llama-wire.ts'
import type { ChatRequest, Counted, EmbeddingRequest } from './llama-wire.ts'

const THREADS = 2
/** How many chats are computed at once, and how many more may wait for their turn. */
const SLOTS = 2
const MAX_WAITING = 16
const BATCH_TOKENS = 512

export type Answer = Counted & { readonly text: string; readonly reason: 'stop' | 'length' | 'abort' }

export type Models = {
  readonly names: readonly string[]
  /** What the engine's own server says of a model in its list. */
  about(name: string): Record<string, number>
  /** Computes an answer, giving out its text as it comes. An abort stops the computing and resolves with what there is. */
  chat(request: ChatRequest, signal: AbortSignal, onText: (text: string) => void): Promise<Answer>
  /** One vector of length 1 per input. */
  embed(request: EmbeddingRequest, signal: AbortSignal): Promise<{ vectors: number[][]; promptTokens: number }>
}

export async function loadModels(paths: { readonly chat: string; readonly embedding: string }, contextTokens: number): Promise<Models> {
  const llama = await getLlama({
    // Apple's arm64 build has no variant without Metal; no layer is given to it.
    gpu: process.platform === 'darwin' && process.arch === 'arm64' ? 'metal' : false,
    build: 'never',
    skipDownload: true,
    progressLogs: false,
    maxThreads: THREADS,
  })
  const chatModel = await llama.loadModel({ modelPath: paths.chat, gpuLayers: 0 })
  const embeddingModel = await llama.loadModel({ modelPath: paths.embedding, gpuLayers: 0 })
  const models = new Map([chatModel, embeddingModel].map((model) => [model.fileInfo.metadata.general.name ?? '', model]))

  const named = (name: string, wanted: LlamaModel): LlamaModel => {
    if (models.get(name) === wanted) return wanted
    throw new Refusal(404, 'not_found_error', models.has(name) ? 'this model does something else' : 'there is no such model')
  }
  const chat = await chatWith(chatModel, contextTokens)
  const embed = await embedWith(embeddingModel, contextTokens)
  return {
    names: [...models.keys()],
    about(name) {
      const model = models.get(name)
      if (model === undefined) return {}
      return { n_ctx_train: model.trainContextSize, n_embd: model.embeddingVectorSize, size: model.size }
    },
    chat: async (request, signal, onText) => (named(request.model, chatModel), chat(request, signal, onText)),
    embed: async (request, signal) => (named(request.model, embeddingModel), embed(request, signal)),
  }
}

async function chatWith(model: LlamaModel, contextTokens: number): Promise<Models['chat']> {
  const context = await model.createContext({ contextSize: contextTokens, sequences: SLOTS, threads: THREADS, batchSize: BATCH_TOKENS })
  // Once per model: it reads the chat template, which takes longer than a short answer.
  const chatWrapper = resolveChatWrapper(model)
  const slots = lend(Array.from({ length: SLOTS }, () => context.getSequence()))

  return async (request, signal, onText) => {
    const history = historyOf(request)
    const promptTokens = chatWrapper.generateContextState({ chatHistory: history }).contextText.tokenize(model.tokenizer).length
    const room = contextTokens - promptTokens
    if (room < 1) throw new Refusal(400, 'exceed_context_size_error', 'the request exceeds the available context size')

    const contextSequence = await slots.take(signal)
    const before = contextSequence.tokenMeter.getState()
    const counted = () => ({ promptTokens, outputTokens: contextSequence.tokenMeter.diff(before).usedOutputTokens })
    const chat = new LlamaChat({ contextSequence, chatWrapper })
    try {
      await contextSequence.clearHistory()
      const { response, metadata } = await chat.generateResponse(history, {
        signal,
        stopOnAbortSignal: true,
        onTextChunk: onText,
        maxTokens: Math.min(request.max_tokens ?? room, request.max_completion_tokens ?? room, room),
        customStopTriggers: [request.stop ?? []].flat(),
        repeatPenalty: false,
        temperature: request.temperature ?? 0,
        ...(request.top_p == null ? {} : { topP: request.top_p }),
        ...(request.top_k == null ? {} : { topK: request.top_k }),
        ...(request.min_p == null ? {} : { minP: request.min_p }),
        ...(request.seed == null ? {} : { seed: request.seed }),
      })
      const reason = metadata.stopReason === 'maxTokens' ? 'length' : metadata.stopReason === 'abort' ? 'abort' : 'stop'
      return { text: response, reason, ...counted() }
    } catch (error) {
      // Aborted before the first token, the library rejects instead of resolving.
      if (!signal.aborted) throw error
      return { text: '', reason: 'abort', ...counted() }
    } finally {
      chat.dispose({ disposeSequence: false })
      slots.giveBack(contextSequence)
    }
  }
}

async function embedWith(model: LlamaModel, contextTokens: number): Promise<Models['embed']> {
  const context = await model.createEmbeddingContext({ contextSize: contextTokens, batchSize: contextTokens, threads: THREADS })

  return async (request, signal) => {
    const { input } = request
    // An array is one input where it holds numbers, and several where it holds texts or arrays.
    const texts = typeof input === 'string' ? [input] : input.every((item) => typeof item === 'number') ? [input] : input
    const vectors: number[][] = []
    let promptTokens = 0
    for (const text of texts) {
      signal.throwIfAborted()
      const tokens = tokensOf(model, text)
      if (tokens.length >= contextTokens) throw new Refusal(400, 'exceed_context_size_error', 'an input exceeds the available context size')
      promptTokens += context.calculateInputLength([...tokens])
      const { vector } = await context.getEmbeddingFor(tokens)
      const length = Math.hypot(...vector)
      vectors.push(vector.map((value) => value / length))
    }
    return { vectors, promptTokens }
  }
}

function tokensOf(model: LlamaModel, text: string | number | readonly number[]): Token[] {
  if (typeof text === 'string') return model.tokenize(text)
  const size = model.fileInfo.metadata.tokenizer.ggml.tokens.length
  const ids = typeof text === 'number' ? [text] : text
  if (ids.some((id) => id >= size)) throw new Refusal(400, 'invalid_request_error', 'a token is not in the vocabulary')
  // Checked above: these numbers are tokens of this model.
  return ids as Token[]
}

function historyOf({ messages }: ChatRequest): ChatHistoryItem[] {
  const history = messages.map(({ role, content }): ChatHistoryItem => {
    const text = typeof content === 'string' ? content : content.map((part) => part.text).join('')
    if (role === 'user') return { type: 'user', text }
    return role === 'assistant' ? { type: 'model', response: [text] } : { type: 'system', text }
  })
  // The answer that is to be written.
  return [...history, { type: 'model', response: [] }]
}

/** Lends things out, one to each, and lets the others wait in order; whoever got one gives it back. */
function lend<Thing>(free: Thing[]) {
  const waiting: ((thing: Thing) => void)[] = []
  return {
    async take(signal: AbortSignal): Promise<Thing> {
      const thing = free.pop()
      if (thing !== undefined) return thing
      if (waiting.length === MAX_WAITING) throw new Refusal(503, 'unavailable_error', 'too many requests are waiting')
      return await new Promise((resolve, reject) => {
        waiting.push(resolve)
        signal.addEventListener('abort', () => {
          const place = waiting.indexOf(resolve)
          if (place >= 0) waiting.splice(place, 1)
          reject(signal.reason)
        })
      })
    },
    giveBack(thing: Thing): void {
      const next = waiting.shift()
      if (next === undefined) free.push(thing)
      else next(thing)
    },
  }
}
