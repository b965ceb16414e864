/** The shapes of the catalogue's files: `models/*.json`, `names.json`, `engines.json` and `plans.json`. */
import { z } from 'zod'
import { MODALITIES } from '../core/modality.ts'
import type { Modality } from '../core/modality.ts'
import { EFFORTS } from '../core/modalities/text.ts'

/** An id is shown in listings, logs, headers and metrics: short and printable, without the signs that names are read by. */
const id = z.string().regex(/^[A-Za-z0-9][\w./:@+-]{0,127}$/, 'must be 1 to 128 letters, digits and . _ / : @ + -')
const privacy = z.enum(['private', 'anonymized'])
const tier = z.enum(['XS', 'S', 'M', 'L'])
const name = z.string().min(1).max(128)

/** Dollars (and Diem, which costs the same) for the unit that the field's place says. */
const cost = z.strictObject({ usd: z.number().nonnegative(), diem: z.number().nonnegative() })
export type Cost = z.infer<typeof cost>

const tokenRates = { input: cost, output: cost, cache_input: cost.optional(), cache_write: cost.optional() }
const textPricing = z.strictObject({
  ...tokenRates,
  extended: z.strictObject({ context_token_threshold: z.int().positive(), ...tokenRates }).optional(),
})
const levels = z.record(z.string(), z.strictObject({ low: cost.optional(), medium: cost.optional(), high: cost.optional() }))
const scales = z.strictObject({ '2x': cost, '4x': cost })
const imagePricing = z.strictObject({
  generation: cost.optional(),
  resolutions: z.record(z.string(), cost).optional(),
  quality: levels.optional(),
  upscale: scales,
})
const inpaintPricing = z.strictObject({
  inpaint: cost,
  resolutions: z.record(z.string(), cost).optional(),
  inputImages: z.strictObject({ included: z.int().nonnegative(), additional: cost }).optional(),
  quality: levels.optional(),
})
const span = z.strictObject({ ...cost.shape, min_seconds: z.number().nonnegative(), max_seconds: z.number().positive() })
const musicPricing = z.union([
  z.strictObject({ generation: cost }),
  z.strictObject({ durations: z.record(z.string(), span) }),
  z.strictObject({ per_second: cost }),
  z.strictObject({ per_thousand_characters: cost }),
])

const effort = z.enum(EFFORTS)
const capabilities = z.strictObject({
  optimizedForCode: z.boolean(),
  quantization: z.enum(['fp4', 'fp8', 'fp16', 'bf16', 'int8', 'int4', 'not-available']),
  supportsFunctionCalling: z.boolean(),
  supportsAudioInput: z.boolean(),
  supportsReasoning: z.boolean(),
  supportsReasoningEffort: z.boolean(),
  reasoningEffortOptions: z.array(effort).min(1).optional(),
  defaultReasoningEffort: effort.optional(),
  supportsResponseSchema: z.boolean(),
  supportsMultipleImages: z.boolean(),
  maxImages: z.int().positive().optional(),
  maxVideos: z.int().positive().optional(),
  supportsVision: z.boolean(),
  supportsVideoInput: z.boolean(),
  supportsWebSearch: z.boolean(),
  supportsLogProbs: z.boolean(),
  supportsTeeAttestation: z.boolean(),
  supportsE2EE: z.boolean(),
  supportsXSearch: z.boolean(),
})
export type WireCapabilities = z.infer<typeof capabilities>

/** Sampling defaults by wire name. */
const sampling = z.record(z.string(), z.strictObject({ default: z.number() }))

/** What a `model_spec` says of every model. Fields that are not named here are shown as they are. */
const spec = {
  name,
  description: z.string().max(1000).optional(),
  modelSource: z.string().max(500).optional(),
  beta: z.boolean().optional(),
  betaModel: z.boolean().optional(),
  uncensored: z.boolean().optional(),
  regionRestrictions: z.array(z.string()).optional(),
  // Worked out while the server runs, so that they cannot contradict what it does.
  privacy: z.never('is a field of the model, not of its spec').optional(),
  offline: z.never('is worked out by the server').optional(),
  traits: z.never('is worked out from names.json').optional(),
  deprecation: z.never('is a field of the model, not of its spec').optional(),
}
const voices = z.array(z.string()).optional()

const instant = z.union([z.iso.datetime({ offset: true }), z.iso.date()])
const deprecation = z
  .strictObject({
    autoRemap: z.boolean(),
    date: instant,
    removesAt: instant,
    startsAt: instant.optional(),
    replacementModelId: id.optional(),
  })
  .refine(({ startsAt, removesAt }) => startsAt === undefined || Date.parse(startsAt) <= Date.parse(removesAt), {
    path: ['startsAt'],
    error: 'must not be later than removesAt',
  })

const deployment = z.strictObject({
  engine: z.string().min(1).max(64),
  /** The engine's own name of the model; the id where it is left out. */
  model: z.string().min(1).max(256).optional(),
  order: z.int().min(0).max(1000).optional(),
  weight: z.number().positive().max(1_000_000).optional(),
})

const entry = {
  id,
  created: z.int().nonnegative(),
  privacy,
  deployments: z.array(deployment).max(100).default([]),
  deprecation: deprecation.optional(),
}

