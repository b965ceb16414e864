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
        { name: 'whisper-1', modality: 'asr', contextTokens: null },
      ],
    ],
    [
      'vLLM with a model that listens',
      { data: [{ id: 'openai/whisper-large-v3', object: 'model', owned_by: 'vllm', root: 'openai/whisper-large-v3', max_model_len: 448 }] },
      [{ name: 'openai/whisper-large-v3', modality: 'asr', contextTokens: 448 }],
    ],
    [
      'Speaches, which says what each is for',
      {
        data: [
          { id: 'Systran/faster-whisper-small', owned_by: 'Systran', language: ['en'], task: 'automatic-speech-recognition' },
          { id: 'speaches-ai/Kokoro-82M-v1.0-ONNX', owned_by: 'speaches-ai', task: 'text-to-speech', sample_rate: 24000, voices: [] },
          { id: 'rhasspy/some-voice', owned_by: 'rhasspy', task: 'text-to-speech' },
          { id: 'Wespeaker/wespeaker-voxceleb', owned_by: 'Wespeaker', task: 'speaker-embedding' },
        ],
      },
      [
        { name: 'Systran/faster-whisper-small', modality: 'asr', contextTokens: null },
        { name: 'speaches-ai/Kokoro-82M-v1.0-ONNX', modality: 'tts', contextTokens: null },
        { name: 'rhasspy/some-voice', modality: 'tts', contextTokens: null },
      ],
    ],
    [
      'Kokoro-FastAPI',
      {
        data: ['tts-1', 'tts-1-hd', 'kokoro', 'gpt-4o-mini-tts'].map((id) => ({
          id,
          object: 'model',
          created: 1686935002,
          owned_by: 'kokoro',
        })),
      },
      ['tts-1', 'tts-1-hd', 'kokoro', 'gpt-4o-mini-tts'].map((name) => ({ name, modality: 'tts', contextTokens: null })),
    ],
    [
      'Infinity, whose models can do several things',
      {
        data: [
          { id: 'michaelfeil/some-model', owned_by: 'infinity', backend: 'torch', capabilities: ['embed'] },
          { id: 'some/other-model', owned_by: 'infinity', backend: 'torch', capabilities: ['rerank'] },
        ],
      },
      [{ name: 'michaelfeil/some-model', modality: 'embedding', contextTokens: null }],
    ],
    [
      'Xinference, which calls both audio',
      {
        data: [
          { id: 'a', model_type: 'LLM', model_ability: ['chat', 'tools'] },
          { id: 'b', model_type: 'audio', model_ability: ['audio2text'] },
          { id: 'c', model_type: 'audio', model_ability: ['text2audio'] },
          { id: 'd', model_type: 'audio' },
          { id: 'e', model_type: 'image' },
        ],
      },
      [
        { name: 'a', modality: 'text', contextTokens: null },
        { name: 'b', modality: 'asr', contextTokens: null },
        { name: 'c', modality: 'tts', contextTokens: null },
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

  test('of a later Ollama have it from what they can do, whatever they are called', async () => {
    const reach = await modelsOf({
      '/v1/models': { data: ['qwen3-embedded:4b', 'nomic:latest', 'z-image:latest'].map((id) => ({ id, owned_by: 'library' })) },
      '/api/tags': {
        models: [
          { name: 'qwen3-embedded:4b', details: { family: 'qwen3' }, capabilities: ['completion', 'tools', 'thinking'] },
          { name: 'nomic:latest', details: { family: 'nomic' }, capabilities: ['embedding'] },
          { name: 'z-image:latest', details: { family: 'zimage' }, capabilities: ['image'] },
        ],
      },
    })

    expect(reach).toEqual({
      up: true,
      models: [
        { name: 'qwen3-embedded:4b', modality: 'text', contextTokens: null },
        { name: 'nomic:latest', modality: 'embedding', contextTokens: null },
      ],
    })
  })

  test('of LocalAI have it from its list of capabilities, and from their names where an older one has none', async () => {
    const names = ['qwen3-8b', 'my-ear', 'my-voice', 'my-vectors', 'omni', 'silero-vad', 'whisper-1', 'voice-en-us-piper-tts']
    const list = { object: 'list', data: names.map((id) => ({ id, object: 'model' })) }
    const able = [['chat', 'tools'], ['transcript'], ['tts'], ['embeddings'], ['tts', 'chat', 'transcript'], ['vad'], null, []]
    const kinds = async (answers: Readonly<Record<string, unknown>>): Promise<unknown> => {
      const reach = await modelsOf(answers)
      return reach.up && reach.models?.map(({ name, modality }) => [name, modality])
    }
    const capabilities = names.map((id, at) => ({ id, object: 'model', capabilities: able[at] }))

    expect(await kinds({ '/v1/models': list, '/v1/models/capabilities': { object: 'list', data: capabilities } })).toEqual([
      ['qwen3-8b', 'text'],
      ['my-ear', 'asr'],
      ['my-voice', 'tts'],
      ['my-vectors', 'embedding'],
      ['omni', 'text'],
      ['whisper-1', 'asr'],
      ['voice-en-us-piper-tts', 'tts'],
    ])
    expect(await kinds({ '/v1/models': list })).toEqual([
      ['qwen3-8b', null],
      ['my-ear', null],
      ['my-voice', null],
      ['my-vectors', null],
      ['omni', null],
      ['whisper-1', 'asr'],
      ['voice-en-us-piper-tts', 'tts'],
    ])
  })

  test.each([
    ['asr', ['whisper-large-v3', 'distil-whisper/distil-large-v3', 'nvidia/parakeet-tdt-0.6b-v3', 'gpt-4o-transcribe', 'Qwen3-ASR-1.7B']],
    ['tts', ['tts-1-hd', 'hexgrad/Kokoro-82M', 'Qwen3-TTS-0.6B', 'coqui/XTTS-v2', 'ResembleAI/chatterbox', 'en_US-piper']],
    ['embedding', ['BAAI/bge-m3', 'nomic-embed-text', 'intfloat/e5-large', 'all-minilm']],
    // Of names that only sound like those.
    [null, ['dolphin-whisperer-7b', 'mattshumer/battsy-7b', 'castts-7b', 'rasr7b', 'orpheus-3b', 'Voxtral-Small-24B', 'gtex-1']],
  ])('that say nothing are told by their names: %s', async (modality, names) => {
    const reach = await modelsOf({ '/v1/models': { data: names.map((id) => ({ id, owned_by: 'somebody' })) } })

    expect(reach).toEqual({ up: true, models: names.map((name) => ({ name, modality, contextTokens: null })) })
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
