import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { GAUGES, type Modality } from '../core/modality.ts'
import type { Unit } from '../core/usage.ts'
import { buildModel } from './build.ts'
import { modelFiles, rawFile, shippedCatalog, shippedEngines, shippedEntries, shippedNames, shippedPlans } from './testing.ts'

/** id | input, output and cache read in dollars per million | context | Function calling, Reasoning, Vision, Code, Uncensored, Beta | tier */
const TEXT = `
qwen3-4b|0.05|0.15||32768|FR|XS
openai-gpt-oss-120b|0.07|0.3||131072|FB|L
google-gemma-3-27b-it|0.12|0.2||202752|FV|M
qwen3-235b-a22b-instruct-2507|0.15|0.75||131072|F|L
llama-3.2-3b|0.15|0.6||131072|F|XS
venice-uncensored|0.2|0.9||32768|U|S
grok-code-fast-1|0.25|1.87|0.03|262144|FRC|L
qwen3-vl-235b-a22b|0.25|1.5||262144|FV|L
qwen3-next-80b|0.35|1.9||262144|FB|M
deepseek-v3.2|0.4|1|0.2|163840|R|L
minimax-m21|0.4|1.6|0.04|202752|FRC|L
qwen3-235b-a22b-thinking-2507|0.45|3.5||131072|FR|L
mistral-31-24b|0.5|2||131072|FV|S
grok-41-fast|0.5|1.25|0.13|262144|FRV|L
zai-org-glm-4.7|0.55|2.65|0.11|202752|FR|L
gemini-3-flash-preview|0.7|3.75|0.07|262144|FRV|L
llama-3.3-70b|0.7|2.8||131072|F|M
qwen3-coder-480b-a35b-instruct|0.75|3||262144|FC|L
kimi-k2-thinking|0.75|3.2|0.38|262144|FRC|L
hermes-3-llama-3.1-405b|1.1|3||131072|B|L
openai-gpt-52|2.19|17.5|0.22|262144|FR|L
openai-gpt-52-codex|2.19|17.5|0.22|262144|FRVCB|L
gemini-3-pro-preview|2.5|15|0.63|202752|FRV|L
claude-sonnet-45|3.75|18.75|0.38|202752|FRVCB|L
claude-opus-45|6|30|0.6|202752|FRVC|L`

const IMAGE = `
z-image-turbo|0.01|private
venice-sd35|0.01|private
hidream|0.01|private
qwen-image|0.01|private
lustify-sdxl|0.01|private
lustify-v7|0.01|private
wai-Illustrious|0.01|private
bg-remover|0.02|anonymized
flux-2-pro|0.04|anonymized
seedream-v4|0.05|anonymized
flux-2-max|0.09|anonymized
gpt-image-1-5|0.23|anonymized`

const rows = (table: string): string[][] =>
  table
    .trim()
    .split('\n')
    .map((line) => line.split('|'))
const nano = (usdPerMillion: string): number => Math.round(Number(usdPerMillion) * 1000)

