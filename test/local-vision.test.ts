import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PROGRAM, whyNoEngine, whyNoProgram } from './engine/llama-server.ts'
import { TOPICS, writeTinyChatModel } from './engine/tiny-gguf.ts'
import { tinyPicture } from './engine/tiny-picture.ts'
import { writeTinyProjector } from './engine/tiny-projector.ts'
import { type Rialto, startRialto } from './harness/rialto.ts'
import { ask } from './harness/talk.ts'

const ROOT = dirname(import.meta.dirname)
const LIMIT_MS = 60_000
const [WHITE, BLACK] = [255, 0]
const config = { 'local-models.json': { download: { keepFreeBytes: 0 }, memory: { contextTokens: 1024, parallel: 2 } } }

let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rialto-vision-'))
  await Promise.all([writeTinyChatModel(join(folder, 'chat.gguf')), writeTinyProjector(join(folder, 'mmproj.gguf'))])
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** By the command, as an operator would. */
async function pull(rialto: Rialto, id: string, ...more: string[]): Promise<void> {
  const env = { PATH: process.env['PATH'] ?? '', HOME: rialto.home, RIALTO_HOME: rialto.home }
  const args = [join(ROOT, 'scripts/models.mjs'), 'pull', join(folder, 'chat.gguf'), '--as', id, ...more]
  const [code] = await once(spawn(process.execPath, args, { env, stdio: 'ignore' }), 'close')
  expect(code).toBe(0)
  await rialto.online(id)
}

const showing = (url: string): OpenAI.ChatCompletionMessageParam[] => [
  {
    role: 'user',
    content: [
      { type: 'text', text: 'what' },
      { type: 'image_url', image_url: { url } },
    ],
  },
]

const visionOf = async (rialto: Rialto, id: string): Promise<unknown> => {
  const answer = await ask(`${rialto.url}/models/${id}`, { key: rialto.key })
  return JSON.parse(answer.text).model_spec.capabilities.supportsVision
}

const noProgram = whyNoProgram()

describe.skipIf(noProgram !== null)(
  `a model that sees, by llama.cpp's own server${noProgram === null ? '' : ` (skipped: ${noProgram})`}`,
  () => {
    let rialto: Rialto
    let client: OpenAI
    let temporary: string

    beforeAll(async () => {
      temporary = await mkdtemp(join(tmpdir(), 'rialto-programs-'))
      rialto = await startRialto({ config, env: { RIALTO_LLAMA_SERVER: PROGRAM ?? '', TMPDIR: temporary } })
      client = new OpenAI({ baseURL: rialto.url, apiKey: rialto.key, maxRetries: 0 })
      await pull(rialto, 'seer', '--projector', join(folder, 'mmproj.gguf'))
      await pull(rialto, 'blind')
    }, LIMIT_MS)
    afterAll(async () => {
      await rialto?.stop()
      await rm(temporary, { recursive: true, force: true })
    })

    test('is in the catalogue as one, and the same model without a projector is not', async () => {
      expect([await visionOf(rialto, 'seer'), await visionOf(rialto, 'blind')]).toEqual([true, false])
    })

    test.for([
      [WHITE, TOPICS.greeting.says],
      [BLACK, TOPICS.other.says],
    ] as const)('answers by what is in the picture (brightness %i)', async ([brightness, says]) => {
      const asked = { model: 'seer', messages: showing(tinyPicture(brightness)), temperature: 0 }

      const whole = await client.chat.completions.create(asked)
      const stream = await client.chat.completions.create({ ...asked, stream: true, stream_options: { include_usage: true } })
      let text = ''
      let usage: unknown = null
      for await (const chunk of stream) {
        text += chunk.choices[0]?.delta.content ?? ''
        usage = chunk.usage ?? usage
      }

      expect([whole.choices[0]?.message.content, text]).toEqual([says, says])
      expect(whole.usage?.completion_tokens).toBe(Object(usage).completion_tokens)
      expect(whole.usage?.prompt_tokens).toBe(Object(usage).prompt_tokens)
    })

    test('is refused a picture that would have to be fetched, by its place', async () => {
      const refused = client.chat.completions.create({ model: 'seer', messages: showing('https://example.com/a.png') })

      await expect(refused).rejects.toMatchObject({ status: 400, message: expect.stringContaining('messages.0.content.1.image_url.url') })
    })

    test('a model without a projector refuses pictures by name', async () => {
      const refused = client.chat.completions.create({ model: 'blind', messages: showing(tinyPicture(WHITE)) })

      await expect(refused).rejects.toMatchObject({ status: 400, message: expect.stringContaining('does not support images') })
    })

    test.runIf(process.platform === 'linux')('its program ends with the server, also when that is killed', async () => {
      await client.chat.completions.create({ model: 'seer', messages: showing(tinyPicture(WHITE)), max_tokens: 1 })
      const [pid = 0, ...others] = programsIn(temporary)
      expect([pid > 0, others]).toEqual([true, []])

      rialto.kill('SIGKILL')

      await expect.poll(() => programsIn(temporary), { timeout: LIMIT_MS }).toEqual([])
      await expect.poll(() => readdirSync(temporary).filter((name) => name.startsWith('rialto-')), { timeout: LIMIT_MS }).toEqual([])
    })
  },
)

const noEngine = whyNoEngine()

describe.skipIf(noEngine !== null)(`a model that sees, without that program${noEngine === null ? '' : ` (skipped: ${noEngine})`}`, () => {
  let rialto: Rialto

  beforeAll(async () => {
    rialto = await startRialto({ config, env: { PATH: folder } })
    await pull(rialto, 'seer', '--projector', join(folder, 'mmproj.gguf'))
  }, LIMIT_MS)
  afterAll(() => rialto?.stop())

  test('chats, and answers pictures with what is to be installed', async () => {
    const client = new OpenAI({ baseURL: rialto.url, apiKey: rialto.key, maxRetries: 0 })

    const { choices } = await client.chat.completions.create({
      model: 'seer',
      messages: [{ role: 'user', content: 'hello' }],
      temperature: 0,
    })
    const refused = client.chat.completions.create({ model: 'seer', messages: showing(tinyPicture(WHITE)) })

    expect(choices[0]?.message.content).toBe(TOPICS.greeting.says)
    await expect(refused).rejects.toMatchObject({
      status: 503,
      message: expect.stringMatching(/llama-server.*PATH/),
    })
  })
})

/** The process ids of the programs whose working folder is below this one. */
function programsIn(below: string): number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return pids.filter((pid) => commandOf(pid).includes('server.sock') && environmentOf(pid).includes(`TMPDIR=${below}`)).map(Number)
}

const commandOf = (pid: string): string => readOr(`/proc/${pid}/cmdline`)
const environmentOf = (pid: string): string => readOr(`/proc/${pid}/environ`)

function readOr(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    // It is gone by now, or somebody else's.
    return ''
  }
}
