/** Embeddings in one loaded model, one text after another. Runs in the child only. */
import type { LlamaEmbeddingContext, LlamaModel, Token } from 'node-llama-cpp'
import { ChildFailure } from '../process-child.ts'
import type { ChildCall } from '../process-child.ts'
import type { EmbedBody, EmbedEnd } from './wire.ts'

/**
 * Families that were taught to put what matters first, so that their vectors may be cut (Matryoshka). Of any other model a shorter
 * vector would be a worse one that nobody asked for.
 */
const SHORTENS = [
  'qwen3-embedding',
  'embeddinggemma',
  'nomic-embed-text-v1.5',
  'nomic-embed-text-v2',
  'jina-embeddings-v3',
  'mxbai-embed',
  'arctic-embed',
]

export class Embeddings {
  readonly #model: LlamaModel
  readonly #context: LlamaEmbeddingContext
  readonly #limit: number
  readonly #shortens: boolean

  constructor(model: LlamaModel, context: LlamaEmbeddingContext, contextTokens: number) {
    this.#model = model
    this.#context = context
    this.#limit = contextTokens - 1
    const { name = '', basename = '' } = model.fileInfo.metadata.general
    const known = `${name} ${basename}`.toLowerCase().replaceAll(/[\s_]+/g, '-')
    this.#shortens = SHORTENS.some((family) => known.includes(family))
  }

  async embed({ inputs, dimensions }: EmbedBody, call: ChildCall): Promise<{ end: EmbedEnd; vectors: Float32Array }> {
    const own = this.#model.embeddingVectorSize
    const length = dimensions ?? own
    if (length > own || (length < own && !this.#shortens)) throw new ChildFailure('dimensions', { own, fixed: this.#shortens ? 0 : 1 })
    // All of them before the first is computed: nobody wants to wait for a refusal.
    const read = inputs.map((input) => this.#tokensOf(input))
    const vectors = new Float32Array(length * inputs.length)
    let tokens = 0
    for (const [at, input] of read.entries()) {
      call.left.throwIfAborted()
      const { vector } = await this.#context.getEmbeddingFor([...input])
      vectors.set(unit(vector.slice(0, length)), at * length)
      tokens += input.length
      call.beat()
    }
    return { end: { dimensions: length, tokens }, vectors }
  }

  #tokensOf(input: string | readonly number[]): readonly Token[] {
    // Texts are read without marks. Ids of the caller's are tokens if the vocabulary has them.
    const tokens = typeof input === 'string' ? this.#model.tokenize(input) : input.map((id) => id as Token)
    if (tokens.length === 0) throw new ChildFailure('empty_input')
    const count = this.#context.calculateInputLength(tokens)
    if (count > this.#limit) throw new ChildFailure('too_many_tokens', { asked: count, limit: this.#limit })
    return tokens
  }
}

/** Of length 1. */
function unit(vector: readonly number[]): number[] {
  const length = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0))
  return length === 0 ? [...vector] : vector.map((value) => value / length)
}
