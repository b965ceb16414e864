/** Models that nobody configured: those that a local engine says it has. */
import type { EngineModel, Privacy } from '../core/engine.ts'
import type { Model } from '../core/model.ts'
import { capabilitiesOf } from './build.ts'
import type { WireCapabilities } from './entry.ts'

/** The most models that one engine brings in; a server that lists more is not a local one. */
export const MAX_FOUND_PER_ENGINE = 1000

/** Of a model whose engine does not say how much it reads. */
const CONTEXT_TOKENS = 8192
/** Engines do not say since when they have a model; listings want a date that stays the same. */
const CREATED = 1_735_689_600

/** What an engine may call a model. A name is shown in listings, logs, headers and metrics. */
const NAME = /^[A-Za-z0-9][\w./:@+-]{0,127}$/

/** What an engine does not say of a model is not refused for it beforehand: the engine itself knows. */
const capabilitiesFound = ({ vision = true }: EngineModel): WireCapabilities => ({
  optimizedForCode: false,
  quantization: 'not-available',
  supportsFunctionCalling: true,
  supportsReasoning: true,
  supportsReasoningEffort: true,
  supportsResponseSchema: true,
  supportsVision: vision,
  supportsMultipleImages: vision,
  supportsAudioInput: false,
  supportsVideoInput: false,
  supportsWebSearch: false,
  supportsXSearch: false,
  supportsLogProbs: true,
  supportsTeeAttestation: false,
  supportsE2EE: false,
})
const FREE = { usd: 0, diem: 0 }

/** Those of an engine's models that can be listed at all: well-named, each once, not too many. */
export function listable(models: readonly EngineModel[]): ReadonlyMap<string, EngineModel> {
  const out = new Map<string, EngineModel>()
  for (const model of models) {
    if (out.size >= MAX_FOUND_PER_ENGINE) break
    if (NAME.test(model.name) && !out.has(model.name)) out.set(model.name, model)
  }
  return out
}

/** A model at no price, as private as its engine. Who sells access to it sets one (`POST /admin/prices`). */
export function foundModel(id: string, engine: { readonly id: string; readonly privacy: Privacy }, found: EngineModel): Model {
  if (found.modality === 'tts' || found.modality === 'asr') return foundAudio(id, engine, found.name, found.modality)
  const contextTokens = found.contextTokens ?? CONTEXT_TOKENS
  const text = found.modality !== 'embedding'
  const capabilities = capabilitiesFound(found)
  return {
    id,
    modality: text ? 'text' : 'embedding',
    name: found.name,
    privacy: engine.privacy,
    tier: 'XS',
    prices: { base: text ? { inputToken: 0, outputToken: 0 } : { inputToken: 0 } },
    bounds: { contextTokens, maxOutputTokens: text ? contextTokens : 0 },
    capabilities: text ? capabilitiesOf(capabilities) : null,
    defaults: {},
    sunset: null,
    deployments: [{ engine: engine.id, model: found.name, order: 0, weight: 1 }],
    created: CREATED,
    spec: {
      modelSource: '',
      ...(text
        ? { availableContextTokens: contextTokens, maxCompletionTokens: contextTokens, capabilities }
        : { maxInputTokens: contextTokens }),
      pricing: { input: FREE, output: FREE },
    },
  }
}

/** Its voices are what its engine takes: nobody lists them. */
const foundAudio = (
  id: string,
  engine: { readonly id: string; readonly privacy: Privacy },
  name: string,
  modality: 'tts' | 'asr',
): Model => ({
  id,
  modality,
  name,
  privacy: engine.privacy,
  tier: null,
  prices: { base: modality === 'tts' ? { character: 0 } : { audioSecond: 0 } },
  bounds: { contextTokens: 0, maxOutputTokens: 0 },
  capabilities: null,
  defaults: {},
  sunset: null,
  deployments: [{ engine: engine.id, model: name, order: 0, weight: 1 }],
  created: CREATED,
  spec: { modelSource: '', pricing: modality === 'tts' ? { input: FREE } : { per_audio_second: FREE } },
})
