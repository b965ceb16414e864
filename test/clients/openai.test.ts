import OpenAI, { NotFoundError } from 'openai'
import { zodFunction, zodResponseFormat } from 'openai/helpers/zod'
import type { ChatCompletionTool } from 'openai/resources/chat/completions'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { startRialto } from '../harness/rialto.ts'
import type { Rialto } from '../harness/rialto.ts'

const TEXT = 'sandbox-text'
const EMBEDDING = 'sandbox-embedding'
const ASK = [{ role: 'user' as const, content: 'What is a bridge made of?' }]
const PIXEL = 'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='

const city = z.object({ city: z.string().min(1), unit: z.enum(['C', 'F']) })
const clock = z.object({ zone: z.string() })

let rialto: Rialto
let client: OpenAI
beforeAll(async () => {
  rialto = await startRialto()
  client = new OpenAI({ baseURL: rialto.url, apiKey: rialto.key, maxRetries: 0 })
})
afterAll(() => rialto?.stop())

describe('the official OpenAI client chats', () => {
  test('a chat comes back whole, with usage that adds up and the id to ask support about', async () => {
    const { data, response, request_id: requestId } = await client.chat.completions.create({ model: TEXT, messages: ASK }).withResponse()

    expect(data).toMatchObject({
      object: 'chat.completion',
      model: TEXT,
      choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: expect.stringContaining('sandbox') } }],
    })
    const { prompt_tokens: prompt = 0, completion_tokens: completion = 0, total_tokens: total = 0 } = data.usage ?? {}
    expect(prompt).toBeGreaterThan(0)
    expect(completion).toBeGreaterThan(0)
    expect(total).toBe(prompt + completion)
    expect(requestId).toBe(response.headers.get('x-request-id'))
    expect(requestId).toMatch(/\w{8}/)
  })

  test('a stream says the same as the whole answer, ends once, and closes with the usage that was asked for', async () => {
    const whole = await client.chat.completions.create({ model: TEXT, messages: ASK })

    const chunks = await chunksOf(
      await client.chat.completions.create({ model: TEXT, messages: ASK, stream: true, stream_options: { include_usage: true } }),
    )

    const deltas = chunks.map(({ choices }) => choices[0]?.delta)
    expect(deltas[0]?.role).toBe('assistant')
    expect(deltas.filter((delta) => delta?.content).length).toBeGreaterThan(3)
    expect(deltas.map((delta) => delta?.content ?? '').join('')).toBe(whole.choices[0]?.message.content)
    expect(chunks.flatMap(({ choices }) => choices[0]?.finish_reason ?? [])).toEqual(['stop'])
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { total_tokens: whole.usage?.total_tokens } })
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1)
  })

  test('a stream has no usage chunk where none was asked for', async () => {
    const chunks = await chunksOf(await client.chat.completions.create({ model: TEXT, messages: ASK, stream: true }))

    expect(chunks.filter(({ choices }) => choices.length === 0)).toEqual([])
    expect(chunks.filter(({ usage }) => usage != null)).toEqual([])
  })

  test('the stream helper puts the message together and reports every piece', async () => {
    const pieces: string[] = []

    const stream = client.chat.completions.stream({ model: TEXT, messages: ASK, stream_options: { include_usage: true } })
    stream.on('content', (piece) => pieces.push(piece))
    const message = await stream.finalMessage()

    expect(message.role).toBe('assistant')
    expect(message.content).toBe(pieces.join(''))
    expect(pieces.length).toBeGreaterThan(3)
    expect((await stream.totalUsage()).total_tokens).toBeGreaterThan(0)
    expect((await stream.finalChatCompletion()).choices[0]?.finish_reason).toBe('stop')
  })

  test('max_completion_tokens ends the answer with length, stop ends it before the word', async () => {
    const short = await client.chat.completions.create({ model: TEXT, messages: ASK, max_completion_tokens: 2 })
    const stopped = await client.chat.completions.create({ model: TEXT, messages: ASK, stop: ['sandbox'] })

    expect(short.choices[0]?.finish_reason).toBe('length')
    expect(short.usage?.completion_tokens).toBe(2)
    expect(stopped.choices[0]?.finish_reason).toBe('stop')
    expect(stopped.choices[0]?.message.content).not.toContain('sandbox')
  })

  test('n gives so many choices, whole and streamed', async () => {
    const whole = await client.chat.completions.create({ model: TEXT, messages: ASK, n: 2 })
    const chunks = await chunksOf(await client.chat.completions.create({ model: TEXT, messages: ASK, n: 2, stream: true }))

    expect(whole.choices.map(({ index }) => index)).toEqual([0, 1])
    const texts = [0, 1].map((wanted) =>
      chunks.flatMap(({ choices }) => choices.filter(({ index }) => index === wanted).map(({ delta }) => delta.content ?? '')).join(''),
    )
    expect(texts).toEqual(whole.choices.map(({ message }) => message.content))
  })

  test('logprobs come token by token, with as many alternatives as were asked for', async () => {
    const { choices } = await client.chat.completions.create({ model: TEXT, messages: ASK, logprobs: true, top_logprobs: 2 })

    const tokens = choices[0]?.logprobs?.content ?? []
    expect(tokens.map(({ token }) => token).join('')).toBe(choices[0]?.message.content)
    expect(new Set(tokens.map(({ top_logprobs: top }) => top.length))).toEqual(new Set([2]))
  })

  test('pictures and sound go to the model as parts of a message', async () => {
    const { choices } = await client.chat.completions.create({
      model: TEXT,
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'What is on these?' },
            { type: 'image_url', image_url: { url: PIXEL, detail: 'low' } },
            { type: 'image_url', image_url: { url: 'https://example.com/bridge.png' } },
            { type: 'input_audio', input_audio: { data: 'UklGRg==', format: 'wav' } },
          ],
        },
      ],
    })

    expect(choices[0]?.message.content).toContain('2 image_url parts and 1 input_audio part')
  })

  test('a developer message and the older names of fields are taken', async () => {
    const { choices } = await client.chat.completions.create({
      model: TEXT,
      messages: [{ role: 'developer', content: 'Be brief.' }, ...ASK],
      max_tokens: 3,
      user: 'somebody',
      store: false,
      metadata: { purpose: 'test' },
    })

    expect(choices[0]?.finish_reason).toBe('length')
  })
})

