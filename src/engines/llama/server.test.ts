import { request } from 'node:http'
import { lstatSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PROGRAM, whyNoProgram } from '../../../test/engine/llama-server.ts'
import { TOPICS } from '../../../test/engine/tiny-gguf.ts'
import { tinyPicture } from '../../../test/engine/tiny-picture.ts'
import { PICTURE_TOKENS } from '../../../test/engine/tiny-projector.ts'
import type { Engine } from '../../core/engine.ts'
import type { Message, TextPart, TextRequest, Tool } from '../../core/modalities/text.ts'
import { describeEngine } from '../conformance.ts'
import { fits } from '../sandbox/schema-check.ts'
import { callsOf, contentOf, endsOf, onlyChoice, turns } from '../text-run.fixture.ts'
import { CONTEXT_TOKENS } from './llama.fixture.ts'
import { type Ran, type Served, serve } from './server.fixture.ts'

const LIMIT_MS = 30_000
const HELLO: Message[] = [{ role: 'user', content: 'hello there' }]
/** Answered without an end, up to the context. */
const COUNT: Message[] = [{ role: 'user', content: 'please count' }]
const SURE = { temperature: 0 }
const RANDOM = { temperature: 100, top_k: 0, top_p: 1, min_p: 0 }
const WHITE = 255
const BLACK = 0

const none = whyNoProgram()
const title = (name: string): string => (none === null ? name : `${name} (skipped: ${none})`)
let served: Served

beforeAll(async () => {
  if (PROGRAM !== null) served = await serve(PROGRAM)
}, LIMIT_MS)
afterAll(() => served?.close())

describe.skipIf(none !== null)(title('the shared suite, by llama-server'), () => {
  describeEngine(
    'llama-server',
    async () => ({
      engine: surely(served),
      text: { model: 'tiny-seer', endless: { request: { messages: COUNT } } },
    }),
    { embeds: 'embeddings are computed by the library', embedUsage: 'embeddings are computed by the library' },
  )
})

