/** Embeddings over an OpenAI-compatible server. */
import type { Ability } from '../../core/engine.ts'
import { type Failure, fail } from '../../core/errors.ts'
import type { EmbeddingPart, EmbeddingRequest } from '../../core/modalities/embedding.ts'
import type { Egress } from '../egress.ts'
import { errorInBody } from '../upstream-error.ts'
import type { Dialect } from './request.ts'
import { embeddingUsage } from './usage.ts'
import { isFields, listIn, parseFields } from '../fields.ts'

export function embeddingAbility(egress: Egress, { unsupported }: Dialect): Ability<'embedding'> {
  return {
    refuses({ dimensions, inputs }) {
      if (dimensions !== null && unsupported.has('dimensions')) return 'dimensions'
      // Named so in the configuration for servers that take texts only, as Ollama does.
      return unsupported.has('input.tokens') && typeof inputs[0] === 'object' ? 'input' : null
    },

    async run({ model, request, signal, firstByteMs, stallMs }, sink) {
      const body = JSON.stringify({
        model,
        input: request.inputs,
        encoding_format: unsupported.has('encoding_format') ? undefined : 'float',
        dimensions: request.dimensions ?? undefined,
      })
      const { body: bytes } = await egress.collect({
        method: 'POST',
        path: '/embeddings',
        accept: 'application/json',
        body,
        signal,
        firstByteMs,
        stallMs,
      })
      const answer = parseFields(bytes.toString('utf8'))
      if (answer['error'] !== undefined && answer['error'] !== null) throw errorInBody(answer['error'])
      await sink(vectorsOf(listIn(answer['data']), request))
      return embeddingUsage(answer['usage'])
    },
  }
}

/** One vector per input, in their order, all of one length; anything else is a fault of the engine. */
function vectorsOf(data: readonly unknown[], { inputs }: EmbeddingRequest): EmbeddingPart[] {
  if (data.length !== inputs.length) throw mismatch()
  const parts: EmbeddingPart[] = []
  for (const [at, entry] of data.entries()) {
    if (!isFields(entry)) throw mismatch()
    // A server that numbers nothing keeps the order.
    const index = entry['index'] === undefined ? at : entry['index']
    if (typeof index !== 'number' || !Number.isInteger(index) || index < 0 || index >= inputs.length) throw mismatch()
    parts.push({ index, vector: vectorOf(entry['embedding']) })
  }
  parts.sort((a, b) => a.index - b.index)
  const length = parts[0]?.vector.length ?? 0
  for (const [at, { index, vector }] of parts.entries()) if (index !== at || vector.length !== length) throw mismatch()
  return parts
}

function vectorOf(value: unknown): readonly number[] | Float32Array {
  if (typeof value === 'string') return decode(value)
  if (!Array.isArray(value) || value.length === 0) throw mismatch()
  const numbers: readonly unknown[] = value
  if (!numbers.every((entry) => typeof entry === 'number')) throw mismatch()
  return numbers
}

/** Base64 of little-endian 32-bit floats, as OpenAI has it. */
function decode(base64: string): Float32Array {
  const bytes = Buffer.from(base64, 'base64')
  if (bytes.length === 0 || bytes.length % 4 !== 0) throw mismatch()
  const vector = new Float32Array(bytes.length / 4)
  for (let i = 0; i < vector.length; i++) vector[i] = bytes.readFloatLE(i * 4)
  return vector
}

const mismatch = (): Failure => fail('INFERENCE_FAILED', { internal: 'upstream_embedding_mismatch' })
