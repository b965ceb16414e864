import { describe, expect, test } from 'vitest'
import { doors } from './doors.ts'
import { MAX_FILE_LINES, MAX_FUNCTION_LINES, shape } from './shape.ts'
import { parse, type Rule } from './sources.ts'
import { crossing, storeys } from './storeys.ts'
import { folders, packageFile, texts } from './texts.ts'

const TOP = '/** What this file is for. */\n'

/** What a rule says of one small file, as `line message`. */
function says(rule: Rule, path: string, code: string): string[] {
  return parse([{ path, text: TOP + code }]).flatMap((source) => rule(source).map(({ line, message }) => `${line} ${message}`))
}

describe('storeys', () => {
  const refused: readonly (readonly [string, string, RegExp])[] = [
    ['src/core/money.ts', 'src/store/sqlite/database.ts', /above/],
    ['src/money/ledger.ts', 'src/limits/limits.ts', /one storey/],
    ['src/keys/keys.ts', 'src/pipeline/serve.ts', /above/],
    ['src/pipeline/serve.ts', 'src/endpoints/endpoint.ts', /above/],
    ['src/endpoints/chat/chat.ts', 'src/http/server.ts', /one storey/],
    ['src/http/server.ts', 'src/endpoints/chat/chat.ts', /one storey/],
    ['src/engines/openai/openai.ts', 'src/engines/sandbox/sandbox.ts', /do not know each other/],
    ['src/engines/egress.ts', 'src/engines/openai/openai.ts', /registry/],
    ['src/limits/limits.ts', 'src/config.ts', /beside/],
    ['src/config.ts', 'src/main.ts', /nobody/],
    ['src/nowhere/new.ts', 'src/core/money.ts', /no storey/],
    ['src/core/money.ts', 'src/nowhere/new.ts', /no storey/],
    ['src/core/money.ts', 'test/harness/rialto.ts', /outside/],
    ['src/http/server.ts', 'src/engines/conformance.ts', /tests/],
  ]
  test.each(refused)('%s may not import %s', (from, to, why) => {
    expect(crossing(from, to)).toMatch(why)
  })

  const allowed: readonly (readonly [string, string])[] = [
    ['src/main.ts', 'src/store/sqlite/database.ts'],
    ['src/main.ts', 'src/config.ts'],
    ['src/http/server.ts', 'src/endpoints/endpoint.ts'],
    ['src/endpoints/chat/chat.ts', 'src/endpoints/endpoint.ts'],
    ['src/endpoints/chat/chat.ts', 'src/endpoints/chat/wire.ts'],
    ['src/endpoints/index.ts', 'src/endpoints/chat/chat.ts'],
    ['src/endpoints/chat/chat.ts', 'src/extras/thinking.ts'],
    ['src/engines/openai/openai.ts', 'src/engines/egress.ts'],
    ['src/core/modality.ts', 'src/core/modalities/text.ts'],
  ]
  test.each(allowed)('%s may import %s', (from, to) => {
    expect(crossing(from, to)).toBeNull()
  })

  test('an import is seen in every way it can be written', () => {
    const ways = [
      "import { a } from '../store/vault.ts'",
      "import type { A } from '../store/vault.ts'",
      "import '../store/vault.ts'",
      "export { a } from '../store/vault.ts'",
      "const a = await import('../store/vault.ts')",
      "type A = import('../store/vault.ts').A",
    ]

    const found = ways.map((way) => says(storeys, 'src/keys/keys.ts', way))

    for (const findings of found) expect(findings).toEqual([expect.stringMatching(/^2 imports src\/store\/vault\.ts/)])
  })

  test('a test may import what it likes', () => {
    expect(says(storeys, 'src/keys/keys.test.ts', "import { a } from '../store/vault.ts'")).toEqual([])
  })
})