describe.skipIf(none !== null)(title('a chat by llama-server'), () => {
  test('arrives token by token, and every token is counted, the last one included', async () => {
    const { parts, finish } = await served.chat({ messages: HELLO, sampling: SURE })

    expect(parts.filter(({ type }) => type === 'text').length).toBeGreaterThan(2)
    expect(contentOf(parts, 0)).toBe(TOPICS.greeting.says)
    expect(endsOf(parts)).toEqual([{ choice: 0, reason: 'stop' }])
    expect(finish.usage).toMatchObject({ outputToken: 5 })
  })

  test('says whole what it would have streamed, as often as it was asked to', async () => {
    const { parts, finish } = await served.chat({ messages: HELLO, sampling: SURE, stream: false, choices: 3 })

    const [part] = parts
    const said = part?.type === 'whole' ? part.choices.map(({ message }) => message['content']) : []
    expect(said).toEqual([0, 1, 2].map(() => TOPICS.greeting.says))
    expect(finish.usage).toMatchObject({ outputToken: 15 })
  })

  test('is said in turns to a model that takes nothing else', async () => {
    const messages: Message[] = [
      { role: 'user', content: 'well' },
      { role: 'user', content: 'hello' },
    ]

    const { parts } = await served.chat({ messages, sampling: SURE }, { model: 'tiny-turns' })

    expect(contentOf(parts, 0)).toBe(TOPICS.greeting.says)
  })

  test('is the same for the same seed, and not for another', async () => {
    const said = async (seed: number): Promise<string> =>
      contentOf((await served.chat({ messages: HELLO, sampling: { ...RANDOM, seed }, maxTokens: 12 })).parts, 0)

    expect(await said(7)).toBe(await said(7))
    expect(await said(7)).not.toBe(await said(8))
  })

  test('reads only what it has not read before, and says so', async () => {
    const story = { role: 'user', content: `${'once upon a time '.repeat(20)}hello` } as const
    const first = await served.chat({ messages: [story], sampling: SURE })
    const said = { role: 'assistant', content: contentOf(first.parts, 0) } as const

    const second = await served.chat({ messages: [story, said, { role: 'user', content: 'hello again' }], sampling: SURE })

    expect(second.finish.usage?.cacheReadToken).toBeGreaterThanOrEqual(first.finish.usage?.inputToken ?? Infinity)
    expect(second.finish.usage?.inputToken).toBeLessThan(40)
  })

  test('tells how likely each token was, with as many others as were asked for', async () => {
    const asked = { messages: HELLO, sampling: SURE, maxTokens: 4 }
    const scores = async (logprobs: number): Promise<Record<string, unknown>[]> =>
      (await served.chat({ ...asked, logprobs })).parts.flatMap((part) => (part.type === 'delta' ? Object(part.logprobs).content : []))

    const [three, nought] = [await scores(3), await scores(0)]

    expect(three).toHaveLength(4)
    expect(nought.map((score) => score['top_logprobs'])).toEqual([[], [], [], []])
    for (const score of three) {
      expect(Object.keys(score).sort()).toEqual(['bytes', 'logprob', 'token', 'top_logprobs'])
      expect(score['top_logprobs']).toHaveLength(3)
      expect(score['logprob']).toBeLessThanOrEqual(0)
    }
  })

  test('that asks for more than the context is refused, with the numbers', async () => {
    const refused = served.chat({ messages: [{ role: 'user', content: 'count '.repeat(2 * CONTEXT_TOKENS) }] })

    await expect(refused).rejects.toMatchObject({ code: 'TOO_MANY_TOKENS', message: expect.stringMatching(/41\d\d tokens.*takes 204\d/) })
  })

  test('that fills the context ends for its length, and nothing of it is dropped to go on', async () => {
    const messages: Message[] = [{ role: 'user', content: 'count '.repeat(CONTEXT_TOKENS - 60) }]

    const { parts, finish } = await served.chat({ messages, sampling: SURE })

    const { inputToken = 0, cacheReadToken = 0, outputToken = 0 } = finish.usage ?? {}
    expect(endsOf(parts)).toEqual([{ choice: 0, reason: 'length' }])
    expect(inputToken + cacheReadToken + outputToken).toBeLessThanOrEqual(CONTEXT_TOKENS)
    expect(outputToken).toBeGreaterThan(20)
  })

  test('that its caller leaves frees its slot: the next ones need not wait until the context is full', async () => {
    const ends: Promise<unknown>[] = []
    for (let time = 0; time < 6; time++) {
      const left = new AbortController()
      const run = served.chat({ messages: COUNT, sampling: SURE }, { signal: left.signal, onParts: () => left.abort() })
      ends.push(run.catch((error: unknown) => error))
    }

    expect(await Promise.all(ends)).toMatchObject(Array.from({ length: 6 }, () => ({ internal: 'caller_left' })))
    expect(contentOf((await served.chat({ messages: HELLO, sampling: SURE })).parts, 0)).toBe(TOPICS.greeting.says)
    await expect.poll(() => served.models.held.get('tiny-seer')?.busy, { timeout: LIMIT_MS }).toBe(false)
  })
})

