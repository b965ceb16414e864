/** What the gateway and the llama children say to each other. */
import type { TextRequest } from '../../core/modalities/text.ts'

/** What the child is started with, as JSON in its only argument. */
export type ChildStart = {
  readonly file: string
  readonly modality: 'text' | 'embedding'
  readonly contextTokens: number
  readonly parallel: number
  readonly threads: number
  /** Without one, or where it cannot be used, the CPU computes. */
  readonly gpu: boolean
}

/** What the child says of itself when the model is loaded. */
export type ChildInfo = {
  /** Of all GPUs that it computes on; 0 where the CPU computes. */
  readonly gpuMemoryBytes: number
  readonly contextTokens: number
}

/** What the child of llama.cpp's own server is started with. It only chats. */
export type ServerStart = Omit<ChildStart, 'modality'> & {
  /** Absolute path of the program. */
  readonly program: string
  /** What turns pictures into tokens; null for a model that does not see. */
  readonly projector: string | null
  /** What the program gets to see of the environment. */
  readonly env: Readonly<Record<string, string>>
}

/** One choice of a chat: the method `chat`. */
export type ChatBody = Pick<
  TextRequest,
  | 'messages'
  | 'stream'
  | 'maxTokens'
  | 'stop'
  | 'tools'
  | 'toolChoice'
  | 'parallelToolCalls'
  | 'format'
  | 'logprobs'
  | 'effort'
  | 'cacheKey'
  | 'sampling'
> & {
  readonly choice: number
}

/** The log probability of one token, in the wire shape of OpenAI. */
export type TokenLogprob = {
  readonly token: string
  readonly logprob: number
  readonly bytes: readonly number[]
  readonly top_logprobs: readonly Omit<TokenLogprob, 'top_logprobs'>[]
}

export type WireCall = { readonly id: string; readonly name: string; readonly arguments: string }

/** A part of a streamed choice. */
export type Piece =
  | readonly ['text', string]
  | readonly ['scored', string, readonly TokenLogprob[]]
  | readonly ['thought', string]
  | readonly ['call', WireCall]

/** How a choice ended; `pieces` holds all of it where it was not streamed, joined. */
export type ChatEnd = {
  readonly reason: 'stop' | 'length' | 'tool_calls'
  readonly promptTokens: number
  readonly cachedTokens: number
  readonly outputTokens: number
  readonly reasoningTokens: number
  readonly pieces: readonly Piece[]
}

/** The method `embed`; the vectors come as 32-bit floats, one after another. */
export type EmbedBody = { readonly inputs: readonly (string | readonly number[])[]; readonly dimensions: number | null }
export type EmbedEnd = { readonly dimensions: number; readonly tokens: number }