describe('the shipped catalogue', () => {
  const models = new Map(shippedEntries().map((entry) => [entry.id, buildModel(entry)]))

  it.each(rows(TEXT))(
    'has %s at the contract’s price, context, capabilities and tier',
    (id = '', input = '', output = '', cache = '', context, features = '', tier) => {
      const model = models.get(id)

      expect(model).toMatchObject({ modality: 'text', tier, bounds: { contextTokens: Number(context) } })
      expect(model?.prices.base).toMatchObject({ inputToken: nano(input), outputToken: nano(output) })
      expect(model?.prices.base.cacheReadToken).toBe(cache === '' ? undefined : nano(cache))
      expect(model?.capabilities).toMatchObject({
        functionCalling: features.includes('F'),
        reasoning: features.includes('R'),
        vision: features.includes('V'),
      })
      expect(model?.spec).toMatchObject({ capabilities: { optimizedForCode: features.includes('C') } })
      expect(model?.spec['uncensored']).toBe(features.includes('U') ? true : undefined)
      expect(model?.spec['betaModel']).toBe(features.includes('B') ? true : undefined)
    },
  )

  it.each(rows(IMAGE))('has %s at the contract’s price and privacy', (id = '', usd = '', privacy) => {
    const model = models.get(id)

    expect(model).toMatchObject({ modality: 'image', privacy, prices: { base: { image: Number(usd) * 1e9 } } })
  })

  it('has the contract’s other models at their prices', () => {
    expect(models.get('nano-banana-pro')).toMatchObject({
      privacy: 'anonymized',
      spec: { pricing: { resolutions: { '1K': { usd: 0.18 }, '2K': { usd: 0.24 }, '4K': { usd: 0.35 } } } },
    })
    expect(models.get('tts-kokoro')).toMatchObject({ modality: 'tts', privacy: 'private', prices: { base: { character: 3500 } } })
    expect(models.get('nvidia/parakeet-tdt-0.6b-v3')).toMatchObject({ modality: 'asr', prices: { base: { audioSecond: 100_000 } } })
    expect(models.get('text-embedding-bge-m3')).toMatchObject({ tier: 'XS', prices: { base: { inputToken: 150, outputToken: 600 } } })
    expect(models.get('qwen-edit')).toMatchObject({ modality: 'inpaint', prices: { base: { image: 40_000_000 } } })
    expect(models.get('upscaler')?.spec).toMatchObject({ pricing: { upscale: { '2x': { usd: 0.02 }, '4x': { usd: 0.08 } } } })
  })

  it('promises privacy for the open models and not for those of third parties', () => {
    const anonymized = ['openai-gpt-52', 'claude-opus-45', 'gemini-3-pro-preview', 'grok-41-fast', 'text-embedding-3-small']
    const kept = ['zai-org-glm-4.7', 'qwen3-4b', 'mistral-31-24b', 'venice-uncensored', 'kimi-k2-thinking', 'deepseek-v3.2', 'sandbox-text']

    expect(anonymized.map((id) => models.get(id)?.privacy)).toEqual(anonymized.map(() => 'anonymized'))
    expect(kept.map((id) => models.get(id)?.privacy)).toEqual(kept.map(() => 'private'))
  })

  it('has every type, hundreds of models and few bytes', () => {
    const types = new Set([...models.values()].map(({ modality }) => modality))
    const bytes = modelFiles().reduce((sum, file) => sum + rawFile(file).length, 0)

    expect(types.size).toBe(9)
    expect(models.size).toBeGreaterThan(200)
    expect(bytes).toBeLessThan(400_000)
  })

  it('sells every runnable model: each unit that its gauge counts has a price', () => {
    const runnable = [...models.values()].filter(({ modality }) => Object.hasOwn(GAUGES, modality))

    const units = (modality: Modality): readonly Unit[] =>
      modality === 'tts' ? ['character'] : modality === 'asr' ? ['audioSecond'] : ['inputToken', 'outputToken']
    expect(runnable.filter(({ modality, prices }) => units(modality).some((unit) => prices.base[unit] === undefined))).toEqual([])
  })

  it('asks for no more than a third party’s key or a local server for any of its runnable models', () => {
    const catalog = shippedCatalog(shippedEngines().map(({ id }) => id))

    const offline = [...catalog.list('text'), ...catalog.list('embedding')].filter(({ model_spec }) => model_spec.offline)

    expect(offline).toEqual([])
  })

  it('runs nothing but the sandbox where nothing is configured, and names that as the default', () => {
    const catalog = shippedCatalog([])

    const online = catalog.list('all').filter(({ model_spec }) => !model_spec.offline)

    expect(online.map(({ id }) => id).sort()).toEqual(['sandbox-asr', 'sandbox-embedding', 'sandbox-text', 'sandbox-tts'])
    expect(catalog.resolve('default', 'text').model.id).toBe('sandbox-text')
    expect(catalog.resolve('default', 'embedding').model.id).toBe('sandbox-embedding')
    expect(catalog.resolve('gpt-4o', 'text').model.id).toBe('zai-org-glm-4.7')
    expect(catalog.list('text').at(-1)?.id).toBe('sandbox-text')
  })

  it('has a default for any one service that is configured alone', () => {
    const alone = shippedEngines().filter(({ id, keyEnv }) => keyEnv !== undefined && id !== 'perplexity')

    const defaults = alone.map(({ id }) => shippedCatalog([id]).resolve('default', 'text').model.id)

    expect(defaults).not.toContain('sandbox-text')
  })

  it('names no model in names.json that it does not have', () => {
    const { traits, compatibility } = shippedNames()
    const named = [traits, compatibility].flatMap((half) =>
      Object.entries(half).flatMap(([type, names]) => Object.values(names).flatMap((ids) => ids.map((id) => ({ type, id })))),
    )

    expect(named.filter(({ type, id }) => models.get(id)?.modality !== type)).toEqual([])
  })

  it('has no compatibility name that an id would hide', () => {
    const names = Object.values(shippedNames().compatibility).flatMap((half) => Object.keys(half))

    expect(names.filter((name) => models.has(name))).toEqual([])
  })

  it('has the contract’s limits', () => {
    const { default: plan, partner, operator } = shippedPlans()

    const tiers = (of: typeof plan) =>
      Object.fromEntries(Object.entries(of?.text ?? {}).map(([tier, { rpm, tpm, rpd }]) => [tier, [rpm, tpm, rpd]]))
    expect(tiers(plan)).toEqual({ XS: [500, 1_000_000, null], S: [75, 750_000, null], M: [50, 750_000, null], L: [20, 500_000, null] })
    expect(tiers(partner)).toEqual({
      XS: [500, 2_000_000, null],
      S: [150, 1_500_000, null],
      M: [100, 1_500_000, null],
      L: [60, 1_000_000, null],
    })
    const others = (of: typeof plan) => [
      of?.image.rpm,
      of?.tts.rpm,
      of?.asr.rpm,
      of?.embedding.rpm,
      of?.video.rpm,
      of?.videoRetrieve.rpm,
      of?.createKey.rpm,
    ]
    expect([others(plan), others(partner)]).toEqual([
      [20, 60, 60, 500, 40, 120, 20],
      [60, 120, 120, 500, 40, 120, 20],
    ])
    expect(operator?.text.L).toEqual({ rpm: null, tpm: null, rpd: null })
  })

  it('shows every model in the public shape', () => {
    const shown = shippedCatalog(['venice']).list('all')

    const wrong = shown.flatMap((model) => {
      const read = modelResponse.safeParse(JSON.parse(JSON.stringify(model)))
      return read.success ? [] : [`${model.id}: ${read.error.issues[0]?.path.join('.')} ${read.error.issues[0]?.message}`]
    })

    expect(wrong).toEqual([])
  })
})