describe.skipIf(none !== null)(title('a picture in a chat by llama-server'), () => {
  const showing = (...brightness: number[]): Message[] => [
    {
      role: 'user',
      content: [{ type: 'text', text: 'what' }, ...brightness.map((one) => ({ type: 'image_url', image_url: { url: tinyPicture(one) } }))],
    },
  ]
  const total = ({ finish: { usage } }: Ran): number => (usage?.inputToken ?? 0) + (usage?.cacheReadToken ?? 0)
  const see = (...brightness: number[]): Promise<Ran> =>
    served.chat({ messages: showing(...brightness), media: brightness.length, sampling: SURE })

  test('is seen: what is answered depends on nothing but what is in it', async () => {
    const [white, black] = [await see(WHITE), await see(BLACK)]

    expect(contentOf(white.parts, 0)).toBe(TOPICS.greeting.says)
    expect(contentOf(black.parts, 0)).toBe(TOPICS.other.says)
  })

  test('is counted with the tokens that it becomes, and so is each further one', async () => {
    const [none, one, two] = [await see(), await see(WHITE), await see(WHITE, BLACK)]

    expect(total(one)).toBeGreaterThanOrEqual(total(none) + PICTURE_TOKENS)
    expect(total(two)).toBeGreaterThanOrEqual(total(one) + PICTURE_TOKENS)
  })

  test('that is none is a fault of the request, not of the engine', async () => {
    const messages: Message[] = [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } }] }]

    await expect(served.chat({ messages, media: 1 })).rejects.toMatchObject({ code: 'INVALID_REQUEST' })
  })
})

describe.skipIf(none !== null)(title('an answer of a random model by llama-server'), () => {
  test('fits its schema', async () => {
    const schema = {
      type: 'object',
      properties: { ok: { type: 'boolean' }, n: { type: 'integer', minimum: -12, maximum: 345 } },
      required: ['n', 'ok'],
      additionalProperties: false,
    }
    const format = { type: 'json_schema', name: 'answer', strict: true, schema } as const
    for (let seed = 0; seed < 3; seed++) {
      const { parts } = await served.chat({ messages: HELLO, sampling: { ...RANDOM, seed }, format })

      const job = { root: schema, patterns: new Map(), budget: { left: 100_000 } }
      expect(endsOf(parts)).toEqual([{ choice: 0, reason: 'stop' }])
      expect(fits(schema, JSON.parse(contentOf(parts, 0)), job)).toBe(true)
    }
  })

  test.for(['tiny-seer', 'tiny-tools'])('calls the tool that it must, with arguments that fit, and no other (%s)', async (model) => {
    const toolChoice = { type: 'function', function: { name: 'light' } } as const
    for (let seed = 0; seed < 3; seed++) {
      const asked = { messages: HELLO, sampling: { ...RANDOM, seed }, tools: [WEATHER, LIGHT], toolChoice, parallelToolCalls: false }

      const { parts } = await served.chat(asked, { model })

      const calls = callsOf(parts)
      expect(calls.map(({ name }) => name)).toEqual(['light'])
      expect(JSON.parse(calls[0]?.arguments ?? '')).toEqual({ on: expect.any(Boolean) })
      expect(endsOf(parts)).toEqual([{ choice: 0, reason: 'tool_calls' }])
    }
  })

  test('may call several tools at once where it must call one', async () => {
    const counts: number[] = []
    for (let seed = 0; seed < 12; seed++) {
      const asked = { messages: HELLO, sampling: { ...RANDOM, seed }, tools: [LIGHT], toolChoice: 'required', maxTokens: 300 } as const
      counts.push(callsOf((await served.chat(asked)).parts).length)
    }

    expect(Math.max(...counts)).toBeGreaterThan(1)
    expect(Math.min(...counts)).toBeGreaterThan(0)
  })

  test('has its calls in a whole answer, too', async () => {
    const asked = { messages: HELLO, sampling: { ...RANDOM, seed: 3 }, tools: [LIGHT], toolChoice: 'required', stream: false } as const

    const { parts } = await served.chat({ ...asked, parallelToolCalls: false })

    expect(onlyChoice(parts)).toMatchObject({
      finishReason: 'tool_calls',
      message: { content: null, tool_calls: [{ type: 'function', function: { name: 'light' } }] },
    })
  })
})

