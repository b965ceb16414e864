/** Starts that go wrong say in one sentence what to change, and those that only ask are answered. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import manifest from '../package.json' with { type: 'json' }
import { Catalog } from '../src/catalog/catalog.ts'
import { CatalogProblem } from '../src/catalog/problem.ts'
import { loadConfig } from '../src/config.ts'
import { type Environment, StartError } from '../src/start/environment.ts'
import { engineAt, textModel } from './harness/overlay.ts'
import { type Ended, runProgram } from './harness/program.ts'
import { startRialto } from './harness/rialto.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rialto-start-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** A configuration folder with one file in it. */
async function folderWith(path: string, content: unknown): Promise<string> {
  const base = await mkdtemp(join(folder, 'config-'))
  const file = join(base, path)
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, typeof content === 'string' ? content : JSON.stringify(content))
  return base
}

describe.concurrent('asking', () => {
  test('for help lists every variable', async () => {
    const { code, stdout, stderr } = await runProgram(['--help'])

    expect([code, stderr]).toEqual([0, ''])
    for (const name of ['PORT', 'HOST', 'RIALTO_HOME', 'RIALTO_ADMIN_KEY', 'RIALTO_CONFIG', 'OTEL_EXPORTER_OTLP_ENDPOINT', '--version'])
      expect(stdout).toContain(name)
  })

  test('for the version gives it and nothing else', async () => {
    const { version } = z.object({ version: z.string() }).parse(manifest)

    expect(await runProgram(['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' })
  })
})

const SECRET = 'short-secret'
const wrong: [string, Record<string, string>, RegExp][] = [
  ['a PORT that is no number', { PORT: 'eighty' }, /^PORT takes .*65535/],
  ['a PORT beyond the last', { PORT: '65536' }, /^PORT takes .*65535/],
  ['a PORT below the first', { PORT: '-1' }, /^PORT takes .*65535/],
  ['half a PORT', { PORT: '80.5' }, /^PORT takes .*65535/],
  ['a HOST with a scheme', { HOST: 'http://127.0.0.1' }, /^HOST takes /],
  ['a HOST with a path', { HOST: 'localhost/api' }, /^HOST takes /],
  ['a RIALTO_ADMIN_KEY that is too short', { RIALTO_ADMIN_KEY: SECRET }, /^RIALTO_ADMIN_KEY takes 16 to 256/],
  ['a RIALTO_ADMIN_KEY that is too long', { RIALTO_ADMIN_KEY: SECRET.repeat(30) }, /^RIALTO_ADMIN_KEY takes 16 to 256/],
  ['a RIALTO_ADMIN_KEY with a space', { RIALTO_ADMIN_KEY: `${SECRET} ${SECRET}` }, /^RIALTO_ADMIN_KEY takes 16 to 256/],
  ['a RIALTO_CONFIG that is not there', { RIALTO_CONFIG: join(tmpdir(), 'rialto-no-such-folder') }, /^RIALTO_CONFIG takes a folder/],
  ['a collector without a scheme', { OTEL_EXPORTER_OTLP_ENDPOINT: 'localhost:4318' }, /^OTEL_EXPORTER_OTLP_ENDPOINT takes an http/],
  ['the address of an engine that is none', { RIALTO_OLLAMA_URL: 'nowhere' }, /^RIALTO_OLLAMA_URL takes an http/],
]

const files: [string, string, unknown, RegExp][] = [
  ['a file that it does not know', 'modles.json', [], /^RIALTO_CONFIG has a file "modles\.json"/],
  ['broken JSON', 'engines.json', `[{"id": "${SECRET}`, /^engines\.json is not valid JSON/],
  ['a bound out of bounds', 'server.json', { maxBodyBytes: 1 }, /server\.json.*maxBodyBytes/],
  ['a bound that there is not', 'server.json', { maxBodySize: 1 }, /server\.json.*maxBodySize/],
  ['a price that is too fine', 'models/x.json', [{ ...textModel('x', 'sandbox'), id: 'too-fine', spec: fine() }], /too-fine/],
  ['an engine that there is not', 'models/x.json', [textModel('lonely', 'no-such-engine')], /lonely.*no-such-engine/],
  ['a private model on an engine that is not', 'models/x.json', [textModel('leaky', 'openai')], /leaky.*openai/],
  [
    'an engine without an address',
    'engines.json',
    [{ ...engineAt('mine', ''), baseUrl: undefined }],
    /engines\.json.*mine|engines\.json.*baseUrl/,
  ],
]

function fine(): object {
  const { spec } = z.looseObject({ spec: z.looseObject({}) }).parse(textModel('x', 'sandbox'))
  return { ...spec, pricing: { input: { usd: 0.0001, diem: 0.0001 }, output: { usd: 1, diem: 1 } } }
}

/** Everything that is decided before the first door opens, without a process of its own. */
function prepare(env: Environment): Catalog {
  const { models: entries, names, engines } = loadConfig(env)
  return new Catalog({ entries, names, engines, clock: { now: () => 0, tick: () => 0, id: () => '' } })
}

describe('a data folder', () => {
  test('serves one server at a time; a second start on it is refused with one sentence, and the first goes on', async () => {
    const first = await startRialto()

    const second = await runProgram([], { RIALTO_HOME: first.home, PORT: '0' })

    expect(second.code).toBe(2)
    expect(second.stderr).toMatch(/^RIALTO_HOME takes a folder of its own; another Rialto is running on .*\.\n$/)
    expect((await fetch(`${first.origin}/health/ready`)).status).toBe(200)
    await first.stop()
  })
})

describe('one sentence says what is wrong with', () => {
  test.for(wrong)('%s', ([, env, sentence]) => {
    expectProblem(() => prepare(env), sentence)
  })

  test.for(files)('a configuration with %s', async ([, path, content, sentence]) => {
    const folder = await folderWith(path, content)

    expectProblem(() => prepare({ RIALTO_CONFIG: folder }), sentence)
  })

  function expectProblem(work: () => unknown, sentence: RegExp): void {
    let problem: unknown
    try {
      work()
    } catch (error) {
      problem = error
    }
    expect(problem instanceof StartError || problem instanceof CatalogProblem).toBe(true)
    const { message } = z.instanceof(Error).parse(problem)
    expect(message).toMatch(sentence)
    expect(message).not.toMatch(/\n/)
    expect(message).not.toContain(SECRET)
  }
})

describe.concurrent('a start ends with 2 and that sentence, and nothing else,', () => {
  test.for<[string, string[], Record<string, string>, RegExp]>([
    ['for a wrong PORT', [], { PORT: 'eighty' }, /^PORT takes /],
    ['for a wrong key, which it does not repeat', [], { RIALTO_ADMIN_KEY: SECRET }, /^RIALTO_ADMIN_KEY takes /],
    ['for a HOST that is not of this machine', [], { HOST: '192.0.2.1' }, /^HOST takes .*192\.0\.2\.1/],
    ['for a folder that is not there', [], { RIALTO_CONFIG: join(tmpdir(), 'rialto-no-such-folder') }, /^RIALTO_CONFIG takes a folder/],
    ['for a program that is none', [], { RIALTO_LLAMA_SERVER: tmpdir() }, /^RIALTO_LLAMA_SERVER takes the path of .*llama-server/],
    ['for an option that there is not', ['--port=80'], {}, /--port=80.*--help/],
  ])('%s', async ([, args, env, sentence]) => {
    expectSentence(await runProgram(args, env), sentence)
  })

  test('for a price that is too fine', async () => {
    const [, path, content, sentence] = files.find(([name]) => name.includes('price')) ?? ['', '', '', /never/]

    expectSentence(await runProgram([], { RIALTO_CONFIG: await folderWith(path, content) }), sentence)
  })

  test('for a PORT that is taken', async () => {
    const there = await startRialto()
    try {
      const { port } = new URL(there.origin)

      expectSentence(await runProgram([], { PORT: port }), new RegExp(`^PORT: ${port} is taken`))
    } finally {
      await there.stop()
    }
  })

  test('for a RIALTO_HOME that cannot be a folder', async () => {
    const file = join(folder, 'a-file')
    await writeFile(file, '')

    expectSentence(await runProgram([], { RIALTO_HOME: file }), /^RIALTO_HOME takes a folder/)
  })

  function expectSentence({ code, stdout, stderr }: Ended, sentence: RegExp): void {
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toMatch(sentence)
    expect(stderr.trimEnd().split('\n').length).toBe(1)
    expect(stderr).not.toContain(SECRET)
  }
})