export const modelEntry = z.discriminatedUnion('type', [
  z.strictObject({
    ...entry,
    type: z.literal('text'),
    tier,
    spec: z.looseObject({
      ...spec,
      availableContextTokens: z.int().positive(),
      maxCompletionTokens: z.int().positive(),
      capabilities,
      pricing: textPricing,
      constraints: sampling.optional(),
    }),
  }),
  z.strictObject({
    ...entry,
    type: z.literal('embedding'),
    tier,
    spec: z.looseObject({
      ...spec,
      maxInputTokens: z.int().positive(),
      embeddingDimensions: z.int().positive().optional(),
      pricing: z.strictObject({ input: cost, output: cost }),
    }),
  }),
  z.strictObject({ ...entry, type: z.literal('image'), spec: z.looseObject({ ...spec, pricing: imagePricing }) }),
  z.strictObject({ ...entry, type: z.literal('inpaint'), spec: z.looseObject({ ...spec, pricing: inpaintPricing }) }),
  z.strictObject({ ...entry, type: z.literal('upscale'), spec: z.looseObject({ ...spec, pricing: imagePricing }) }),
  z.strictObject({ ...entry, type: z.literal('tts'), spec: z.looseObject({ ...spec, voices, pricing: z.strictObject({ input: cost }) }) }),
  z.strictObject({
    ...entry,
    type: z.literal('asr'),
    spec: z.looseObject({ ...spec, pricing: z.strictObject({ per_audio_second: cost }) }),
  }),
  z.strictObject({ ...entry, type: z.literal('music'), spec: z.looseObject({ ...spec, voices, pricing: musicPricing }) }),
  // What a video costs depends on its length and size: it is quoted, not listed.
  z.strictObject({ ...entry, type: z.literal('video'), spec: z.looseObject({ ...spec, pricing: z.never().optional() }) }),
])
export type ModelEntry = z.infer<typeof modelEntry>

/** One file of `models/`. */
export const modelsFile = z.array(modelEntry)

/** Name → ids in the order they are tried, per modality. */
const candidates = z.record(z.string().min(1).max(128), z.array(z.string().min(1).max(256)).min(1).max(64))
const byModality = z.partialRecord(z.enum(MODALITIES), candidates)

export const namesFile = z.strictObject({ traits: byModality, compatibility: byModality })
export type NamesFile = z.infer<typeof namesFile>
export type Candidates = Readonly<Partial<Record<Modality, Readonly<Record<string, readonly string[]>>>>>

const environmentName = z.string().regex(/^[A-Z][A-Z0-9_]{0,63}$/, 'must be the name of an environment variable')

const engineFields = z.strictObject({
  id: z.string().regex(/^[a-z][a-z0-9-]{0,31}$/, 'must be 1 to 32 lower-case letters, digits and -'),
  kind: z.enum(['openai', 'anthropic', 'sandbox', 'llama', 'sherpa']),
  baseUrl: z.url({ protocol: /^https?$/ }).optional(),
  /** The environment variable that replaces `baseUrl`. */
  baseUrlEnv: environmentName.optional(),
  /** The environment variable that holds the key; an engine that names one is used only while it is set. */
  keyEnv: environmentName.optional(),
  privacy,
  /** Whether the models that it says it has join the catalogue. */
  lists: z.boolean(),
  /** Wire names of request fields that this server rejects or ignores. */
  unsupported: z.array(z.string()).optional(),
  /** By which name it takes the limit of output tokens. */
  maxTokensField: z.enum(['max_tokens', 'max_completion_tokens']).optional(),
  /** Which API's words it has for speech and transcription; OpenAI's where nothing is said. */
  audioWords: z.enum(['openai', 'venice']).optional(),
  /** One sentence: what the operator does to bring it online; for an engine of this machine, to bring `{model}`. */
  remedy: z.string().min(1).max(300),
})

/** Whether engines of this kind are reached over the network. */
const isRemote = (kind: string): boolean => kind === 'openai' || kind === 'anthropic'

export const engineEntry = engineFields.refine(({ kind, baseUrl }) => !isRemote(kind) || baseUrl !== undefined, {
  path: ['baseUrl'],
  error: 'is needed to reach an engine of this kind',
})
export type EngineEntry = z.infer<typeof engineEntry>
export const enginesFile = z.array(engineEntry)

/** The most requests and tokens per minute and requests per UTC day; null is no limit. */
const most = z.int().positive().nullable().default(null)
const limit = z.strictObject({ rpm: most, tpm: most, rpd: most })
/** Of what runs no model, so that it has neither tokens nor records; the API's own numbers where a plan says nothing. */
const actionLimit = (rpm: number) =>
  z
    .strictObject({ rpm: z.int().positive().nullable() })
    .prefault({ rpm })
    .transform((row) => ({ ...row, tpm: null, rpd: null }))
const plan = z.strictObject({
  text: z.strictObject({ XS: limit, S: limit, M: limit, L: limit }),
  embedding: limit,
  image: limit,
  inpaint: limit,
  upscale: limit,
  tts: limit,
  asr: limit,
  music: limit,
  video: limit,
  videoRetrieve: actionLimit(120),
  createKey: actionLimit(20),
})
export const plansFile = z.record(z.string().regex(/^[a-z][a-z0-9-]{0,31}$/), plan)
export type PlansFile = z.infer<typeof plansFile>
