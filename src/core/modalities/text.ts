/**
 * The text modality: what a chat asks and what comes back, piece by piece.
 *
 * Messages, tools and deltas keep the shape that the OpenAI chat API gives them, snake_case and all, and pass through
 * as they came: it is the language every text engine speaks, their contents are opaque here, and vendor fields must
 * survive both ways. Everything that Rialto itself reads or decides on has a field of its own.
 */
import type { Bounds, Gauge } from '../modality.ts'
import type { Usage } from '../usage.ts'

export type Role = 'system' | 'developer' | 'user' | 'assistant' | 'tool'

export type ContentPart = { readonly type: string; readonly [field: string]: unknown }

export type Message = {
  readonly role: Role
  readonly content?: string | readonly ContentPart[] | null
  readonly [field: string]: unknown
}

/** The parts of a message whose content is a list; none where it is a text or nothing. */
export const partsOf = ({ content }: Message): readonly ContentPart[] => (typeof content === 'string' ? [] : (content ?? []))

export type Tool = {
  readonly type: 'function'
  readonly function: {
    readonly name: string
    readonly description?: string
    readonly parameters?: Readonly<Record<string, unknown>>
    readonly strict?: boolean | null
  }
  readonly [field: string]: unknown
}

export type ToolChoice = 'auto' | 'none' | 'required' | { readonly type: 'function'; readonly function: { readonly name: string } }

export const EFFORTS = ['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max'] as const
export type Effort = (typeof EFFORTS)[number]

/** The sampling fields by their wire names, so that one list serves schema, engines and refusals. */
export type Sampling = {
  readonly temperature?: number
  readonly top_p?: number
  readonly top_k?: number
  readonly min_p?: number
  readonly min_temp?: number
  readonly max_temp?: number
  readonly frequency_penalty?: number
  readonly presence_penalty?: number
  readonly repetition_penalty?: number
  readonly seed?: number
  readonly stop_token_ids?: readonly number[]
}

export type Format =
  | { readonly type: 'json_object' }
  | {
      readonly type: 'json_schema'
      readonly name: string
      readonly strict: boolean | undefined
      readonly schema: Readonly<Record<string, unknown>>
    }

export type TextRequest = {
  readonly messages: readonly Message[]
  /** How many of the first of them are the server's own: what is said of a message counts from those of the caller. */
  readonly ownMessages?: number
  readonly stream: boolean
  /** How many answers, at least 1. */
  readonly choices: number
  /** The most output tokens per choice, reasoning included; null leaves it to the model. */
  readonly maxTokens: number | null
  readonly sampling: Sampling
  readonly stop: readonly string[]
  readonly tools: readonly Tool[]
  readonly toolChoice: ToolChoice | null
  readonly parallelToolCalls: boolean | null
  readonly format: Format | null
  /** How many alternatives per token; null for no log probabilities at all. */
  readonly logprobs: number | null
  /** `none` turns thinking off; null leaves it to the model. */
  readonly effort: Effort | null
  readonly reasoningSummary: 'auto' | 'concise' | 'detailed' | null
  readonly cacheKey: string | null
  readonly cacheRetention: 'default' | 'extended' | '24h' | null
  readonly verbosity: 'low' | 'medium' | 'high' | null
  /** Orders for the sandbox engine, opaque to everybody else; null outside of tests. */
  readonly sandbox: SandboxOrders | null
  /** The size of the request's text in bytes, media left out: never less than the tokens it becomes. */
  readonly sizeBytes: number
  /** How many images, recordings and films are in it. */
  readonly media: number
}

/** How the sandbox is told to misbehave. Counts are of parts; times in milliseconds. */
export type SandboxOrders = {
  readonly delayMs?: number
  readonly intervalMs?: number
  readonly status?: number
  readonly dieAfter?: number
  readonly stallAfter?: number
}

declare const escapedBrand: unique symbol
/**
 * The inside of a JSON string, in UTF-8 bytes held one per character (latin1).
 * An upstream's escaping is passed on as it came: decoding and encoding every chunk would cost more than everything
 * else that Rialto does for it. `textOf` reads one, `escaped` makes one.
 */
export type Escaped = string & { readonly [escapedBrand]: true }

export type FinishReason = 'stop' | 'length' | 'tool_calls' | 'content_filter'

export type ToolCallDelta = {
  readonly index: number
  readonly id?: string
  readonly type?: 'function'
  readonly function?: { readonly name?: string; readonly arguments?: string }
  readonly [field: string]: unknown
}

/** What a choice gained, in the wire shape of a chat delta. Vendor fields (`reasoning_details`, …) ride along. */
export type Delta = {
  readonly role?: string
  readonly content?: string | null
  readonly reasoning_content?: string | null
  readonly refusal?: string | null
  readonly tool_calls?: readonly ToolCallDelta[]
  readonly [field: string]: unknown
}

/** A whole choice, in the wire shape of a chat message. */
export type Choice = {
  readonly index: number
  readonly message: Readonly<Record<string, unknown>>
  readonly finishReason: FinishReason
  readonly logprobs: unknown
}

