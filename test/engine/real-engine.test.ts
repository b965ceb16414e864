import OpenAI, { APIUserAbortError } from 'openai'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startRialto } from '../harness/rialto.ts'
import type { Rialto } from '../harness/rialto.ts'
import { startLlamaServer, whyNoEngine } from './llama-server.ts'
import type { LlamaServer } from './llama-server.ts'
import { DIMENSIONS, TOPICS } from './tiny-gguf.ts'

const none = whyNoEngine()
const name = 'a real llama.cpp behind Rialto'
const HELLO = [{ role: 'user', content: 'hello there' }] as const
/** Answered without an end, up to the 8192 tokens of the context. */
const COUNT = [{ role: 'user', content: 'please count' }] as const

describe.skipIf(none !== null)(none === null ? name : `${name} (skipped: ${none})`, () => {
  let engine: LlamaServer
  let rialto: Rialto
  let client: OpenAI

  beforeAll(async () => {
    engine = await startLlamaServer()
    rialto = await startRialto({ env: { RIALTO_LLAMA_URL: engine.url } })
    await Promise.all([rialto.online(engine.chatModel), rialto.online(engine.embeddingModel)])
    client = new OpenAI({ baseURL: rialto.url, apiKey: rialto.key, maxRetries: 0 })
  })
  afterAll(async () => {
    await rialto?.stop()
    await engine?.stop()
  })

  test.for(['chat', 'embedding'] as const)("the engine's %s model is in the catalogue: private, online, at no price", async (kind) => {
    const id = kind === 'chat' ? engine.chatModel : engine.embeddingModel
    const type = kind === 'chat' ? 'text' : 'embedding'

    const { data } = await client.models.list({ query: { type: 'all' } })

    expect(data.find((model) => model.id === id)).toMatchObject({
      object: 'model',
      type,
      model_spec: { privacy: 'private', offline: false, pricing: { input: { usd: 0 }, output: { usd: 0 } } },
    })
  })

  test('a streamed chat arrives token by token, ends once, and is counted as the engine counted it', async () => {
    const before = engine.endedCount

    const stream = await client.chat.completions.create({
      model: engine.chatModel,
      messages: [...HELLO],
      stream: true,
      stream_options: { include_usage: true },
    })
    const chunks = []
    for await (const chunk of stream) chunks.push(chunk)

    const texts = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').filter((text) => text !== '')
    expect(texts).toEqual(['Grüß', ' dich', ' and', ' welcome'])
    expect(chunks.flatMap((chunk) => chunk.choices[0]?.finish_reason ?? [])).toEqual(['stop'])
    const { promptTokens, outputTokens } = await engine.chatEnded(before + 1)
    expect(chunks.at(-1)?.usage).toMatchObject({ prompt_tokens: promptTokens, completion_tokens: outputTokens })
    expect(outputTokens).toBe(texts.length + 1)
  })

  test('an unstreamed chat says what the prompt asks for', async () => {
    const questions = ['hello there', 'what now?', 'count for me']

    const answers = await Promise.all(
      questions.map((content) =>
        client.chat.completions.create({ model: engine.chatModel, messages: [{ role: 'user', content }], max_tokens: 12 }),
      ),
    )

    const said = answers.map(({ choices }) => choices[0]?.message.content)
    expect(said).toEqual([TOPICS.greeting.says, TOPICS.other.says, TOPICS.counting.says])
  })

  test('max_tokens ends an endless answer after so many tokens, and says that it was the length', async () => {
    const { choices, usage } = await client.chat.completions.create({ model: engine.chatModel, messages: [...COUNT], max_tokens: 3 })

    expect(choices).toMatchObject([{ finish_reason: 'length', message: { content: 'Uno two three' } }])
    expect(usage?.completion_tokens).toBe(3)
  })

  test('stop ends an endless answer before the word', async () => {
    const { choices } = await client.chat.completions.create({ model: engine.chatModel, messages: [...COUNT], stop: [' four'] })

    expect(choices).toMatchObject([{ finish_reason: 'stop', message: { content: 'Uno two three' } }])
  })

  test('a caller that leaves a stream stops the engine at work', async () => {
    const before = engine.endedCount

    const stream = await client.chat.completions.create({ model: engine.chatModel, messages: [...COUNT], stream: true })
    for await (const { choices } of stream) if (choices[0]?.delta.content === ' three') break

    const { reason, outputTokens } = await engine.chatEnded(before + 1)
    expect(reason).toBe('abort')
    expect(outputTokens).toBeLessThan(1_000)
  })

  test('a caller that leaves an unstreamed chat stops the engine at work', async () => {
    const before = engine.endedCount
    const left = new AbortController()

    const chat = client.chat.completions.create({ model: engine.chatModel, messages: [...COUNT] }, { signal: left.signal })
    await engine.begun(before + 1)
    left.abort()

    await expect(chat).rejects.toThrow(APIUserAbortError)
    const { reason, outputTokens } = await engine.chatEnded(before + 1)
    expect(reason).toBe('abort')
    expect(outputTokens).toBeLessThan(1_000)
  })

  test("a prompt beyond the model's context is refused with the code that clients look for", async () => {
    const messages = [{ role: 'user', content: 'count '.repeat(9_000) }] as const

    const chat = client.chat.completions.create({ model: engine.chatModel, messages: [...messages] })

    await expect(chat).rejects.toMatchObject({ status: 400, code: 'context_length_exceeded' })
  })

  test('embeddings are one vector per text, near where texts share words, and counted', async () => {
    const input = ['a red apple', 'red apple pie', 'the deep blue sea']

    const { data, usage } = await client.embeddings.create({ model: engine.embeddingModel, input })

    const [apple = [], pie = [], sea = []] = data.map(({ embedding }) => embedding)
    expect(data.map(({ index, embedding }) => [index, embedding.length])).toEqual([0, 1, 2].map((index) => [index, DIMENSIONS]))
    expect(dot(apple, apple)).toBeCloseTo(1)
    expect(dot(apple, pie)).toBeCloseTo(1 / 3)
    expect(dot(apple, sea)).toBeCloseTo(0)
    expect(usage.prompt_tokens).toBe(10)
  })

  test('an embedding is the same as floats and as base64', async () => {
    const ask = { model: engine.embeddingModel, input: 'under stars' }

    const [plain, packed] = await Promise.all([
      client.embeddings.create({ ...ask, encoding_format: 'float' }),
      // Without a format the client asks for base64 and unpacks it.
      client.embeddings.create(ask),
    ])

    const [floats = [], unpacked = []] = [plain.data[0]?.embedding, packed.data[0]?.embedding]
    expect(unpacked).toEqual([...Float32Array.from(floats)])
  })
})

const dot = (left: readonly number[], right: readonly number[]): number => left.reduce((sum, value, i) => sum + value * (right[i] ?? 0), 0)