describe('doors', () => {
  const refused: readonly (readonly [string, string, string])[] = [
    ['the environment', 'src/http/server.ts', 'const a = process.env.PORT'],
    ['the environment, by another way', 'src/http/server.ts', "const a = process['env'].PORT"],
    ['the environment, taken apart', 'src/http/server.ts', 'const { env } = process'],
    ['the environment, imported', 'src/http/server.ts', "import { env } from 'node:process'"],
    ['the console', 'src/main.ts', "console.log('x')"],
    ['the terminal', 'src/keys/keys.ts', "process.stdout.write('x')"],
    ['fetch', 'src/engines/openai/openai.ts', "await fetch('u')"],
    ['fetch, by another way', 'src/engines/openai/openai.ts', "await globalThis.fetch('u')"],
    ['undici', 'src/engines/egress.ts', "import { Pool } from 'undici'"],
    ['a socket', 'src/engines/sse.ts', "import { connect } from 'node:net'"],
    ['a socket, by its class', 'src/http/server.ts', "import { type AddressInfo, Socket as Wire } from 'node:net'"],
    ['a socket, by its namespace', 'src/main.ts', "import * as net from 'node:net'"],
    ['a socket, imported late', 'src/main.ts', "const { connect } = await import('node:net')"],
    ['a socket in a sub-room', 'src/engines/openai/openai.ts', "import { isIP } from 'node:net'"],
    ['a TLS socket', 'src/http/server.ts', "import { connect } from 'node:tls'"],
    ['a look-up', 'src/engines/egress.ts', "import { lookup } from 'node:dns'"],
    ['a client of node:http', 'src/http/server.ts', "import { createServer, request } from 'node:http'"],
    ['a client of node:http, by its namespace', 'src/http/server.ts', "import http from 'node:http'"],
    ['node:https', 'src/engines/egress.ts', "import { request } from 'node:https'"],
    ['a server', 'src/telemetry/metrics.ts', "import { createServer } from 'node:http'"],
    ['a child', 'src/engines/llama/llama.ts', "import { spawn } from 'node:child_process'"],
    ['a child, imported late', 'src/engines/llama/llama.ts', "const { spawn } = await import('node:child_process')"],
    ['the database', 'src/keys/keys.ts', "import { DatabaseSync } from 'node:sqlite'"],
    ['the query builder', 'src/keys/keys.ts', "import { sql } from 'kysely'"],
    ['SQL in a string', 'src/keys/keys.ts', "const q = 'SELECT id FROM keys'"],
    ['SQL in a template', 'src/keys/keys.ts', 'const q = (t: string) => `delete from ${t}`'],
    ['metrics', 'src/pipeline/serve.ts', "import { Counter } from 'prom-client'"],
    ['the clock', 'src/limits/limits.ts', 'const at = Date.now()'],
    ['the clock, by another way', 'src/limits/limits.ts', 'const at = new Date()'],
    ['chance', 'src/pipeline/invoke.ts', 'const at = Math.random()'],
    ['code from text', 'src/core/money.ts', "new Function('return 1')"],
    ['the disk', 'src/http/server.ts', "import { writeFileSync } from 'node:fs'\nwriteFileSync('a', 'b')"],
    ['the disk, by its namespace', 'src/http/server.ts', "import fs from 'node:fs'\nfs.promises.writeFile('a', 'b')"],
    ['the end', 'src/http/server.ts', 'process.exit(1)'],
    ['vitest', 'src/http/server.ts', "import { expect } from 'vitest'"],
  ]
  test.each(refused)('%s is kept behind its door (%s)', (_what, path, code) => {
    expect(says(doors, path, code)).toHaveLength(1)
  })

  const allowed: readonly (readonly [string, string])[] = [
    ['src/config.ts', 'const a = process.env.PORT'],
    ['src/engines/egress-connection.ts', "import { connect } from 'node:net'\nimport { connect as secure } from 'node:tls'"],
    ['src/http/server.ts', "import { type ClientRequest, createServer } from 'node:http'\nimport type { Socket } from 'node:net'"],
    ['src/main.ts', "import { isIPv6 } from 'node:net'"],
    ['src/telemetry/log-sink.ts', "import { Socket } from 'node:net'"],
    ['src/engines/process.ts', "import { spawn } from 'node:child_process'"],
    ['src/store/sqlite/database.ts', "import { DatabaseSync } from 'node:sqlite'\nconst q = 'PRAGMA journal_mode = WAL'"],
    ['src/keys/keys.ts', '// console.log(process.env.PORT), fetch(\nconst a = "console.log(fetch(1))" + `process.env ${"select a plan"}`'],
    ['src/keys/keys.ts', 'const at = new Date(0)\nconst fetched = { fetch: 1 }.fetch'],
    ['src/keys/keys.test.ts', "console.log(await fetch('u'))"],
  ]
  test.each(allowed)('%s may hold what is its own', (path, code) => {
    expect(says(doors, path, code)).toEqual([])
  })
})