/** The public API's own schema of a model, written by hand from its description; closed where that is. */
const cost = z.object({ usd: z.number(), diem: z.number() })
const each = z.object({ default: z.number() })
const quality = z.enum(['low', 'medium', 'high'])
const strings = z.array(z.string())
const rates = { input: cost, output: cost, cache_input: cost.optional(), cache_write: cost.optional() }
const constraints = z.union([
  z.object({
    promptCharacterLimit: z.number(),
    steps: z.object({ default: z.number(), max: z.number() }),
    widthHeightDivisor: z.number(),
    aspectRatios: strings.optional(),
    defaultAspectRatio: z.string().optional(),
    resolutions: strings.optional(),
    defaultResolution: z.string().optional(),
    qualities: z.array(quality).optional(),
  }),
  z.object({
    temperature: each,
    top_p: each,
    frequency_penalty: each.optional(),
    presence_penalty: each.optional(),
    repetition_penalty: each.optional(),
  }),
  z.object({
    aspect_ratios: strings,
    resolutions: strings,
    durations: strings,
    model_type: z.enum(['image-to-video', 'text-to-video', 'video']),
    audio: z.boolean(),
    audio_configurable: z.boolean(),
    prompt_character_limit: z.number().optional(),
  }),
  z.object({ aspectRatios: strings, promptCharacterLimit: z.number(), combineImages: z.boolean() }),
])
const pricing = z.union([
  z.object({ ...rates, extended: z.object({ context_token_threshold: z.number(), ...rates }).optional() }),
  z.object({
    generation: cost.optional(),
    resolutions: z.record(z.string(), cost).optional(),
    upscale: z.object({ '2x': cost, '4x': cost }),
  }),
  z.object({ input: cost }),
  z.object({ per_audio_second: cost }),
  z.object({ inpaint: cost }),
  z.object({ generation: cost }),
  z.object({ durations: z.record(z.string(), z.object({ ...cost.shape, min_seconds: z.number(), max_seconds: z.number() })) }),
  z.object({ per_second: cost }),
  z.object({ per_thousand_characters: cost }),
])
const effort = z.enum(['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max'])
const modelResponse = z.strictObject({
  id: z.string(),
  object: z.literal('model'),
  owned_by: z.literal('venice.ai'),
  type: z.enum(['asr', 'embedding', 'image', 'music', 'text', 'tts', 'upscale', 'inpaint', 'video']),
  created: z.number(),
  context_length: z.number().optional(),
  model_spec: z.object({
    name: z.string(),
    description: z.string().optional(),
    modelSource: z.string().optional(),
    privacy: z.enum(['private', 'anonymized']),
    offline: z.boolean(),
    traits: strings,
    betaModel: z.boolean().optional(),
    uncensored: z.boolean().optional(),
    availableContextTokens: z.number().optional(),
    maxCompletionTokens: z.number().optional(),
    capabilities: z
      .strictObject({
        optimizedForCode: z.boolean(),
        quantization: z.enum(['fp4', 'fp8', 'fp16', 'bf16', 'int8', 'int4', 'not-available']),
        supportsFunctionCalling: z.boolean(),
        supportsAudioInput: z.boolean(),
        supportsReasoning: z.boolean(),
        supportsReasoningEffort: z.boolean(),
        reasoningEffortOptions: z.array(effort).optional(),
        defaultReasoningEffort: effort.optional(),
        supportsResponseSchema: z.boolean(),
        supportsMultipleImages: z.boolean(),
        maxImages: z.number().optional(),
        maxVideos: z.number().optional(),
        supportsVision: z.boolean(),
        supportsVideoInput: z.boolean(),
        supportsWebSearch: z.boolean(),
        supportsLogProbs: z.boolean(),
        supportsTeeAttestation: z.boolean(),
        supportsE2EE: z.boolean(),
        supportsXSearch: z.boolean(),
      })
      .optional(),
    constraints: constraints.optional(),
    pricing: pricing.optional(),
    embeddingDimensions: z.number().optional(),
    maxInputTokens: z.number().optional(),
    supportsCustomDimensions: z.boolean().optional(),
    voices: strings.optional(),
    default_voice: z.string().optional(),
    supports_lyrics: z.boolean().optional(),
    lyrics_required: z.boolean().optional(),
    supports_force_instrumental: z.boolean().optional(),
    supports_speed: z.boolean().optional(),
    default_speed: z.number().optional(),
    min_duration: z.number().optional(),
    max_duration: z.number().optional(),
    duration_options: z.array(z.number()).optional(),
    supported_formats: strings.optional(),
    default_format: z.string().optional(),
    prompt_character_limit: z.number().optional(),
  }),
})