describe('the official OpenAI client uses tools', () => {
  const weather = zodFunction({ name: 'get_weather', parameters: city })
  const time = zodFunction({ name: 'get_time', parameters: clock })
  // The helper gives JSON schemas; only their callbacks are left out.
  const tools: ChatCompletionTool[] = [weather, time]

  test('two calls in one turn have ids of their own and arguments that fit their schemas', async () => {
    const { choices } = await client.chat.completions.create({ model: TEXT, messages: ASK, tools })

    const calls = choices[0]?.message.tool_calls ?? []
    expect(choices[0]?.finish_reason).toBe('tool_calls')
    expect(choices[0]?.message.content).toBeNull()
    expect(calls.map((call) => call.type === 'function' && call.function.name)).toEqual(['get_weather', 'get_time'])
    expect(new Set(calls.map(({ id }) => id)).size).toBe(2)
    const [first, second] = calls.map((call) => (call.type === 'function' ? JSON.parse(call.function.arguments) : null))
    expect(city.safeParse(first).success).toBe(true)
    expect(clock.safeParse(second).success).toBe(true)
  })

  test('parallel calls in a stream are put together by the helper, each with its own arguments', async () => {
    const done: string[] = []

    const stream = client.chat.completions.stream({ model: TEXT, messages: ASK, tools })
    stream.on('tool_calls.function.arguments.done', ({ name, arguments: text }) => done.push(`${name} ${text}`))
    const message = await stream.finalMessage()

    const calls = message.tool_calls ?? []
    expect(calls.map((call) => call.type === 'function' && `${call.function.name} ${call.function.arguments}`)).toEqual(done)
    expect(city.safeParse(JSON.parse(done[0]?.slice('get_weather '.length) ?? '')).success).toBe(true)
    expect(clock.safeParse(JSON.parse(done[1]?.slice('get_time '.length) ?? '')).success).toBe(true)
  })

  test.for([true, false])('the loop of calls and results goes on until there is an answer (stream: %s)', async (stream) => {
    const called: string[] = []
    const running = [
      zodFunction({ name: 'get_weather', parameters: city, function: ({ unit }) => (called.push('get_weather'), `12 ${unit}`) }),
      zodFunction({ name: 'get_time', parameters: clock, function: () => (called.push('get_time'), 'noon') }),
    ]

    const runner = stream
      ? client.chat.completions.runTools({ model: TEXT, messages: ASK, tools: running, stream })
      : client.chat.completions.runTools({ model: TEXT, messages: ASK, tools: running })
    const answer = await runner.finalContent()

    expect(called.toSorted()).toEqual(['get_time', 'get_weather'])
    expect(answer).toContain('The tool get_weather answered')
    expect(answer).toContain('The tool get_time answered')
    expect(runner.messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'tool', 'tool', 'assistant'])
  })

  test('tool_choice decides: a named one is called, none are called', async () => {
    const named = await client.chat.completions.create({
      model: TEXT,
      messages: ASK,
      tools,
      tool_choice: { type: 'function', function: { name: 'get_time' } },
    })
    const without = await client.chat.completions.create({ model: TEXT, messages: ASK, tools, tool_choice: 'none' })

    expect(named.choices[0]?.message.tool_calls).toMatchObject([{ function: { name: 'get_time' } }])
    expect(without.choices[0]?.message.tool_calls).toBeUndefined()
    expect(without.choices[0]?.finish_reason).toBe('stop')
  })
})

