/** What a model would need of the memory here: said before it is downloaded, when nobody has read its header yet. */
import type { LocalModality } from '../core/local-models.ts'
import { type Shape, audioEstimateOf, guessedCosts, shapeOf } from './estimate.ts'
import type { MemoryBounds, RegistryEntry } from './settings.ts'

export type Need = {
  /** In the shape that it would be loaded in: with fewer runs at once where all of them do not fit. */
  readonly memoryBytes: number
  /** Whether it may be more than that, because nobody knows how much a token of it takes. */
  readonly isLeast: boolean
  /** Whether it can be loaded here at all, once nothing else is. */
  readonly fits: boolean
}

/** An entry of the registry; its need is null where its size is not known. */
export type Offer = { readonly entry: RegistryEntry; readonly need: Need | null }

export type Unread = {
  readonly id: string
  /** Null for a file that does not say before it is here; then it is taken for text. */
  readonly modality: LocalModality | null
  readonly sizeBytes: number
  readonly cacheBytesPerToken: number | null
}

export function needOf({ id, modality, sizeBytes, cacheBytesPerToken }: Unread, memory: MemoryBounds, budgetBytes: number): Need {
  const isAudio = modality === 'tts' || modality === 'asr'
  const { totalBytes } = isAudio
    ? audioEstimateOf(sizeBytes)
    : shapeOf(guessedCosts(cacheBytesPerToken), sizeBytes, modality ?? 'text', wishedShape(memory, id), budgetBytes).estimate
  return { memoryBytes: totalBytes, isLeast: !isAudio && cacheBytesPerToken === null, fits: totalBytes <= budgetBytes }
}

export function offerOf(entry: RegistryEntry, memory: MemoryBounds, budgetBytes: number): Offer {
  const { approxBytes: sizeBytes } = entry
  return { entry, need: sizeBytes === null ? null : needOf({ ...entry, sizeBytes }, memory, budgetBytes) }
}

/** How a model is to be loaded, as far as the settings say. */
export function wishedShape({ contextTokens, parallel, models }: MemoryBounds, id: string): Shape {
  const own = models[id]
  return { contextTokens: own?.contextTokens ?? contextTokens, parallel: own?.parallel ?? parallel }
}
