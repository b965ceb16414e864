/** What a caller names and how it is served. */
import type { Modality, Bounds } from './modality.ts'
import type { Privacy } from './engine.ts'
import type { PriceList } from './money.ts'

/** XS, S, M, L of a text or embedding model: which of a plan's limits applies. Other modalities have their own rows. */
export type Tier = 'XS' | 'S' | 'M' | 'L'

/** One way to serve a model. Lower `order` first; among equals, in proportion to `weight`. */
export type Deployment = {
  readonly engine: string
  /** The engine's own name of the model. */
  readonly model: string
  readonly weight: number
  readonly order: number
}

export type Sunset = {
  /** ISO dates: when it was announced to end, and from when the model answers 410 or its replacement. */
  readonly date: string
  readonly removesAt: string
  readonly replacement: string | null
  readonly autoRemap: boolean
}

/** What a text model can do: what a request is checked against before anything is held. */
export type Capabilities = {
  readonly functionCalling: boolean
  readonly reasoning: boolean
  readonly reasoningEfforts: readonly string[] | null
  readonly responseSchema: boolean
  readonly vision: boolean
  readonly maxImages: number | null
  readonly audioInput: boolean
  readonly videoInput: boolean
  readonly logProbs: boolean
}

export type Model = {
  readonly id: string
  readonly modality: Modality
  /** The public display name. */
  readonly name: string
  readonly privacy: Privacy
  readonly tier: Tier | null
  readonly prices: PriceList
  readonly bounds: Bounds
  readonly capabilities: Capabilities | null
  /** Sampling defaults of the model, by wire name. */
  readonly defaults: Readonly<Record<string, number>>
  readonly sunset: Sunset | null
  readonly deployments: readonly Deployment[]
  /** Unix seconds. */
  readonly created: number
  /** The public `model_spec`, field by field as `GET /models` shows it, but for `offline`, `privacy` and `name`. */
  readonly spec: Readonly<Record<string, unknown>>
}
