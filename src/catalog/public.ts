/** A model as `GET /models` shows it, field by field. */
import type { Modality } from '../core/modality.ts'
import type { Privacy } from '../core/engine.ts'
import type { Model } from '../core/model.ts'

export type PublicModel = {
  readonly id: string
  readonly object: 'model'
  readonly owned_by: 'venice.ai'
  readonly type: Modality
  /** Unix seconds. */
  readonly created: number
  /** Of text models only: the same as `availableContextTokens`. */
  readonly context_length?: number
  readonly model_spec: {
    readonly name: string
    readonly privacy: Privacy
    readonly offline: boolean
    readonly traits: readonly string[]
    readonly [field: string]: unknown
  }
}

export function publicModel(model: Model, offline: boolean, traits: readonly string[]): PublicModel {
  return {
    id: model.id,
    object: 'model',
    owned_by: 'venice.ai',
    type: model.modality,
    created: model.created,
    ...(model.modality === 'text' && { context_length: model.bounds.contextTokens }),
    model_spec: { name: model.name, ...model.spec, privacy: model.privacy, offline, traits },
  }
}
