import { describe, expect, test } from 'vitest'
import type { EmbeddingPart, EmbeddingRequest } from '../../core/modalities/embedding.ts'
import { egressTo, upstreamThat } from '../egress.fixture.ts'
import { embeddingAbility } from './embedding.ts'

const ability = (baseUrl: string, unsupported: readonly string[] = []) =>
  embeddingAbility(egressTo(baseUrl), { unsupported: new Set(unsupported), maxTokensField: 'max_tokens', extraBody: { store: false } })

async function run(request: Partial<EmbeddingRequest>, answer: unknown, unsupported?: readonly string[]) {
  const upstream = await upstreamThat(({ response }) => void response.end(JSON.stringify(answer)))
  const parts: EmbeddingPart[] = []
  const task = {
    model: 'm',
    request: { inputs: ['a', 'b'], dimensions: null, ...request },
    signal: new AbortController().signal,
    firstByteMs: 10_000,
    stallMs: 10_000,
  }
  const finish = await ability(upstream.baseUrl, unsupported).run(task, (more) => void parts.push(...more))
  return { parts, finish, body: JSON.parse(upstream.asked[0]?.body ?? ''), url: upstream.asked[0]?.url }
}

const two = {
  data: [
    { index: 1, embedding: [3, 4] },
    { index: 0, embedding: [1, 2] },
  ],
  usage: { prompt_tokens: 5, total_tokens: 5 },
}

describe('embeddings', () => {
  test('come in the order of the inputs, with what they used', async () => {
    const { parts, finish, body, url } = await run({}, two)

    expect(parts).toEqual([
      { index: 0, vector: [1, 2] },
      { index: 1, vector: [3, 4] },
    ])
    expect(finish).toEqual({ usage: { inputToken: 5 } })
    expect(url).toBe('/v1/embeddings')
    expect(body).toEqual({ model: 'm', input: ['a', 'b'], encoding_format: 'float' })
  })

  test('are asked for as token arrays, with dimensions, and without a format where the server knows none', async () => {
    const { body } = await run({ inputs: [[1, 2], [3]], dimensions: 2 }, two, ['encoding_format'])

    expect(body).toEqual({ model: 'm', input: [[1, 2], [3]], dimensions: 2 })
  })

  test('in base64 are understood', async () => {
    const base64 = Buffer.from(new Float32Array([0.5, -2]).buffer).toString('base64')

    const { parts } = await run({ inputs: ['a'] }, { data: [{ embedding: base64 }] })

    expect(parts).toEqual([{ index: 0, vector: new Float32Array([0.5, -2]) }])
  })

  test.each([
    [{ data: [{ index: 0, embedding: [1] }] }],
    [
      {
        data: [
          { index: 0, embedding: [1] },
          { index: 0, embedding: [2] },
        ],
      },
    ],
    [
      {
        data: [
          { index: 0, embedding: [1] },
          { index: 2, embedding: [2] },
        ],
      },
    ],
    [
      {
        data: [
          { index: 0, embedding: [1] },
          { index: 1, embedding: [2, 3] },
        ],
      },
    ],
    [
      {
        data: [
          { index: 0, embedding: [1] },
          { index: 1, embedding: ['x'] },
        ],
      },
    ],
    [
      {
        data: [
          { index: 0, embedding: [] },
          { index: 1, embedding: [] },
        ],
      },
    ],
    [
      {
        data: [
          { index: 0, embedding: 'AAA=' },
          { index: 1, embedding: 'AAA=' },
        ],
      },
    ],
    [{ data: [7, 8] }],
    [{}],
    [{ data: null }],
  ])('that do not fit the inputs, %j, are a fault of the engine', async (answer) => {
    await expect(run({}, answer)).rejects.toMatchObject({ code: 'INFERENCE_FAILED', internal: 'upstream_embedding_mismatch' })
  })

  test('that fail with a status of 200 fail', async () => {
    await expect(run({}, { error: { code: 429 } })).rejects.toMatchObject({ code: 'MODEL_OVERLOADED' })
  })

  test('are refused by the name of what the server cannot honour', () => {
    const { refuses } = ability('http://127.0.0.1:1', ['dimensions', 'input.tokens'])

    expect(refuses({ inputs: ['a'], dimensions: 5 }, 'm')).toBe('dimensions')
    expect(refuses({ inputs: [[1]], dimensions: null }, 'm')).toBe('input')
    expect(refuses({ inputs: ['a'], dimensions: null }, 'm')).toBeNull()
    expect(ability('http://127.0.0.1:1').refuses({ inputs: [[1]], dimensions: 5 }, 'm')).toBeNull()
  })
})
