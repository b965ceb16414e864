/** The wire shapes of the catalogue's answers, for the documentation and the clients' generators. */
import { z } from 'zod'
import { MODALITIES } from '../../core/modality.ts'

export const modelType = z.enum(MODALITIES)
export const listType = z.enum([...MODALITIES, 'all', 'code'])

const cost = z.looseObject({ usd: z.number(), diem: z.number() })

const pricing = z
  .looseObject({
    input: cost.optional().describe('Per million tokens of input; for speech per million characters.'),
    output: cost.optional().describe('Per million tokens of output.'),
    cache_input: cost.optional().describe('Per million tokens of input that were read from a cache.'),
    cache_write: cost.optional().describe('Per million tokens of input that were written to a cache.'),
    extended: z
      .looseObject({ context_token_threshold: z.number(), input: cost, output: cost })
      .optional()
      .describe('The rates of the whole request once its input is longer than the threshold.'),
    generation: cost.optional().describe('Per image or piece of music.'),
    resolutions: z.record(z.string(), cost).optional().describe('Per image, by resolution.'),
    upscale: z.record(z.string(), cost).optional().describe('Per image, by factor.'),
    inpaint: cost.optional().describe('Per edit.'),
    per_audio_second: cost.optional(),
    per_second: cost.optional(),
    per_thousand_characters: cost.optional(),
    durations: z.record(z.string(), cost).optional().describe('Per piece of music, by length.'),
  })
  .describe('Which fields are there depends on the type of the model.')

const capabilities = z.looseObject({
  optimizedForCode: z.boolean(),
  quantization: z.string(),
  supportsFunctionCalling: z.boolean(),
  supportsReasoning: z.boolean(),
  supportsReasoningEffort: z.boolean(),
  reasoningEffortOptions: z.array(z.string()).optional(),
  defaultReasoningEffort: z.string().optional(),
  supportsResponseSchema: z.boolean(),
  supportsVision: z.boolean(),
  supportsMultipleImages: z.boolean(),
  maxImages: z.number().optional(),
  supportsAudioInput: z.boolean(),
  supportsVideoInput: z.boolean(),
  supportsWebSearch: z.boolean(),
  supportsXSearch: z.boolean(),
  supportsLogProbs: z.boolean(),
  supportsTeeAttestation: z.boolean(),
  supportsE2EE: z.boolean(),
})

export const publicModel = z.object({
  id: z.string(),
  object: z.literal('model'),
  owned_by: z.literal('venice.ai'),
  type: modelType,
  created: z.number().describe('When it was released, in seconds since 1970.'),
  context_length: z.number().optional().describe('Text models only: how many tokens it reads.'),
  model_spec: z.looseObject({
    name: z.string(),
    description: z.string().optional(),
    modelSource: z.string().optional(),
    privacy: z.enum(['private', 'anonymized']),
    offline: z.boolean().describe('Whether no deployment of it can be reached at the moment.'),
    traits: z.array(z.string()).describe('The traits that stand for this model at the moment.'),
    betaModel: z.boolean().optional(),
    uncensored: z.boolean().optional(),
    availableContextTokens: z.number().optional(),
    maxCompletionTokens: z.number().optional(),
    embeddingDimensions: z.number().optional(),
    maxInputTokens: z.number().optional(),
    voices: z.array(z.string()).optional(),
    pricing: pricing.optional(),
    capabilities: capabilities.optional(),
    constraints: z.looseObject({}).optional(),
    deprecation: z
      .object({
        autoRemap: z.boolean(),
        date: z.string(),
        removesAt: z.string(),
        startsAt: z.string().optional(),
        replacementModelId: z.string().optional(),
      })
      .optional(),
  }),
})

export const modelList = z.object({ object: z.literal('list'), type: listType, data: z.array(publicModel) })
export const nameMap = z.object({
  object: z.literal('list'),
  type: modelType,
  data: z.record(z.string(), z.string()).describe('Name → id of the model that it stands for.'),
})
