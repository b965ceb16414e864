import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '..')
const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))

/** How `npm start` hands over: by becoming the server, or, where an older Node cannot do that, by watching over it. */
const WAYS: readonly (readonly [string, readonly string[]])[] = [
  ['by becoming the server', []],
  ['with a Node that cannot replace itself', ['--import', 'data:text/javascript,process.execve=undefined']],
]

let home: string
const started: ChildProcess[] = []

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'rialto-commands-'))
})

afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL')
  rmSync(home, { recursive: true, force: true })
})

function start(flags: readonly string[], args: readonly string[], env: Record<string, string> = {}): ChildProcess {
  const child = spawn(process.execPath, [...flags, join(ROOT, 'scripts', 'start.mjs'), ...args], {
    env: { PATH: process.env['PATH'], HOME: home, RIALTO_HOME: home, PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  started.push(child)
  return child
}

async function ended(child: ChildProcess): Promise<{ code: number | null; signal: string | null; output: string }> {
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (text: string) => (output += text))
  const [code, signal] = await once(child, 'close')
  return { code, signal, output }
}

/** Resolves with what the pattern finds in what is said, and goes on listening, so that nobody writes into a closed pipe. */
function seen(child: ChildProcess, pattern: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    let output = ''
    const listen = (text: string): void => {
      output += text
      const found = pattern.exec(output)
      if (found) resolve(found[1] ?? '')
    }
    for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', listen)
    child.on('exit', () => reject(new Error('The server ended before it said that')))
  })
}

describe.each(WAYS)('npm start, %s', (_way, flags) => {
  test('hands its arguments over, and says nothing of its own when nothing is to be done', async () => {
    const { code, output } = await ended(start(flags, ['--version']))

    expect(output).toBe(`${version}\n`)
    expect(code).toBe(0)
  })

  test('ends as the server ends', async () => {
    const { code, output } = await ended(start(flags, [], { PORT: 'eighty' }))

    expect(output).toContain('PORT')
    expect(code).toBe(2)
  })

  test('a SIGTERM stops the server in good order and leaves nothing behind', async () => {
    const child = start(flags, [])
    const base = await seen(child, /(http:\/\/[\d.:]+)\/api\/v1/)
    const alive = await fetch(`${base}/health/live`)
    const end = once(child, 'exit')

    child.kill('SIGTERM')

    expect(alive.status).toBe(200)
    expect(await end).toEqual([0, null])
    await expect(fetch(`${base}/health/live`)).rejects.toThrow('fetch failed')
  })
})
