/** One entry of the files → the core's model. */
import type { Bounds, Modality } from '../core/modality.ts'
import type { Capabilities, Deployment, Model, Sunset } from '../core/model.ts'
import type { ModelEntry, WireCapabilities } from './entry.ts'
import { priceList } from './price.ts'

/** The engine that computes nothing: last of all, and only for models that have no other. */
export const SANDBOX = 'sandbox'

/** The file that an entry of this modality stands in, for the sentences of problems. */
export const fileOf = (modality: Modality): string => `models/${modality}.json`

/** Throws a `CatalogProblem` that names the model and the field. */
export function buildModel(entry: ModelEntry): Model {
  // Name and privacy have fields of their own in a Model.
  const { name, privacy: _privacy, ...spec } = entry.spec
  return {
    id: entry.id,
    modality: entry.type,
    name,
    privacy: entry.privacy,
    tier: entry.type === 'text' || entry.type === 'embedding' ? entry.tier : null,
    prices: priceList(entry),
    bounds: boundsOf(entry),
    capabilities: entry.type === 'text' ? capabilitiesOf(entry.spec.capabilities) : null,
    defaults: entry.type === 'text' ? defaultsOf(entry.spec.constraints ?? {}) : {},
    sunset: sunsetOf(entry),
    deployments: deploymentsOf(entry),
    created: entry.created,
    spec: entry.deprecation ? { ...spec, deprecation: entry.deprecation } : spec,
  }
}

function boundsOf(entry: ModelEntry): Bounds {
  if (entry.type === 'text') return { contextTokens: entry.spec.availableContextTokens, maxOutputTokens: entry.spec.maxCompletionTokens }
  if (entry.type === 'embedding') return { contextTokens: entry.spec.maxInputTokens, maxOutputTokens: 0 }
  return { contextTokens: 0, maxOutputTokens: 0 }
}

export function capabilitiesOf(wire: WireCapabilities): Capabilities {
  return {
    functionCalling: wire.supportsFunctionCalling,
    reasoning: wire.supportsReasoning,
    // Null where the files do not say which efforts there are: none is refused then.
    reasoningEfforts: wire.reasoningEffortOptions ?? null,
    responseSchema: wire.supportsResponseSchema,
    vision: wire.supportsVision,
    maxImages: wire.maxImages ?? (wire.supportsVision && !wire.supportsMultipleImages ? 1 : null),
    audioInput: wire.supportsAudioInput,
    videoInput: wire.supportsVideoInput,
    logProbs: wire.supportsLogProbs,
  }
}

function defaultsOf(constraints: Readonly<Record<string, { readonly default: number }>>): Record<string, number> {
  return Object.fromEntries(Object.entries(constraints).map(([name, value]) => [name, value.default]))
}

function sunsetOf({ deprecation }: ModelEntry): Sunset | null {
  if (!deprecation) return null
  const { date, removesAt, replacementModelId, autoRemap } = deprecation
  return { date, removesAt, replacement: replacementModelId ?? null, autoRemap }
}

/** In the order they are tried. The sandbox stands in for no model that something real can serve. */
function deploymentsOf(entry: ModelEntry): Deployment[] {
  const all = entry.deployments.map(({ engine, model = entry.id, order = 0, weight = 1 }) => ({ engine, model, order, weight }))
  const real = all.filter(({ engine }) => engine !== SANDBOX)
  return (real.length === 0 ? all : real).sort((a, b) => a.order - b.order)
}