describe.skipIf(none !== null)(title('the program itself'), () => {
  test('answers nobody else: its socket is in a folder of this user alone, and who has no key is refused', async () => {
    await served.chat({ messages: HELLO, maxTokens: 1 })
    const [folder = ''] = await served.folders()

    const statuses = await Promise.all(
      [{}, { authorization: 'Bearer wrong' }].map((headers) => statusOf(join(folder, 'server.sock'), '/v1/chat/completions', headers)),
    )

    expect(modeOf(folder)).toBe('700')
    expect(statuses).toEqual([401, 401])
  })

  test.runIf(process.platform === 'linux')(
    'is told its key where no list of processes shows it, and has no way to the channel',
    async () => {
      await served.chat({ messages: HELLO, maxTokens: 1 })
      const pid = programOf(served.engine.pid('tiny-seer'))

      const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
      const key = /LLAMA_API_KEY=([^\0]+)/.exec(readFileSync(`/proc/${pid}/environ`, 'utf8'))?.[1] ?? ''

      expect(key.length).toBeGreaterThan(40)
      expect(line).not.toContain(key)
    },
  )

  test.runIf(process.platform === 'linux')(
    'that is killed is one clear failure for those it held, and the next chat finds another',
    async () => {
      await served.chat({ messages: HELLO, maxTokens: 1 })
      const pid = programOf(served.engine.pid('tiny-seer'))
      const kill = (): void => void (alive(pid) && process.kill(pid, 'SIGKILL'))
      const counting = [0, 1].map(() => served.chat({ messages: COUNT, sampling: SURE }, { onParts: kill }))

      const ends = await Promise.allSettled(counting)
      const { parts } = await served.chat({ messages: HELLO, sampling: SURE })

      expect(ends).toMatchObject([0, 1].map(() => ({ status: 'rejected', reason: { code: 'INFERENCE_FAILED' } })))
      expect(contentOf(parts, 0)).toBe(TOPICS.greeting.says)
      expect(programOf(served.engine.pid('tiny-seer'))).not.toBe(pid)
    },
  )

  test('a model whose file is none is said to be one, each time it is asked for', async () => {
    await served.models.add('broken', 'text', join(import.meta.dirname, 'server.test.ts'))

    for (let time = 0; time < 2; time++) {
      await expect(served.chat({ messages: HELLO }, { model: 'broken' })).rejects.toMatchObject({
        code: 'MODEL_OFFLINE',
        internal: 'llama_server_ended',
      })
    }
  })
})

const WEATHER: Tool = {
  type: 'function',
  function: { name: 'weather', parameters: { type: 'object', properties: { city: { type: 'string', maxLength: 6 } }, required: ['city'] } },
}
const LIGHT: Tool = {
  type: 'function',
  function: { name: 'light', parameters: { type: 'object', properties: { on: { type: 'boolean' } }, required: ['on'] } },
}

const modeOf = (path: string): string => (lstatSync(path).mode & 0o777).toString(8)

/** The only child of a child. */
function programOf(pid: number | null): number {
  const [first] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')
  return Number(first)
}

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

const statusOf = (socketPath: string, path: string, headers: Record<string, string>): Promise<number | undefined> =>
  new Promise((resolve, reject) => {
    const asked = request({ socketPath, path, headers, method: 'POST' }, (response) => {
      response.resume()
      resolve(response.statusCode)
    })
    asked.on('error', reject).end('{}')
  })

/** The same engine, closed by this file, which says what it thinks likeliest where a case leaves that open. */
function surely({ engine }: Served): Engine {
  const { text } = engine.abilities
  if (!text) throw new Error('the engine has lost its ability')
  const ask = (request: TextRequest): TextRequest => {
    const held = request.format !== null || request.toolChoice !== null
    return { ...request, sampling: held ? { ...RANDOM, seed: 1 } : SURE }
  }
  return {
    id: engine.id,
    privacy: engine.privacy,
    lists: engine.lists,
    abilities: {
      text: {
        refuses: (request, model) => text.refuses(request, model),
        run: (task, sink: (parts: readonly TextPart[]) => void | Promise<void>) => text.run({ ...task, request: ask(task.request) }, sink),
      },
    },
    probe: () => engine.probe(),
    close: () => turns(1),
  }
}