describe('the official OpenAI client gets structured output', () => {
  const bridge = z.object({
    name: z.string(),
    lengthMetres: z.number(),
    arches: z.array(z.object({ stone: z.boolean() })),
    built: z.enum(['old', 'new']),
  })
  const format = zodResponseFormat(bridge, 'bridge')

  test('parse gives an object that fits the schema', async () => {
    const { choices } = await client.chat.completions.parse({ model: TEXT, messages: ASK, response_format: format })

    expect(bridge.safeParse(choices[0]?.message.parsed).success).toBe(true)
  })

  test('a stream ends with an object that fits the schema', async () => {
    const { choices } = await client.chat.completions.stream({ model: TEXT, messages: ASK, response_format: format }).finalChatCompletion()

    expect(bridge.safeParse(choices[0]?.message.parsed).success).toBe(true)
  })

  test('json_object gives an object', async () => {
    const { choices } = await client.chat.completions.create({ model: TEXT, messages: ASK, response_format: { type: 'json_object' } })

    expect(z.record(z.string(), z.unknown()).safeParse(JSON.parse(choices[0]?.message.content ?? '')).success).toBe(true)
  })
})

describe('the official OpenAI client embeds', () => {
  test('a vector is the same as floats and as the base64 that the client asks for by itself', async () => {
    const ask = { model: EMBEDDING, input: 'the bridge of sighs' }

    const floats = await client.embeddings.create({ ...ask, encoding_format: 'float' })
    const unpacked = await client.embeddings.create(ask)

    expect(floats).toMatchObject({ object: 'list', model: EMBEDDING, data: [{ object: 'embedding', index: 0 }] })
    expect(unpacked.data[0]?.embedding).toEqual([...Float32Array.from(floats.data[0]?.embedding ?? [])])
    expect(floats.usage.prompt_tokens).toBeGreaterThan(0)
    expect(floats.usage.total_tokens).toBe(floats.usage.prompt_tokens)
  })

  test('several texts give as many vectors in their order, as long as was asked for', async () => {
    const input = ['stone', 'wood', 'steel']

    const together = await client.embeddings.create({ model: EMBEDDING, input, dimensions: 64 })
    const alone = await client.embeddings.create({ model: EMBEDDING, input: 'wood', dimensions: 64 })

    expect(together.data.map(({ index, embedding }) => [index, embedding.length])).toEqual([0, 1, 2].map((index) => [index, 64]))
    expect(together.data[1]?.embedding).toEqual(alone.data[0]?.embedding)
  })

  test('token arrays are taken like texts', async () => {
    const { data } = await client.embeddings.create({ model: EMBEDDING, input: [[1, 2, 3], [4]] })

    expect(data.map(({ index }) => index)).toEqual([0, 1])
  })
})

describe('the official OpenAI client reads the models', () => {
  test('the list can be walked, and each model in it retrieved', async () => {
    const ids: string[] = []
    for await (const model of client.models.list()) ids.push(model.id)

    const one = await client.models.retrieve(TEXT)

    expect(ids).toContain(TEXT)
    expect(one).toMatchObject({ id: TEXT, object: 'model', created: expect.any(Number), owned_by: expect.any(String) })
  })

  test('a model that is not there is not found, in words', async () => {
    const missing = client.models.retrieve('no-such-model')

    await expect(missing).rejects.toThrow(NotFoundError)
    await expect(missing).rejects.toThrow(/^404 .*model/i)
  })
})

async function chunksOf<Chunk>(stream: AsyncIterable<Chunk>): Promise<Chunk[]> {
  const chunks: Chunk[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return chunks
}
