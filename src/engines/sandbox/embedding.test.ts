/** What clients can count on in the sandbox's vectors. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { EmbeddingPart, EmbeddingRequest } from '../../core/modalities/embedding.ts'
import { sandboxEmbedding, vectorOfText } from './embedding.ts'
import { countTokens } from './tokens.ts'

async function embed(inputs: EmbeddingRequest['inputs'], dimensions: number | null = null, signal = new AbortController().signal) {
  const parts: EmbeddingPart[] = []
  const request = { inputs, dimensions }
  const finish = await sandboxEmbedding.run({ model: 'sandbox-embedding', request, signal, firstByteMs: 1000, stallMs: 1000 }, (more) => {
    parts.push(...more)
  })
  return { vectors: parts.map(({ vector }) => vector), indexes: parts.map(({ index }) => index), finish }
}

const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number => Array.from(a).reduce((sum, value, i) => sum + value * (b[i] ?? 0), 0)

describe('sandbox embeddings', () => {
  it('are unit vectors of the length asked for, equal for equal texts', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 1, max: 4096 }), (text, dimensions) => {
        const vector = vectorOfText(text, dimensions)

        expect(vector.length).toBe(dimensions)
        expect(dot(vector, vector)).toBeCloseTo(1, 4)
        expect(vector).toEqual(vectorOfText(text, dimensions))
      }),
    )
  })

  it('lie nearer to each other the more words they share, and differ where the texts do', async () => {
    const { vectors } = await embed([
      'the grey heron stands in the river',
      'a heron in the river',
      'quarterly tax declaration form',
      'river the in heron a',
    ])
    const [a = [], b = [], c = [], d = []] = vectors

    expect(dot(a, b)).toBeGreaterThan(dot(a, c) + 0.2)
    expect(dot(b, d)).toBeGreaterThan(0.9)
    expect(b).not.toEqual(d)
  })

  it('come in the order of the inputs, with usage; 1024 long where nothing is asked', async () => {
    const { vectors, indexes, finish } = await embed(['one two', '', 'three'])

    expect(indexes).toEqual([0, 1, 2])
    expect(vectors.map(({ length }) => length)).toEqual([1024, 1024, 1024])
    expect(finish.usage).toEqual({ inputToken: countTokens('one two') + countTokens('three') })
  })

  it('take token arrays', async () => {
    const { vectors, finish } = await embed(
      [
        [1, 2, 3],
        [1, 2, 4],
        [1, 2, 3],
        [900, 901, 902],
      ],
      256,
    )
    const [a = [], b = [], again, far = []] = vectors

    expect(a).toEqual(again)
    expect(dot(a, b)).toBeGreaterThan(dot(a, far))
    expect(finish.usage).toEqual({ inputToken: 12 })
  })

  it('refuse dimensions out of range by name, and stop when the caller leaves', async () => {
    expect([0, 1, 4096, 4097, null].map((dimensions) => sandboxEmbedding.refuses({ inputs: [''], dimensions }, ''))).toEqual([
      'dimensions',
      null,
      null,
      'dimensions',
      null,
    ])
    await expect(embed(['a'], null, AbortSignal.abort())).rejects.toMatchObject({ internal: 'caller_left' })
  })

  it('let other work in between on large inputs', async () => {
    let turns = 0
    const count = setInterval(() => turns++, 0)
    await embed(Array.from({ length: 64 }, () => 'word '.repeat(10_000)))
    clearInterval(count)

    expect(turns).toBeGreaterThan(0)
  })
})
