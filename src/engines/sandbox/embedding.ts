/**
 * The sandbox's embeddings: a hashed bag of words. Equal texts get equal vectors, and texts that share words lie
 * nearer to each other, so that a search over them finds what an eye would expect. Nothing is learned.
 */
import type { Ability } from '../../core/engine.ts'
import type { EmbeddingPart } from '../../core/modalities/embedding.ts'
import { stopIfAborted } from './course.ts'
import { hashOf, mix } from './hash.ts'
import { countTokens } from './tokens.ts'

const DEFAULT_DIMENSIONS = 1024
const MAX_DIMENSIONS = 4096
/** In how many places a word moves the vector: enough that two words seldom cancel, few enough to stay cheap. */
const PLACES = 24
/** How much the exact text counts against one word, so that the same words in another order are not the same vector. */
const TEXT_WEIGHT = 0.25
/** After so many characters or tokens other requests get their turn. */
const TURN_SIZE = 1 << 18

export const sandboxEmbedding: Ability<'embedding'> = {
  refuses: ({ dimensions }) => (dimensions !== null && (dimensions < 1 || dimensions > MAX_DIMENSIONS) ? 'dimensions' : null),

  async run({ request, signal }, sink) {
    const dimensions = request.dimensions ?? DEFAULT_DIMENSIONS
    let batch: EmbeddingPart[] = []
    let size = 0
    let inputToken = 0
    for (const [index, input] of request.inputs.entries()) {
      stopIfAborted(signal)
      inputToken += typeof input === 'string' ? countTokens(input) : input.length
      size += input.length + dimensions
      batch.push({ index, vector: typeof input === 'string' ? vectorOfText(input, dimensions) : vectorOfTokens(input, dimensions) })
      if (size < TURN_SIZE) continue
      await sink(batch)
      await new Promise(setImmediate)
      batch = []
      size = 0
    }
    stopIfAborted(signal)
    if (batch.length > 0) await sink(batch)
    return { usage: { inputToken } }
  },
}

export function vectorOfText(text: string, dimensions: number): Float32Array {
  const sums = new Float64Array(dimensions)
  const folded = text.toLowerCase()
  for (let from = 0; from < folded.length; ) {
    while (from < folded.length && !isOfWord(folded.charCodeAt(from))) from++
    let to = from
    while (to < folded.length && isOfWord(folded.charCodeAt(to))) to++
    if (to > from) add(sums, hashOf(folded.slice(from, to)), 1)
    from = to
  }
  add(sums, hashOf(text, 1), TEXT_WEIGHT)
  return unit(sums)
}

function vectorOfTokens(tokens: readonly number[], dimensions: number): Float32Array {
  const sums = new Float64Array(dimensions)
  let whole = 1
  for (const token of tokens) {
    add(sums, mix(token + 1), 1)
    whole = mix(Math.imul(whole, 31) + token)
  }
  add(sums, whole, TEXT_WEIGHT)
  return unit(sums)
}

function add(sums: Float64Array, hash: number, weight: number): void {
  let state = hash
  for (let i = 0; i < PLACES; i++) {
    state = mix(state + 0x9e3779b9)
    const place = (state >>> 1) % sums.length
    sums[place] = (sums[place] ?? 0) + (state & 1 ? weight : -weight)
  }
}

/** Of length 1; where everything cancelled out, the first axis. */
function unit(sums: Float64Array): Float32Array {
  let squares = 0
  for (const value of sums) squares += value * value
  const length = Math.sqrt(squares)
  if (length === 0) sums[0] = 1
  return Float32Array.from(sums, (value) => (length === 0 ? value : value / length))
}

/** ASCII letters and digits, and everything beyond ASCII. */
const isOfWord = (unitOfText: number): boolean =>
  unitOfText > 127 || (unitOfText >= 97 && unitOfText <= 122) || (unitOfText >= 48 && unitOfText <= 57)
