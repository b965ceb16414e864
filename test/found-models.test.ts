/** What servers on this machine list joins the catalogue as what it is: nobody writes an entry for a voice or an ear. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Asked, type Upstream, startUpstream } from '../src/engines/upstream.fixture.ts'
import { engineAt, overlay } from './harness/overlay.ts'
import { recording } from './harness/recording.ts'
import { type Rialto, startRialto } from './harness/rialto.ts'
import { ask } from './harness/talk.ts'

/** Nobody says since when a server has its models: all that were found have this date, and the sandbox's. */
const FOUND = 1_735_689_600

/** What each server answers to a GET, by path; all of them speak, listen and embed when they are asked to. */
const SERVERS: Readonly<Record<string, Readonly<Record<string, readonly object[]>>>> = {
  speaches: {
    '/v1/models': [
      { id: 'Systran/faster-whisper-small', object: 'model', owned_by: 'Systran', language: ['en'], task: 'automatic-speech-recognition' },
      { id: 'speaches-ai/Kokoro-82M-v1.0-ONNX', object: 'model', owned_by: 'speaches-ai', task: 'text-to-speech', sample_rate: 24_000 },
    ],
  },
  'kokoro-fastapi': { '/v1/models': [{ id: 'kokoro', object: 'model', created: 1_686_935_002, owned_by: 'kokoro' }] },
  localai: {
    '/v1/models': ['my-ear', 'my-voice', 'my-vectors', 'my-chat', 'my-images'].map((id) => ({ id, object: 'model' })),
    '/v1/models/capabilities': [
      { id: 'my-ear', capabilities: ['transcript'] },
      { id: 'my-voice', capabilities: ['tts'] },
      { id: 'my-vectors', capabilities: ['embeddings'] },
      { id: 'my-chat', capabilities: ['chat', 'tools'] },
      { id: 'my-images', capabilities: ['image'] },
    ],
  },
  vllm: { '/v1/models': [{ id: 'openai/whisper-large-v3-turbo', object: 'model', owned_by: 'vllm', max_model_len: 448 }] },
  llama: { '/v1/models': [{ id: 'bge-m3-q8_0.gguf', object: 'model', owned_by: 'llamacpp', meta: { n_ctx_train: 8192 } }] },
}

function answering(lists: Readonly<Record<string, readonly object[]>>): Promise<Upstream> {
  return startUpstream(({ asked, response }) => {
    const data = lists[asked.url]
    const json = (body: object): void => void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    if (data) return json({ object: 'list', data })
    if (asked.url === '/v1/audio/speech') return void response.writeHead(200, { 'content-type': 'audio/mpeg' }).end('SOUND')
    if (asked.url === '/v1/audio/transcriptions') return json({ text: 'A heron.', duration: 2, language: 'english', segments: [] })
    if (asked.url === '/v1/embeddings')
      return json({ data: [{ index: 0, embedding: [1, 0] }], usage: { prompt_tokens: 2, total_tokens: 2 } })
    response.writeHead(404).end()
  })
}

let rialto: Rialto
const servers = new Map<string, Upstream>()
beforeAll(async () => {
  for (const [id, lists] of Object.entries(SERVERS)) servers.set(id, await answering(lists))
  const engines = [...servers].map(([id, { baseUrl }]) => engineAt(id, baseUrl, { lists: true }))
  rialto = await startRialto({
    config: overlay(engines, []),
    env: { RIALTO_VLLM_URL: servers.get('vllm')?.baseUrl ?? '', RIALTO_LLAMA_URL: servers.get('llama')?.baseUrl ?? '' },
  })
  await Promise.all(['kokoro', 'my-ear', 'bge-m3-q8_0.gguf'].map((model) => rialto.online(model)))
  const all = ['speaches/Systran/faster-whisper-small', 'vllm/openai/whisper-large-v3-turbo']
  await Promise.all(all.map((model) => rialto.online(encodeURIComponent(model))))
})
afterAll(async () => {
  await rialto?.stop()
  for (const server of servers.values()) await server.close()
})

const lastOf = (server: string, path: string): Asked | undefined => servers.get(server)?.asked.findLast(({ url }) => url === path)

describe('what a server on this machine lists', () => {
  test.each([
    ['tts', ['kokoro', 'my-voice', 'speaches-ai/Kokoro-82M-v1.0-ONNX']],
    ['asr', ['Systran/faster-whisper-small', 'my-ear', 'openai/whisper-large-v3-turbo']],
    ['embedding', ['bge-m3-q8_0.gguf', 'my-vectors']],
    ['text', ['my-chat']],
  ])('is listed as %s where it is that', async (type, ids) => {
    const { data } = (await ask(`${rialto.url}/models?type=${type}`, { key: rialto.key })).json()
    const found = (data as { id: string; created: number }[]).filter(({ id, created }) => created === FOUND && !id.startsWith('sandbox-'))

    expect(found.map(({ id }) => id).sort()).toEqual(ids.sort())
  })

  test.each([
    ['speaches', 'speaches-ai/Kokoro-82M-v1.0-ONNX', 'af_heart'],
    ['kokoro-fastapi', 'kokoro', 'af_sky+af_bella'],
    ['localai', 'my-voice', null],
  ])('speaks: %s', async (server, model, voice) => {
    const reply = await ask(`${rialto.url}/audio/speech`, { key: rialto.key, body: { model, input: 'Good morning.', voice } })

    expect([reply.status, reply.text]).toEqual([200, 'SOUND'])
    expect(JSON.parse(lastOf(server, '/v1/audio/speech')?.body ?? '')).toMatchObject({
      model,
      voice: voice ?? 'alloy',
      input: 'Good morning.',
    })
  })

  test.each([
    ['speaches', 'Systran/faster-whisper-small'],
    ['localai', 'my-ear'],
    ['vllm', 'openai/whisper-large-v3-turbo'],
  ])('listens: %s', async (server, model) => {
    const body = new FormData()
    body.set('file', new File([new Uint8Array(recording(2))], 'a.wav'))
    body.set('model', model)

    const reply = await ask(`${rialto.url}/audio/transcriptions`, { key: rialto.key, body })

    expect([reply.status, reply.json()['text']]).toEqual([200, 'A heron.'])
    expect(lastOf(server, '/v1/audio/transcriptions')?.body).toContain(`name="model"\r\n\r\n${model}\r\n`)
  })

  test.each([
    ['llama', 'bge-m3-q8_0.gguf'],
    ['localai', 'my-vectors'],
  ])('embeds: %s', async (server, model) => {
    const reply = await ask(`${rialto.url}/embeddings`, { key: rialto.key, body: { model, input: 'A heron.' } })

    expect([reply.status, reply.json()['data']]).toMatchObject([200, [{ embedding: [1, 0] }]])
    expect(lastOf(server, '/v1/embeddings')).toBeDefined()
  })

  test('is refused by its kind where it is asked for what it cannot do', async () => {
    const body = { model: 'kokoro', messages: [{ role: 'user', content: 'Hello' }] }

    const reply = await ask(`${rialto.url}/chat/completions`, { key: rialto.key, body })

    expect([reply.status, reply.text]).toEqual([400, expect.stringContaining('of type tts')])
  })
})
