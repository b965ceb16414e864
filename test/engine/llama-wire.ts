/** What the engine's HTTP interface takes, and the shapes that llama.cpp's own server gives its answers. */
import { z } from 'zod'

const textPart = z.object({ type: z.literal('text'), text: z.string() })

export const chatRequest = z.object({
  model: z.string(),
  messages: z
    .array(z.object({ role: z.enum(['system', 'developer', 'user', 'assistant']), content: z.union([z.string(), z.array(textPart)]) }))
    .min(1),
  max_tokens: z.int().positive().nullish(),
  max_completion_tokens: z.int().positive().nullish(),
  temperature: z.number().min(0).nullish(),
  top_p: z.number().nullish(),
  top_k: z.int().nullish(),
  min_p: z.number().nullish(),
  seed: z.int().nullish(),
  stop: z.union([z.string(), z.array(z.string())]).nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_usage: z.boolean().nullish() }).nullish(),
  // What this engine has no way to do is refused, so that no test passes by silence.
  n: z.literal(1).nullish(),
  tools: z.array(z.never()).nullish(),
  response_format: z.object({ type: z.literal('text') }).nullish(),
  logprobs: z.literal(false).nullish(),
})
export type ChatRequest = z.infer<typeof chatRequest>

const tokens = z.array(z.int().nonnegative()).min(1)

export const embeddingRequest = z.object({
  model: z.string(),
  input: z.union([z.string().min(1), z.array(z.string().min(1)).min(1), tokens, z.array(tokens).min(1)]),
  encoding_format: z.enum(['float', 'base64']).nullish(),
})
export type EmbeddingRequest = z.infer<typeof embeddingRequest>

export type Counted = { readonly promptTokens: number; readonly outputTokens: number }

export const usage = ({ promptTokens, outputTokens }: Counted) => ({
  prompt_tokens: promptTokens,
  completion_tokens: outputTokens,
  total_tokens: promptTokens + outputTokens,
})

/** Answers with a status of its own, in the wire shape of llama.cpp's errors. */
export class Refusal extends Error {
  readonly status: number
  readonly type: string

  constructor(status: number, type: string, message: string) {
    super(message)
    this.status = status
    this.type = type
  }

  get body(): unknown {
    return { error: { code: this.status, message: this.message, type: this.type } }
  }
}
