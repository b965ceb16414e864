/**
 * What a model will take once it is loaded, reckoned from its files and its header: a bound from above rather than a guess, because a
 * machine that runs out of memory takes more down with it than a model.
 */
import type { LocalModality } from '../core/local-models.ts'
import type { GgufHeader } from './gguf.ts'

/** A key or a value in the cache is a 16-bit float. */
const CACHED_BYTES = 2
/** So many tokens are worked on at once; the buffers for that are 32-bit floats. */
const BATCH_TOKENS = 512
const FLOAT_BYTES = 4
/** The same buffers of the usual vocabularies, which are a quarter of a million tokens at the most. */
const USUAL_BUFFER_BYTES = 400 * 1024 * 1024
/** The process, its library, and what it allocates by the way. */
const PROCESS_BYTES = 160 * 1024 * 1024
/** An audio model's weights are in memory as they are on disk; what it computes with is about as much again for the largest inputs. */
const AUDIO_FACTOR = 1.6

/** What pictures are worked on with, beside the projector's weights: about as much again, and something for the smallest. */
const PICTURE_BYTES = 256 * 1024 * 1024

export type Shape = { readonly contextTokens: number; readonly parallel: number }
export type Estimate = {
  readonly weightsBytes: number
  readonly cacheBytes: number
  readonly overheadBytes: number
  readonly totalBytes: number
}

/** What there is to reckon with of a model of text or embeddings. */
export type Costs = {
  /** What it was trained for; null where that is not known. */
  readonly contextTokens: number | null
  readonly cacheBytesPerToken: number
  /** What a run keeps however short it is. */
  readonly stateBytes: number
  /** What it computes with, whatever the context. */
  readonly bufferBytes: number
}

/** `projectorBytes` is the size of the file that turns pictures into tokens, 0 where there is none. */
export function costsOf(header: GgufHeader, projectorBytes: number): Costs {
  const widest = Math.max(header.feedForwardLength, header.embeddingLength * 4)
  const pictureBytes = projectorBytes === 0 ? 0 : projectorBytes + PICTURE_BYTES
  return {
    contextTokens: header.contextTokens,
    cacheBytesPerToken: header.kvHeads * (header.keyLength + header.valueLength) * CACHED_BYTES,
    stateBytes: header.stateNumbers * FLOAT_BYTES,
    bufferBytes: BATCH_TOKENS * (header.vocabulary + 2 * widest + 4 * header.embeddingLength) * FLOAT_BYTES + pictureBytes,
  }
}

/** Of a model that is not here, so that nobody has read its header: as it usually is, or, where nothing is known, the least that it can be. */
export const guessedCosts = (cacheBytesPerToken: number | null): Costs =>
  cacheBytesPerToken === null
    ? { contextTokens: null, cacheBytesPerToken: 0, stateBytes: 0, bufferBytes: 0 }
    : { contextTokens: null, cacheBytesPerToken, stateBytes: 0, bufferBytes: USUAL_BUFFER_BYTES }

/** Of a model of text or embeddings. */
export function estimateOf(costs: Costs, weightsBytes: number, { contextTokens, parallel }: Shape): Estimate {
  // A model that only embeds reads a text in one go and remembers nothing of it, but it needs room for all of it at once.
  const cacheBytes = (costs.cacheBytesPerToken * contextTokens + costs.stateBytes) * parallel
  return summed(weightsBytes, cacheBytes, costs.bufferBytes + PROCESS_BYTES)
}

export const audioEstimateOf = (weightsBytes: number): Estimate =>
  summed(weightsBytes, 0, weightsBytes * (AUDIO_FACTOR - 1) + PROCESS_BYTES)

/**
 * The shape that a model is loaded in: the context as wished, as far as the model has it; fewer runs at once where all of them do not fit
 * the budget. The context is never made smaller to fit: that would cut what callers send.
 */
export function shapeOf(
  costs: Costs,
  weightsBytes: number,
  modality: LocalModality,
  wished: Shape,
  budgetBytes: number,
): Shape & { readonly estimate: Estimate } {
  const contextTokens = Math.min(wished.contextTokens, costs.contextTokens ?? wished.contextTokens)
  let parallel = modality === 'embedding' ? 1 : wished.parallel
  let estimate = estimateOf(costs, weightsBytes, { contextTokens, parallel })
  while (parallel > 1 && estimate.totalBytes > budgetBytes) {
    parallel = Math.floor(parallel / 2)
    estimate = estimateOf(costs, weightsBytes, { contextTokens, parallel })
  }
  return { contextTokens, parallel, estimate }
}

function summed(weightsBytes: number, cacheBytes: number, overheadBytes: number): Estimate {
  const overhead = Math.ceil(overheadBytes)
  return { weightsBytes, cacheBytes, overheadBytes: overhead, totalBytes: weightsBytes + cacheBytes + overhead }
}
