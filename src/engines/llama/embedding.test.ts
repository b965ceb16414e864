import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { whyNoEngine } from '../../../test/engine/llama-server.ts'
import { DIMENSIONS } from '../../../test/engine/tiny-gguf.ts'
import type { Finish } from '../../core/call.ts'
import type { EmbeddingPart, EmbeddingRequest } from '../../core/modalities/embedding.ts'
import { CONTEXT_TOKENS, makeEngine, makeFiles } from './llama.fixture.ts'
import type { Files } from './llama.fixture.ts'
import type { LlamaEngine } from './llama.ts'

const LIMIT_MS = 30_000

const none = whyNoEngine()
let files: Files
let engine: LlamaEngine

beforeAll(async () => {
  files = await makeFiles()
  ;({ engine } = await makeEngine(files))
}, LIMIT_MS)
afterAll(async () => {
  await engine.close()
  await files.dispose()
})

const title = (name: string): string => (none === null ? name : `${name} (skipped: ${none})`)

describe.skipIf(none !== null)(title('embeddings of a local model'), () => {
  test('are one vector of length 1 per input, near where texts share words, and counted', async () => {
    const { vectors, finish } = await embed({ inputs: ['a red apple', 'red apple pie', 'the deep blue sea'], dimensions: null })

    const [apple = [], pie = [], sea = []] = vectors
    expect(vectors.map(({ length }) => length)).toEqual([DIMENSIONS, DIMENSIONS, DIMENSIONS])
    expect(dot(apple, apple)).toBeCloseTo(1)
    expect(dot(apple, pie)).toBeCloseTo(1 / 3)
    expect(dot(apple, sea)).toBeCloseTo(0)
    expect(finish.usage).toEqual({ inputToken: 10 })
  })

  test('of a long list come in its order', async () => {
    const inputs = Array.from({ length: 40 }, (_, at) => (at % 2 ? 'under stars' : 'a red apple'))

    const { vectors } = await embed({ inputs, dimensions: null })

    expect(vectors).toHaveLength(40)
    for (const [at, vector] of vectors.entries()) expect(dot(vector, vectors[at % 2] ?? [])).toBeCloseTo(1)
  })

  test('are not shortened where the model was not made for it, and a text that is too long is refused', async () => {
    await expect(embed({ inputs: ['a'], dimensions: 8 })).rejects.toMatchObject({ code: 'INVALID_REQUEST', param: 'dimensions' })
    await expect(embed({ inputs: ['a '.repeat(2 * CONTEXT_TOKENS)], dimensions: null })).rejects.toMatchObject({ code: 'TOO_MANY_TOKENS' })
    expect((await embed({ inputs: ['a'], dimensions: DIMENSIONS })).vectors).toHaveLength(1)
  })
})

async function embed(request: EmbeddingRequest): Promise<{ vectors: (readonly number[])[]; finish: Finish }> {
  const parts: EmbeddingPart[] = []
  const ability = engine.abilities.embedding
  if (!ability) throw new Error('there are no embeddings')
  const task = { model: 'tiny-embedding', request, signal: new AbortController().signal, firstByteMs: LIMIT_MS, stallMs: LIMIT_MS }
  const finish = await ability.run(task, (more) => void parts.push(...more))
  expect(parts.map(({ index }) => index)).toEqual(parts.map((_, at) => at))
  return { vectors: parts.map(({ vector }) => [...vector]), finish }
}

const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0)
