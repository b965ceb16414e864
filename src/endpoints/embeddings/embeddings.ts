/** `POST /embeddings`: texts or token arrays to vectors. */
import { z } from 'zod'
import { fail, failField } from '../../core/errors.ts'
import type { EmbeddingPart, EmbeddingRequest } from '../../core/modalities/embedding.ts'
import type { Model } from '../../core/model.ts'
import { endpoint, json } from '../endpoint.ts'

const MAX_INPUTS = 2_048

const tokens = z.array(z.int().min(0)).min(1)

const body = z.strictObject({
  model: z.string().min(1).max(512).describe('A model id, a trait such as `default`, or a compatibility name.'),
  input: z
    .union([z.string().min(1), z.array(z.string().min(1)).min(1).max(MAX_INPUTS), tokens, z.array(tokens).min(1).max(MAX_INPUTS)])
    .describe('A text, up to 2,048 texts, or the same as token ids for engines that take them.'),
  encoding_format: z.enum(['float', 'base64']).nullish().describe('`base64`: 32-bit floats, little-endian.'),
  dimensions: z.int().min(1).max(65_536).nullish().describe('The length of the vectors, for models that can shorten them.'),
  user: z.string().nullish().describe('Accepted and dropped.'),
})
type Body = z.infer<typeof body>

const answer = z.object({
  object: z.literal('list'),
  data: z.array(z.object({ object: z.literal('embedding'), index: z.int(), embedding: z.union([z.array(z.number()), z.string()]) })),
  model: z.string(),
  usage: z.object({ prompt_tokens: z.int(), total_tokens: z.int() }),
})

export const embeddings = endpoint<undefined, Body>({
  method: 'POST',
  path: '/embeddings',
  tag: 'Embeddings',
  summary: 'Turn texts into vectors',
  description: 'One vector per input, in the order of the inputs. The same input gives the same vector.',
  scope: 'INFERENCE',
  charged: true,
  body,
  answers: { 'application/json': { description: 'The vectors.', schema: answer } },
  example: {
    body: { model: 'default', input: 'A text to find again.' },
    answer: {
      object: 'list',
      data: [{ object: 'embedding', index: 0, embedding: [0.0123, -0.0456, 0.0789] }],
      model: 'text-embedding-bge-m3',
      usage: { prompt_tokens: 5, total_tokens: 5 },
    },
  },
  errors: ['MODEL_NOT_FOUND', 'MODEL_SUNSET', 'TOO_MANY_TOKENS'],

  async handle({ body: asked }, desk) {
    const { model } = desk.model('embedding', asked.model)
    const request: EmbeddingRequest = { inputs: inputsOf(asked.input), dimensions: asked.dimensions ?? null }
    checkDimensions(model, request)
    const vectors: (EmbeddingPart['vector'] | undefined)[] = request.inputs.map(() => undefined)
    const outcome = await desk.run('embedding', model, request, (parts) => {
      for (const part of parts) {
        if (request.dimensions !== null && part.vector.length !== request.dimensions) throw notShortened(model)
        vectors[part.index] = part.vector
      }
    })
    const encode = asked.encoding_format === 'base64' ? toBase64 : toNumbers
    const data = vectors.map((vector, index) => {
      if (!vector) throw fail('INFERENCE_FAILED', { internal: 'vector_missing' })
      return { object: 'embedding', index, embedding: encode(vector) }
    })
    const promptTokens = (outcome.usage.inputToken ?? 0) + (outcome.usage.cacheReadToken ?? 0)
    return json({ object: 'list', data, model: model.id, usage: { prompt_tokens: promptTokens, total_tokens: promptTokens } })
  },
})

/** A single text or token array is a list of one. */
function inputsOf(input: Body['input']): EmbeddingRequest['inputs'] {
  if (typeof input === 'string') return [input]
  // The schema allows arrays of one kind only, and none is empty.
  if (typeof input[0] === 'number') return [input as number[]]
  return input as string[] | number[][]
}

function checkDimensions(model: Model, request: EmbeddingRequest): void {
  const { dimensions } = request
  const own = model.spec['embeddingDimensions']
  if (dimensions === null || model.spec['supportsCustomDimensions'] !== false || own === dimensions) return
  throw notShortened(model)
}

const notShortened = (model: Model): Error =>
  failField('dimensions', `the model ${model.id} does not support other dimensions than its own`)

const toNumbers = (vector: EmbeddingPart['vector']): readonly number[] => (vector instanceof Float32Array ? [...vector] : vector)

function toBase64(vector: EmbeddingPart['vector']): string {
  const bytes = Buffer.allocUnsafe(vector.length * 4)
  for (let i = 0; i < vector.length; i++) bytes.writeFloatLE(vector[i] ?? 0, i * 4)
  return bytes.toString('base64')
}
