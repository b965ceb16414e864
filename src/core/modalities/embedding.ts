/** The embedding modality: texts or token arrays in, one vector each out. */
import type { Bounds, Gauge } from '../modality.ts'
import type { Usage } from '../usage.ts'
import { estimateTokens } from './text.ts'

export type EmbeddingRequest = {
  /** One entry per vector; token arrays only for engines that take them. */
  readonly inputs: readonly string[] | readonly (readonly number[])[]
  /** The length of the vectors; null is the model's own. */
  readonly dimensions: number | null
}

/** One vector, in the order of the inputs. */
export type EmbeddingPart = { readonly index: number; readonly vector: readonly number[] | Float32Array }

export const embeddingGauge: Gauge<EmbeddingRequest, EmbeddingPart> = {
  unit: 'outputToken',

  ceiling(request: EmbeddingRequest, bounds: Bounds): Usage {
    let inputToken = 0
    // A token is at least one byte of UTF-8, and a UTF-16 unit at most three.
    for (const input of request.inputs)
      inputToken += Math.min(bounds.contextTokens, typeof input === 'string' ? input.length * 3 + 8 : input.length)
    return { inputToken }
  },

  /** A vector costs what its text does: there is nothing to shorten. */
  floor: (request: EmbeddingRequest, bounds: Bounds): Usage => embeddingGauge.ceiling(request, bounds),
  fit: (request: EmbeddingRequest): EmbeddingRequest => request,

  weight(request: EmbeddingRequest): number {
    let tokens = 0
    for (const input of request.inputs) tokens += typeof input === 'string' ? Math.ceil(input.length / 4) : input.length
    return tokens
  },

  opening(request: EmbeddingRequest): Usage {
    let inputToken = 0
    for (const input of request.inputs) inputToken += typeof input === 'string' ? Math.max(1, estimateTokens(input)) : input.length
    return { inputToken }
  },

  tally: () => 0,
}
