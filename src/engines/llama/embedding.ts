/** Embeddings of local models. Long lists are computed in groups, between which others get their turn. */
import type { Ability } from '../../core/engine.ts'
import { fail } from '../../core/errors.ts'
import type { EmbeddingPart, EmbeddingRequest } from '../../core/modalities/embedding.ts'
import { isFields } from '../fields.ts'
import type { CallEnd } from '../process-calls.ts'
import type { Loaded } from '../loaded.ts'
import type { EmbedBody } from './wire.ts'

const GROUP = 16
const FLOAT_BYTES = 4

/** `loaded` gives the model's child, or throws a `Failure` where there is no such model. */
export const embeddingAbility = (loaded: (model: string) => Loaded): Ability<'embedding'> => ({
  // What a model's vectors can be shortened to is known once it is loaded, and said then.
  refuses: ({ dimensions }) => (dimensions !== null && dimensions < 1 ? 'dimensions' : null),

  async run({ model, request, signal, firstByteMs, stallMs }, sink) {
    const child = loaded(model)
    let inputToken = 0
    const parts: EmbeddingPart[] = []
    for (let from = 0; from < request.inputs.length; from += GROUP) {
      const body: EmbedBody = { inputs: groupOf(request, from), dimensions: request.dimensions }
      const end = await child.call('embed', body, { signal, firstByteMs, stallMs })
      const { tokens, vectors } = vectorsOf(end, body.inputs.length)
      inputToken += tokens
      for (const [at, vector] of vectors.entries()) parts.push({ index: from + at, vector })
    }
    await sink(parts)
    return { usage: { inputToken } }
  },
})

const groupOf = ({ inputs }: EmbeddingRequest, from: number): EmbedBody['inputs'] => inputs.slice(from, from + GROUP)

function vectorsOf({ value, bytes }: CallEnd, count: number): { tokens: number; vectors: Float32Array[] } {
  const [dimensions, tokens] = isFields(value) ? [value['dimensions'], value['tokens']] : []
  const fits = typeof dimensions === 'number' && typeof tokens === 'number' && bytes?.length === dimensions * count * FLOAT_BYTES
  if (!fits) throw fail('INFERENCE_FAILED', { internal: 'llama_malformed' })
  // A copy: the bytes need not lie where floats may.
  const floats = new Float32Array(Uint8Array.from(bytes).buffer)
  return { tokens, vectors: Array.from({ length: count }, (_, at) => floats.subarray(at * dimensions, (at + 1) * dimensions)) }
}