/**
 * A streamed run sends `text` and `delta` parts and one `end` per choice; a run that was not asked to stream sends
 * exactly one `whole`. Tool calls of a delta are indexed from 0 per choice, each index one call, the first delta of a
 * call with id, type and name.
 */
export type TextPart =
  | { readonly type: 'text'; readonly choice: number; readonly json: Escaped }
  | { readonly type: 'delta'; readonly choice: number; readonly delta: Delta; readonly logprobs: unknown }
  | { readonly type: 'end'; readonly choice: number; readonly reason: FinishReason }
  | { readonly type: 'whole'; readonly choices: readonly Choice[] }

/** UTF-8 bytes as latin1 characters, ready to be written with the encoding `latin1`. */
export const bytesOf = (text: string): string => (isAscii(text) ? text : Buffer.from(text, 'utf8').toString('latin1'))

export const escaped = (text: string): Escaped =>
  // A JSON string between its quotes is what an Escaped is.
  bytesOf(JSON.stringify(text).slice(1, -1)) as Escaped

export function textOf(json: Escaped): string {
  const value: unknown = JSON.parse(`"${isAscii(json) ? json : Buffer.from(json, 'latin1').toString('utf8')}"`)
  return String(value)
}

/**
 * Tokens of a text where nobody counts them: four ASCII characters, or one other, to a token, rounded down. An
 * estimate in the caller's favour, used only where an engine reports no usage.
 */
export function estimateTokens(text: string): number {
  let other = 0
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 127) other++
  return Math.floor((text.length - other) / 4) + other
}

/** An answer of fewer tokens helps nobody, unless that is what was asked for. */
export const LEAST_OUTPUT_TOKENS = 16

/** Rough measures for limits per minute; corrected by what was used. */
const BYTES_PER_TOKEN = 4
const MEDIA_TOKENS = 1_000

export const textGauge: Gauge<TextRequest, TextPart> = {
  unit: 'outputToken',

  ceiling(request: TextRequest, bounds: Bounds): Usage {
    // What a chat template may add to a message. Media may become any number of tokens, so they hold the whole context.
    const perMessage = 16
    const text = request.sizeBytes + request.messages.length * perMessage
    const inputToken = request.media > 0 ? bounds.contextTokens : Math.min(bounds.contextTokens, text)
    return { inputToken, outputToken: perChoice(request, bounds) * request.choices }
  },

  floor(request: TextRequest, bounds: Bounds): Usage {
    return textGauge.ceiling({ ...request, maxTokens: Math.min(LEAST_OUTPUT_TOKENS, perChoice(request, bounds)) }, bounds)
  },

  fit(request: TextRequest, bounds: Bounds, affords: (ceiling: Usage) => boolean): TextRequest {
    const longest = perChoice(request, bounds)
    let fits = Math.min(LEAST_OUTPUT_TOKENS, longest)
    // Prices only grow with the length, so half of what is left can be ruled out each time.
    for (let tooLong = longest + 1; tooLong - fits > 1; ) {
      const middle = Math.floor((fits + tooLong) / 2)
      if (affords(textGauge.ceiling({ ...request, maxTokens: middle }, bounds))) fits = middle
      else tooLong = middle
    }
    return { ...request, maxTokens: fits }
  },

  weight: (request: TextRequest): number => Math.ceil(request.sizeBytes / BYTES_PER_TOKEN) + request.media * MEDIA_TOKENS,

  opening(request: TextRequest): Usage {
    let tokens = 0
    for (const message of request.messages) {
      tokens += 4
      if (typeof message.content === 'string') tokens += estimateTokens(message.content)
      else for (const part of message.content ?? []) if (typeof part['text'] === 'string') tokens += estimateTokens(part['text'])
    }
    return { inputToken: tokens }
  },

  tally(part: TextPart): number {
    switch (part.type) {
      case 'text':
        return Math.max(1, Math.floor(part.json.length / 4))
      case 'delta':
        return estimateDelta(part.delta)
      case 'end':
        return 0
      case 'whole': {
        let tokens = 0
        for (const choice of part.choices) tokens += estimateDelta(choice.message)
        return tokens
      }
    }
  },
}

/** What the caller asks for goes to the engine as it is, so it is held as it is, up to what a model can hold at all. */
const perChoice = ({ maxTokens }: TextRequest, bounds: Bounds): number =>
  maxTokens === null ? bounds.maxOutputTokens : Math.min(maxTokens, bounds.contextTokens)

function estimateDelta(delta: Delta): number {
  let tokens = 0
  if (delta.content) tokens += estimateTokens(delta.content)
  if (delta.reasoning_content) tokens += estimateTokens(delta.reasoning_content)
  for (const call of delta.tool_calls ?? []) tokens += estimateTokens((call.function?.name ?? '') + (call.function?.arguments ?? ''))
  return tokens
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 127) return false
  return true
}
