import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Seen } from '../../../test/engine/stand-in-server.ts'
import { tinyPicture } from '../../../test/engine/tiny-picture.ts'
import type { Message } from '../../core/modalities/text.ts'
import { PLAIN, contentOf } from '../text-run.fixture.ts'
import { LlamaEngine } from './llama.ts'
import { type Served, serve, standIn } from './server.fixture.ts'

const LIMIT_MS = 10_000
const SILENCE_MS = 400
const HELLO: Message[] = [{ role: 'user', content: 'hello' }]

let folder: string
let served: Served

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rialto-life-'))
  served = await serve(await standIn(folder))
})
afterEach(async () => {
  await served.close()
  await rm(folder, { recursive: true, force: true })
})

/** A model whose name says how the stand-in behaves. */
async function model(mode: string, projector: string | null = null): Promise<string> {
  const file = join(folder, `${mode}.gguf`)
  await writeFile(file, 'not looked into')
  await served.models.add(mode, 'text', file, { parallel: 3, contextTokens: 512, others: projector === null ? {} : { projector } })
  return mode
}

async function seen(): Promise<Seen> {
  const [first = ''] = await served.folders()
  return JSON.parse(readFileSync(join(first, 'seen.json'), 'utf8'))
}

describe('the program that runs a model', () => {
  test('is started for its files and its slots, with its key and its socket for nobody else', async () => {
    const name = await model('good', '/eyes/mmproj.gguf')

    const { parts, finish } = await served.chat({ messages: HELLO }, { model: name })

    expect(contentOf(parts, 0)).toBe('said')
    expect(finish.usage).toEqual({ inputToken: 7, outputToken: 2 })
    const { args, env, channel } = await seen()
    const line = args.join(' ')
    for (const said of [
      `--model ${folder}/good.gguf`,
      '--mmproj /eyes/mmproj.gguf',
      '--parallel 3',
      `--ctx-size ${3 * 512}`,
      '--threads 1',
    ])
      expect(line).toContain(said)
    for (const said of ['--jinja', '--no-context-shift', '--no-webui', '--log-disable', '--host server.sock']) expect(line).toContain(said)
    expect(env['LLAMA_API_KEY']?.length).toBeGreaterThan(40)
    expect(line).not.toContain(env['LLAMA_API_KEY'])
    expect(env).not.toHaveProperty('HOME')
    expect(env).toMatchObject({ LLAMA_ARG_OFFLINE: '1', LLAMA_ARG_ENDPOINT_SLOTS: '0', LLAMA_ARG_CACHE_RAM: '0' })
    expect(channel).toBe(false)
  })

  test('is not asked anything before it is ready', async () => {
    const { parts } = await served.chat({ messages: HELLO }, { model: await model('slow') })

    expect(contentOf(parts, 0)).toBe('said')
  })

  test('that ends before it is ready says so each time, and leaves nothing behind', async () => {
    const name = await model('refuses')

    for (let time = 0; time < 3; time++) {
      await expect(served.chat({ messages: HELLO }, { model: name })).rejects.toMatchObject({
        code: 'MODEL_OFFLINE',
        internal: 'llama_server_ended',
      })
    }
    expect(await served.folders()).toEqual([])
    expect(served.models.held.has(name)).toBe(false)
  })

  test('that is gone cannot be started, in one sentence', async () => {
    const name = await model('good')
    await rm(join(folder, 'llama-server'))

    await expect(served.chat({ messages: HELLO }, { model: name })).rejects.toMatchObject({
      code: 'MODEL_OFFLINE',
      message: expect.stringContaining('llama-server cannot be started'),
    })
  })

  test('that dies in the middle is one failure for each call it held, and the next one finds another', async () => {
    const name = await model('dies')

    const ask = (): Promise<unknown> => served.chat({ messages: HELLO }, { model: name })
    const ends = await Promise.allSettled([ask(), ask(), ask()])
    const [again] = await Promise.allSettled([ask()])

    const died = { status: 'rejected', reason: { code: 'INFERENCE_FAILED', internal: 'engine_died' } }
    expect(ends).toMatchObject([died, died, died])
    expect(again).toMatchObject(died)
    expect(await served.folders()).toEqual([])
  })

  test('that says nothing more is killed, and its parent with it', async () => {
    const name = await model('hangs')
    const pids: number[] = []

    const run = served.chat({ messages: HELLO }, { model: name, stallMs: SILENCE_MS, onParts: async () => pids.push((await seen()).pid) })

    await expect(run).rejects.toMatchObject({ code: 'REQUEST_TIMEOUT', internal: 'engine_hung' })
    const [pid = 0] = pids
    expect(pid).toBeGreaterThan(0)
    await expect.poll(() => alive(pid), { timeout: LIMIT_MS }).toBe(false)
  })

  test('that talks nonsense is a failure without a word of it', async () => {
    const error: unknown = await served.chat({ messages: HELLO }, { model: await model('garbage') }).catch((why: unknown) => why)

    expect(error).toMatchObject({ code: 'INFERENCE_FAILED' })
    expect(JSON.stringify(error) + String(error)).not.toContain('SECRET')
  })

  test('ends with the engine, and its folder goes', async () => {
    await served.chat({ messages: HELLO }, { model: await model('good') })
    const [{ pid }, [place = '']] = [await seen(), await served.folders()]

    await served.engine.close()

    expect(alive(pid)).toBe(false)
    expect(existsSync(place)).toBe(false)
  })

  test('ends with a gateway that is killed', async () => {
    const script = fileURLToPath(new URL('./server-parent.fixture.ts', import.meta.url))
    const gateway = spawn(process.execPath, ['--no-warnings', script, join(folder, 'llama-server')], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    const [line] = await once(gateway.stdout, 'data')
    const theirs = String(line).trim()
    const [name = ''] = (await readdir(theirs)).filter((one) => one.startsWith('rialto-'))
    const { pid }: Seen = JSON.parse(readFileSync(join(theirs, name, 'seen.json'), 'utf8'))
    expect(alive(pid)).toBe(true)

    gateway.kill('SIGKILL')

    await expect.poll(() => alive(pid), { timeout: LIMIT_MS }).toBe(false)
    await expect.poll(() => existsSync(join(theirs, name)), { timeout: LIMIT_MS }).toBe(false)
    await rm(theirs, { recursive: true, force: true })
  })
})

describe('what it is asked', () => {
  const picture = { type: 'image_url', image_url: { url: tinyPicture(255) } }
  const asked = async (messages: Message[]): Promise<{ messages: Message[] } & Record<string, unknown>> => {
    await served.chat(
      { messages, media: 1, sampling: { repetition_penalty: 1.5, seed: 7 }, effort: 'none' },
      { model: await model('echoes') },
    )
    const [first = ''] = await served.folders()
    return JSON.parse(readFileSync(join(first, 'body.json'), 'utf8'))
  }

  test('has pictures that came along, and nothing that it would have to fetch, whoever said it', async () => {
    const away = 'http://169.254.169.254/latest'
    const parts = [
      { type: 'text', text: 'look' },
      picture,
      { type: 'input_video', input_video: { url: away } },
      { type: 'image_url', image_url: { url: away } },
    ]

    const body = await asked([
      { role: 'assistant', content: parts },
      { role: 'user', content: [{ type: 'text', text: 'and?' }] },
    ])

    expect(JSON.stringify(body)).not.toContain('169.254')
    expect(body.messages).toEqual([
      { role: 'assistant', content: [{ type: 'text', text: 'look' }, picture] },
      { role: 'user', content: 'and?' },
    ])
  })

  test('is said in its own words where it has others', async () => {
    expect(await asked(HELLO)).toMatchObject({
      stream: true,
      cache_prompt: true,
      repeat_penalty: 1.5,
      seed: 7,
      chat_template_kwargs: { enable_thinking: false },
    })
  })
})

describe('a request with pictures', () => {
  const refused = (name: string, messages: readonly unknown[]): unknown =>
    served.engine.abilities.text?.refuses({ ...PLAIN, messages: messages as Message[], media: 1 }, name)
  const showing = (url: string): unknown[] => [{ role: 'user', content: [{ type: 'image_url', image_url: { url } }] }]

  test('is taken by a model that sees, and refused by its place where the picture is elsewhere', () => {
    expect(refused('tiny-seer', showing(tinyPicture(0)))).toBeNull()
    for (const url of ['https://example.com/a.png', 'file:///etc/passwd', 'data:text/html;base64,AAAA', 'AAAA'])
      expect(refused('tiny-seer', showing(url))).toMatchObject({ code: 'INVALID_REQUEST', param: 'messages.0.content.0.image_url.url' })
    expect(refused('tiny-seer', [{ role: 'user', content: [{ type: 'input_audio', input_audio: { data: 'AAAA' } }] }])).toMatchObject({
      param: 'messages.0.content.0.type',
    })
  })

  test('is refused for a model without a projector, which is said', () => {
    expect(refused('tiny-chat', showing(tinyPicture(0)))).toMatchObject({
      code: 'INVALID_REQUEST',
      message: expect.stringContaining('no projector'),
    })
  })

  test('is offline where there is no program, and says what is to be installed', async () => {
    const engine = new LlamaEngine({ id: 'local', models: served.models, env: {}, threads: 1, gpu: false, server: null })
    const request = { ...PLAIN, messages: showing(tinyPicture(0)) as Message[], media: 1 }

    const why = engine.abilities.text?.refuses(request, 'tiny-seer')
    const reach = await engine.probe()
    await engine.close()

    expect(why).toMatchObject({ code: 'MODEL_OFFLINE', message: expect.stringContaining('llama-server') })
    expect(engine.abilities.text?.refuses(PLAIN, 'tiny-seer')).toBeNull()
    expect(reach.up && reach.models).toMatchObject([
      { name: 'tiny-chat', vision: false },
      { name: 'tiny-seer', vision: true },
      { name: 'tiny-tools', vision: false },
      { name: 'tiny-turns', vision: false },
    ])
  })
})

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
