/** Configuration folders for `startRialto`: models of a test, with prices, on engines that are scripted upstreams. */

/** What a token costs in these models, in nano-dollars: primes, so that a sum says what it is made of. */
export const INPUT_NANO = 7
export const OUTPUT_NANO = 13

const CAPABILITIES = {
  optimizedForCode: false,
  quantization: 'not-available',
  supportsFunctionCalling: true,
  supportsAudioInput: true,
  supportsReasoning: true,
  supportsReasoningEffort: true,
  supportsResponseSchema: true,
  supportsMultipleImages: true,
  supportsVision: true,
  supportsVideoInput: true,
  supportsWebSearch: false,
  supportsLogProbs: true,
  supportsTeeAttestation: false,
  supportsE2EE: false,
  supportsXSearch: false,
}

const perMillion = (nano: number): { usd: number; diem: number } => ({ usd: nano / 1_000, diem: nano / 1_000 })

/** A priced text model that these engines serve under its own id, in the order they are given. */
export const textModel = (id: string, ...engines: readonly string[]): object => ({
  id,
  type: 'text',
  created: 1,
  tier: 'S',
  privacy: 'private',
  spec: {
    name: `The ${id}`,
    availableContextTokens: 32_768,
    maxCompletionTokens: 4_096,
    capabilities: CAPABILITIES,
    pricing: { input: perMillion(INPUT_NANO), output: perMillion(OUTPUT_NANO) },
  },
  deployments: engines.map((engine, order) => ({ engine, order })),
})

export const embeddingModel = (id: string, ...engines: readonly string[]): object => ({
  id,
  type: 'embedding',
  created: 1,
  tier: 'S',
  privacy: 'private',
  spec: { name: `The ${id}`, maxInputTokens: 8_192, pricing: { input: perMillion(INPUT_NANO), output: perMillion(0) } },
  deployments: engines.map((engine, order) => ({ engine, order })),
})

/** An engine that speaks OpenAI's dialect at this address; `more` is laid over its fields. */
export const engineAt = (id: string, baseUrl: string, more: object = {}): object => ({
  id,
  kind: 'openai',
  baseUrl,
  privacy: 'private',
  lists: false,
  remedy: 'Start it.',
  ...more,
})

/** Files of a configuration folder. Nothing is put in front of a chat, so that its tokens can be counted. */
export const overlay = (engines: readonly object[], models: readonly object[], more: Readonly<Record<string, unknown>> = {}) => ({
  'engines.json': engines,
  'models/test.json': models,
  'system-prompt.md': '',
  ...more,
})

/** The same limit for every kind of model. */
export function planOf(limit: { readonly rpm: number | null; readonly tpm: number | null }): object {
  const kinds = ['embedding', 'image', 'inpaint', 'upscale', 'tts', 'asr', 'music', 'video']
  return { text: { XS: limit, S: limit, M: limit, L: limit }, ...Object.fromEntries(kinds.map((kind) => [kind, limit])) }
}
