import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { writeTinyChatModel } from '../../test/engine/tiny-gguf.ts'
import { type CliWorld, EXIT, lineOf, runModels } from './cli.ts'
import { bytesOf, sendFile, sha256Of } from './hub.fixture.ts'
import type { ModelStore } from './local-models.ts'
import { testFolder, testHub, testStore } from './store.fixture.ts'

const ROOT = join(import.meta.dirname, '../..')
const BLOB = bytesOf(200_000, 1)

let chat: Buffer
beforeAll(async () => {
  const path = join(await testFolder(), 'chat.gguf')
  await writeTinyChatModel(path)
  chat = await readFile(path)
})

type Printed = { readonly world: CliWorld; out: string; err: string; leave: () => void }

function worldOf(store: ModelStore, isTTY = false): Printed {
  const controller = new AbortController()
  const printed: Printed = {
    out: '',
    err: '',
    leave: () => controller.abort(),
    world: {
      store,
      out: { isTTY, columns: 80, write: (text) => (printed.out += text) },
      err: { isTTY, columns: 80, write: (text) => (printed.err += text) },
      signal: controller.signal,
    },
  }
  return printed
}

describe('the command', () => {
  test('pulls, lists, verifies and deletes, and says each time what was done', async () => {
    const hub = await testHub({ 'org/repo/tiny-Q4_K_M.gguf': chat })
    const store = await testStore(hub, { download: { partBytes: 1_000_000, journalBytes: 1_000_000 } })
    const run = async (...args: string[]): Promise<[number, string, string]> => {
      const printed = worldOf(store)
      const code = await runModels(args, printed.world)
      return [code, printed.out, printed.err]
    }

    const pull = await run('pull', 'hf.co/org/repo', '--as', 'tiny')
    const list = await run('list')
    const json = await run('list', '--json')
    const verify = await run('verify')
    const rm = await run('rm', 'tiny')
    const gone = await run('rm', 'tiny')
    const empty = await run('list')

    expect(pull).toEqual([
      0,
      expect.stringMatching(/^tiny is here: .* MB, checked\.\nIt needs .* with 4 × 8192 tokens of context; .*\n$/),
      '',
    ])
    expect(list).toEqual([0, expect.stringMatching(/^tiny {2}text {2}.* MB {2}needs .* of memory\n$/), ''])
    expect(JSON.parse(json[1])).toMatchObject({ models: [{ id: 'tiny', kind: 'text', source: 'hf.co/org/repo' }], downloads: [] })
    expect(verify).toEqual([0, 'tiny: all is as it came.\n', ''])
    expect(rm).toEqual([0, 'tiny is deleted.\n', ''])
    expect(gone).toEqual([EXIT.failed, '', 'There is no model tiny here.\n'])
    expect(empty[1]).toMatch(/No models are here/)
  })

  test('lists what the registry has, and says of each whether this machine can load it', async () => {
    const file = { role: 'model', path: 'a.gguf' }
    const models = [
      { id: 'small', modality: 'text', repository: 'org/repo', files: [file], licence: 'mit', approxBytes: 1e9, cacheBytesPerToken: 1 },
      { id: 'huge', modality: 'text', repository: 'org/repo', quantisation: 'Q4_K_M', licence: null, approxBytes: 9e9 },
      { id: 'vague', modality: 'tts', repository: 'org/repo', files: [file], licence: 'mit', approxBytes: null },
    ]
    const store = await testStore(null, { models, memory: { budgetBytes: 4_000_000_000 } })
    const [text, json] = [worldOf(store), worldOf(store)]

    await runModels(['list', '--all'], text.world)
    await runModels(['list', '--all', '--json'], json.world)

    expect(text.out).toMatch(/^small +text +~1\.00 GB +not here, needs about 1\.59 GB of memory \(mit\)$/m)
    expect(text.out).toMatch(/^huge +text +~9\.00 GB +not here, too large: needs at least 9\.17 GB of memory$/m)
    expect(text.out).toMatch(/^vague +tts +not here \(mit\)$/m)
    expect(text.out).toMatch(/the budget of memory here is 4\.00 GB\n$/)
    expect(JSON.parse(json.out)).toMatchObject({
      budgetBytes: 4_000_000_000,
      registry: [
        { id: 'small', fits: true, memoryIsLeast: false },
        { id: 'huge', fits: false, memoryIsLeast: true },
        { id: 'vague', fits: null, memoryBytes: null },
      ],
    })
  })

  test('says how a paused download goes on in words that a shell takes as they are', async () => {
    const hub = await testHub({ 'org/repo/a.gguf': BLOB })
    const printed = worldOf(await testStore(hub))
    printed.leave()

    await runModels(['pull', `${hub.url}/a.gguf?one=1&two=2`, '--as', 'mine', '--kind', 'text', '--force'], printed.world)

    expect(printed.err).toContain(`npm run models -- pull '${hub.url}/a.gguf?one=1&two=2' --as mine --kind text --force\n`)
  })

  test.each([
    [[], EXIT.usage, /Usage/],
    [['pull'], EXIT.usage, /Usage/],
    [['frobnicate'], EXIT.usage, /^There is no command frobnicate\.\n\nUsage/],
    [['pull', 'a', '--kind', 'image'], EXIT.usage, /--kind takes text/],
    [['list', '--nonsense'], EXIT.usage, /no such option/],
    [['pull', 'nobody-knows-it'], EXIT.failed, /no model "nobody-knows-it" in the registry/],
    [['pull', './nowhere.gguf'], EXIT.failed, /There is no file/],
    [['pull', 'hf.co/org/repo'], EXIT.failed, /127\.0\.0\.1:1 refuses connections\.\n$/],
    [['verify', 'nobody'], EXIT.failed, /There is no model nobody/],
  ])('%j ends with %i and a sentence', async (args, code, says) => {
    const printed = worldOf(await testStore(null))

    expect(await runModels(args, printed.world)).toBe(code)
    expect(printed.err).toMatch(says)
  })

  test('pauses at Ctrl-C, says how to go on, and goes on there by the name in the list', async () => {
    const hub = await testHub({ 'org/repo/a.onnx': BLOB })
    const store = await testStore(hub, { download: { connections: 1 } })
    const first = worldOf(store, true)
    let requests = 0
    hub.handle = (request) => {
      if (request.headers.range === undefined) return false
      if (++requests === 4) first.leave()
      return requests >= 4
    }

    const code = await runModels(['pull', 'hf.co/org/repo:a.onnx', '--kind', 'asr'], first.world)
    const list = worldOf(store)
    await runModels(['list'], list.world)
    hub.handle = null
    const second = await runModels(['pull', 'a'], worldOf(store).world)

    expect(code).toBe(EXIT.paused)
    expect(first.err).toMatch(/Paused at 24 % {2}49\.2 kB of 200 kB\. The same command goes on from there: npm run models -- pull hf\.co/)
    expect(list.out).toMatch(/^a {4}200 kB {2}not through; pull it again to go on\n$/)
    expect(second).toBe(EXIT.ok)
    expect(hub.sent).toBe(BLOB.length)
  })

  test('fails where what came is no model, and says so', async () => {
    const hub = await testHub({ 'org/repo/a.gguf': BLOB })
    const printed = worldOf(await testStore(hub))

    const code = await runModels(['pull', 'hf.co/org/repo:a.gguf', '--kind', 'text'], printed.world)

    expect([code, printed.out]).toEqual([EXIT.failed, expect.stringContaining('But its file cannot be used: it is no GGUF file.\n')])
  })

  test('draws how far it is, how fast, and how long it will take', () => {
    const line = lineOf(
      {
        id: 'qwen3-4b',
        source: 'qwen3-4b',
        state: 'downloading',
        sizeBytes: 2_500_000_000,
        doneBytes: 1_000_000_000,
        bytesPerSecond: 24_000_000,
        secondsLeft: 62,
        files: 1,
        filesDone: 0,
        say: null,
      },
      10,
    )

    expect(line).toBe('qwen3-4b  [####......]  40 %  1.00 GB of 2.50 GB  24.0 MB/s  1 min 2 s left')
  })
})

