import { describe, expect, test } from 'vitest'
import { egressTo, rawUpstream, upstreamThat } from '../egress.fixture.ts'
import type { Egress } from '../egress.ts'
import { probeModels } from './models.ts'

const { signal } = new AbortController()

/** A server that answers each path with a body, and everything else with a 404. */
async function serverWith(answers: Readonly<Record<string, unknown>>): Promise<Egress> {
  const upstream = await upstreamThat(({ asked, response }) => {
    const answer = answers[asked.url]
    response.statusCode = answer === undefined ? 404 : 200
    response.end(typeof answer === 'string' ? answer : JSON.stringify(answer ?? {}))
  })
  return egressTo(upstream.baseUrl)
}

const modelsOf = async (answers: Readonly<Record<string, unknown>>) => probeModels(await serverWith(answers), signal)

describe('the models of a server', () => {
  test.each([
    [
      'vLLM',
      { data: [{ id: 'qwen', object: 'model', owned_by: 'vllm', max_model_len: 32768 }] },
      [{ name: 'qwen', modality: null, contextTokens: 32768 }],
    ],
    [
      'llama-server',
      { models: [{ name: 'x.gguf' }], data: [{ id: 'x.gguf', owned_by: 'llamacpp', meta: { n_ctx_train: 131072, n_params: 7 } }] },
      [{ name: 'x.gguf', modality: null, contextTokens: 131072 }],
    ],
    [
      'OpenAI',
      { data: [{ id: 'gpt-4o' }, { id: 'text-embedding-3-small' }, { id: 'whisper-1' }] },
      [
        { name: 'gpt-4o', modality: null, contextTokens: null },
        { name: 'text-embedding-3-small', modality: 'embedding', contextTokens: null },
      ],
    ],
    [
      'Together, whose list is bare',
      [
        { id: 'a/b', type: 'chat', context_length: 8192 },
        { id: 'BAAI/bge-large-en-v1.5', type: 'embedding', context_length: 512 },
        { id: 'c/flux', type: 'image' },
      ],
      [
        { name: 'a/b', modality: 'text', contextTokens: 8192 },
        { name: 'BAAI/bge-large-en-v1.5', modality: 'embedding', contextTokens: 512 },
      ],
    ],
    ['Groq', { data: [{ id: 'llama', context_window: 131072, active: true }] }, [{ name: 'llama', modality: null, contextTokens: 131072 }]],
    [
      'Venice',
      { data: [{ id: 'v', type: 'text', model_spec: { availableContextTokens: 1000 } }] },
      [{ name: 'v', modality: 'text', contextTokens: 1000 }],
    ],
    ['nobody', { data: [] }, []],
    [
      'a server whose entries are no models',
      { data: [null, 7, {}, { id: 7 }, { id: 'x'.repeat(300) }, { id: 'ok', max_model_len: -5 }] },
      [{ name: 'ok', modality: null, contextTokens: null }],
    ],
  ])('of %s are understood', async (_who, answer, models) => {
    expect(await modelsOf({ '/v1/models': answer })).toEqual({ up: true, models })
  })

  test('of Ollama have their kind from its own list', async () => {
    const reach = await modelsOf({
      '/v1/models': {
        data: [
          { id: 'llama3.2:1b', owned_by: 'library' },
          { id: 'all-minilm:latest', owned_by: 'library' },
          { id: 'snowflake:latest', owned_by: 'library' },
        ],
      },
      '/api/tags': {
        models: [
          { name: 'llama3.2:1b', details: { family: 'llama' } },
          { name: 'snowflake:latest', details: { family: 'bert' } },
        ],
      },
    })

    expect(reach).toEqual({
      up: true,
      models: [
        { name: 'llama3.2:1b', modality: null, contextTokens: null },
        { name: 'all-minilm:latest', modality: 'embedding', contextTokens: null },
        { name: 'snowflake:latest', modality: 'embedding', contextTokens: null },
      ],
    })
  })

  test('of LM Studio have the context in force before the one that would be possible', async () => {
    const reach = await modelsOf({
      '/v1/models': {
        data: [
          { id: 'a', owned_by: 'organization_owner' },
          { id: 'b', owned_by: 'organization_owner' },
        ],
      },
      '/api/v0/models': {
        data: [
          { id: 'a', type: 'vlm', max_context_length: 32768, loaded_context_length: 4096 },
          { id: 'b', type: 'embeddings', max_context_length: 2048 },
        ],
      },
    })

    expect(reach).toEqual({
      up: true,
      models: [
        { name: 'a', modality: 'text', contextTokens: 4096 },
        { name: 'b', modality: 'embedding', contextTokens: 2048 },
      ],
    })
  })

  test('are there although the list of details is not', async () => {
    expect(await modelsOf({ '/v1/models': { data: [{ id: 'a', owned_by: 'library' }] } })).toMatchObject({
      up: true,
      models: [{ name: 'a' }],
    })
  })

  test.each([{}, { '/v1/models': 'no json' }, { '/v1/models': { data: 7 } }, { '/v1/models': 'null' }])(
    'are unknown where the server does not list them, %j',
    async (answers) => {
      expect(await modelsOf(answers)).toEqual({ up: true, models: null })
    },
  )

  test.each([
    [401, 'unauthorized'],
    [403, 'unauthorized'],
    [500, 'error'],
  ])('are not asked for in vain: a server that answers %d is down', async (status, why) => {
    const upstream = await upstreamThat(({ response }) => {
      response.statusCode = status
      response.end('{"error":{"message":"words"}}')
    })

    expect(await probeModels(egressTo(upstream.baseUrl), signal)).toEqual({ up: false, why })
  })

  test('a server that is not there, speaks no HTTP or does not answer in time is down', async () => {
    const upstream = await upstreamThat(() => undefined)
    const gone = await upstreamThat(() => undefined)
    await gone.close()
    const mail = await rawUpstream((socket) => socket.end('220 mail.example\r\n'))
    const leave = new AbortController()
    const asked = probeModels(egressTo(upstream.baseUrl), leave.signal)
    leave.abort()

    expect(await asked).toEqual({ up: false, why: 'timeout' })
    expect(await probeModels(egressTo(gone.baseUrl), signal)).toEqual({ up: false, why: 'refused' })
    expect(await probeModels(egressTo(mail.baseUrl), signal)).toEqual({ up: false, why: 'no_http' })
  })
})