describe('shape', () => {
  const refused: readonly (readonly [string, string, string])[] = [
    ['any', 'src/core/a.ts', 'export const a = (b: any): void => void b'],
    ['any inside of a type', 'src/core/a.ts', 'export type A = Record<string, any>'],
    ['a `!`', 'src/core/a.ts', 'export const a = (b?: string): string => b!'],
    ['an `as` without its proof', 'src/core/a.ts', '\n\n\n\n\n\nexport const a = (b: unknown): string => b as string'],
    ['an enum', 'src/core/a.ts', 'enum A { B }'],
    ['a default export', 'src/core/a.ts', 'export default 1'],
    ['a default function', 'src/core/a.ts', 'export default function a(): void {}'],
    ['a barrel', 'src/core/a.ts', "export * from './b.ts'"],
    ['a file named for nothing', 'src/core/utils.ts', ''],
    ['a folder named for nothing', 'src/helpers/money.ts', ''],
    ['a name in camelCase', 'src/core/moneyBag.ts', ''],
    ['a long file', 'src/core/a.ts', 'void 0\n'.repeat(MAX_FILE_LINES)],
    ['a long function', 'src/core/a.ts', `export function a(): void {\n${'  void 0\n'.repeat(MAX_FUNCTION_LINES)}}`],
    ['a long method', 'src/core/a.ts', `export class A {\n  b(): void {\n${'    void 0\n'.repeat(MAX_FUNCTION_LINES)}  }\n}`],
  ]
  test.each(refused)('%s is refused', (_what, path, code) => {
    expect(says(shape, path, code)).toHaveLength(1)
  })

  test('a file that does not say what it is for is refused', () => {
    const sources = parse([{ path: 'src/core/a.ts', text: 'export const a = 1\n' }])

    expect(sources.flatMap(shape)).toEqual([{ path: 'src/core/a.ts', line: 1, message: expect.stringContaining('comment') }])
  })

  test('what only looks like a crime passes', () => {
    const code = [
      "export const any = 'as any!' // any!",
      'export const list = [1] as const',
      '// A string by the check above.',
      'export const text = (a: unknown): string => a as string',
      'export const not = (a: boolean): boolean => !a !== a',
      "import { a as b } from './b.ts'",
    ].join('\n')

    expect(says(shape, 'src/core/a.ts', code)).toEqual([])
  })
})

const at = (path: string, text: string): string[] => texts({ path, text }).map(({ message }) => message)

describe('texts', () => {
  test('undone work, a path of one machine and the host of a registry are refused', () => {
    expect(at('src/core/a.ts', `// ${['TO', 'DO'].join('')}: later`)).toEqual([expect.stringContaining('not done')])
    expect(at('README.md', `open ${['', 'home', 'ann', 'rialto'].join('/')}`)).toEqual([expect.stringContaining('one machine')])
    expect(at('package-lock.json', '      "resolved": "https://registry.example/a.tgz",')).toEqual([expect.stringContaining('registry')])
  })

  test('paths of the project, of the API and of the home folder pass', () => {
    expect(at('README.md', 'see docs/home/plan.md, POST /workspaces, ~/.rialto and https://example.com/home/ann')).toEqual([])
  })

  test('a folder without a sentence is refused, and one of three places is enough', () => {
    const file = { path: 'src/keys/mint.ts', text: '/** Mints. */\n' }
    const sentence = 'Keys: how they are made, kept and verified.'

    expect(folders([file])).toEqual([{ path: 'src/keys', line: 1, message: expect.stringContaining('sentence') }])
    expect(folders([file, { path: 'src/keys/README.md', text: sentence }])).toEqual([])
    expect(folders([file, { path: 'src/keys/keys.ts', text: `/** ${sentence} */\n` }])).toEqual([])
    expect(folders([file, { path: 'src/keys/keys.ts', text: "import { a } from './mint.ts'\nexport const b = a\n" }])).toHaveLength(1)
  })

  test('a package that is not pinned is refused', () => {
    const text = JSON.stringify({
      dependencies: { a: '1.2.3', b: '^1.2.3' },
      devDependencies: { c: 'latest' },
      optionalDependencies: { d: '1.0.0-rc.1' },
    })

    expect(packageFile({ path: 'package.json', text }).map(({ message }) => message)).toEqual([
      'b is not pinned: ^1.2.3',
      'c is not pinned: latest',
    ])
  })
})