describe('the command as a process', () => {
  const children: ChildProcess[] = []
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL')
  })

  async function start(hub: { url: string }, home: string, ...args: string[]): Promise<{ child: ChildProcess; out: () => string }> {
    const overlay = join(home, 'config')
    await mkdir(overlay, { recursive: true })
    const download = { allowPrivateAddresses: true, partBytes: 16_384, journalBytes: 1024, backoffMs: 10, connections: 2, keepFreeBytes: 0 }
    await writeFile(join(overlay, 'local-models.json'), JSON.stringify({ download }))
    const env = { PATH: process.env['PATH'] ?? '', HOME: home, RIALTO_HOME: home, RIALTO_CONFIG: overlay, HF_ENDPOINT: hub.url }
    const child = spawn(process.execPath, [join(ROOT, 'scripts/models.mjs'), ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    children.push(child)
    let out = ''
    for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (text: string) => (out += text))
    return { child, out: () => out }
  }

  test('is killed again and again, and still brings the file whole, from where it was', async () => {
    const hub = await testHub({ 'org/repo/a.gguf': chat.subarray(0, 400_000) })
    const bytes = chat.subarray(0, 400_000)
    const home = await testFolder()
    let kill: (() => void) | null = null
    let budget = 0
    hub.handle = (request, response) => {
      if (request.headers.range === undefined) return false
      if (kill && budget-- <= 0) {
        // In the middle of this answer.
        response.writeHead(206, { 'content-range': `bytes ${request.headers.range.slice(6)}/${bytes.length}`, 'content-length': 16_384 })
        response.write(bytes.subarray(0, 999), () => kill?.())
        return true
      }
      sendFile(hub, bytes, request, response)
      return true
    }
    const args = ['pull', 'hf.co/org/repo:a.gguf', '--as', 'a', '--kind', 'text']

    for (const after of [3, 6, 1]) {
      budget = after
      const killed = new Promise<void>((resolve) => (kill = resolve))
      const { child } = await start(hub, home, ...args)
      await killed
      child.kill('SIGKILL')
      await once(child, 'close')
    }
    kill = null
    const sentBefore = hub.sent
    const { child, out } = await start(hub, home, ...args)
    const [code] = await once(child, 'close')

    expect([code, out()]).toEqual([0, expect.stringMatching(/a is here: 400 kB, checked/)])
    expect(sha256Of(await readFile(join(home, 'models/a/files/a.gguf')))).toBe(sha256Of(bytes))
    expect(sentBefore).toBeGreaterThan(100_000)
    // Not from the beginning: what was journalled was not asked for again.
    expect(hub.sent - sentBefore).toBeLessThan(bytes.length - 60_000)
  })

  test('pauses when it is asked to end, and ends with 130', async () => {
    const hub = await testHub({ 'org/repo/a.gguf': BLOB })
    const home = await testFolder()
    const reached = new Promise<void>((resolve) => {
      hub.handle = (request) => {
        if (request.headers.range !== undefined) resolve()
        return request.headers.range !== undefined
      }
    })

    const { child, out } = await start(hub, home, 'pull', 'hf.co/org/repo:a.gguf')
    await reached
    child.kill('SIGINT')
    const [code] = await once(child, 'close')

    expect([code, out()]).toEqual([EXIT.paused, expect.stringMatching(/^Paused at .*npm run models -- pull hf\.co/)])
  })
})
