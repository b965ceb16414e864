/** Rialto with one model of this machine, started as its users start it, and watched: how late its event loop is, and its CPU time. */
import { FLAGS } from './servers.ts'
import { spawnSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { DelaySays } from './local-delay.ts'
import { type Child, cpuUs, start } from './process.ts'

export const MODEL = 'bench-local'
export const KEY = 'bench-key-0123456789abcdef0123456789abcdef'

const ROOT = dirname(import.meta.dirname)
const READY_MS = 30_000
const SIGNAL_MS = 5_000
const HAS_TASKSET = spawnSync('taskset', ['-c', '0', 'true']).status === 0

export type LocalServer = {
  readonly port: number
  readonly pid: number
  /** What the gateway did while that ran: not the engine, which is a process of its own. */
  watch<T>(run: () => Promise<T>): Promise<{ result: T; gateway: Gateway }>
  stop(): Promise<void>
}

export type Gateway = {
  /** Null where nobody looked, or the system has no such signal. */
  readonly delay: DelaySays['delay']
  /** CPU time in microseconds; null where nobody looked, and without /proc. */
  readonly cpuUs: number | null
}

export const UNWATCHED: Gateway = { delay: null, cpuUs: null }

export type LocalOptions = {
  /** Where all of it goes: configuration, data, log. */
  readonly folder: string
  readonly file: string
  readonly parallel: number
  readonly contextTokens: number
  readonly threads: number
}

/** A child on so many cores: the engine takes as many threads as it has cores. */
export function startOn(threads: number, args: readonly string[], options: Omit<Parameters<typeof start>[2], 'core'> = {}): Child {
  if (!HAS_TASKSET) {
    if (threads !== availableParallelism()) throw new Error('--threads needs taskset')
    return start(process.execPath, args, { ...options, core: 0 })
  }
  // It is pinned to one core by `start`, and given the others back.
  return start('taskset', ['-c', `0-${threads - 1}`, process.execPath, ...args], { ...options, core: 0 })
}

export async function startLocal(options: LocalOptions): Promise<LocalServer> {
  const { folder, file, threads } = options
  const config = join(folder, 'config')
  const delayFile = join(folder, 'delay.json')
  writeConfig(config, options)
  const port = await freePort()
  const env = {
    PORT: String(port),
    HOST: '127.0.0.1',
    RIALTO_HOME: join(folder, 'home'),
    RIALTO_ADMIN_KEY: KEY,
    RIALTO_CONFIG: config,
    BENCH_DELAY_FILE: delayFile,
  }
  pull(file, env)
  const log = openSync(join(folder, 'rialto.log'), 'a')
  const args = [...FLAGS, '--import', join(import.meta.dirname, 'local-delay.ts'), join(ROOT, 'src/main.ts')]
  const child = startOn(threads, args, { cwd: folder, output: log, env })
  closeSync(log)
  await listed(child, port)
  let turn = 0
  const signal = async (): Promise<DelaySays['delay']> => {
    if (process.platform === 'win32') return null
    turn++
    process.kill(child.pid, 'SIGUSR2')
    return await answerIn(delayFile, turn)
  }
  return {
    port,
    pid: child.pid,
    async watch(run) {
      await signal()
      const before = cpuUs(child.pid)
      const result = await run()
      const after = cpuUs(child.pid)
      const delay = await signal()
      return { result, gateway: { delay, cpuUs: before === null || after === null ? null : after - before } }
    },
    stop: child.stop,
  }
}

/** As `npm run models -- pull FILE --as bench-local`; the file is linked to, not copied. */
function pull(file: string, env: Readonly<Record<string, string>>): void {
  const args = [join(ROOT, 'scripts/models.mjs'), 'pull', file, '--as', MODEL, '--kind', 'text']
  const said = spawnSync(process.execPath, args, {
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...env },
  })
  if (said.status !== 0) throw new Error(`the model was not taken:\n${said.stderr}`)
}

/** Every engine but the local one, and the sandbox that others fall back to, wants a variable that nobody sets. */
function writeConfig(config: string, { parallel, contextTokens }: LocalOptions): void {
  mkdirSync(config, { recursive: true })
  const write = (name: string, data: unknown): void => writeFileSync(join(config, name), JSON.stringify(data, null, 2))
  // The project's own file, which its start checks.
  const engines = JSON.parse(readFileSync(join(ROOT, 'config/engines.json'), 'utf8')) as { id: string; kind: string }[]
  const others = engines.filter(({ kind }) => kind !== 'llama' && kind !== 'sandbox')
  write(
    'engines.json',
    others.map(({ id }) => ({ id, keyEnv: 'BENCH_NOBODY_SETS' })),
  )
  write('local-models.json', { memory: { parallel, contextTokens, idleMinutes: 0, preload: [MODEL] } })
}

/** Until the server answers and has found the model. */
async function listed(child: Child, port: number): Promise<void> {
  for (const startedAt = performance.now(); performance.now() - startedAt < READY_MS; await sleep(50)) {
    const answer = await fetch(`http://127.0.0.1:${port}/v1/models`, { headers: { authorization: `Bearer ${KEY}` } }).catch(() => null)
    const text = (await answer?.text()) ?? ''
    if (answer?.ok && text.includes(`"${MODEL}"`)) return
  }
  await child.stop()
  throw new Error(`no ${MODEL} at port ${port}:\n${child.said()}`)
}

async function answerIn(file: string, turn: number): Promise<DelaySays['delay']> {
  for (const startedAt = performance.now(); performance.now() - startedAt < SIGNAL_MS; await sleep(5)) {
    try {
      // Written by local-delay.ts, as its type says.
      const says = JSON.parse(readFileSync(file, 'utf8')) as DelaySays
      if (says.turn === turn) return says.delay
    } catch {
      // Not there yet.
    }
  }
  throw new Error('the server does not answer SIGUSR2')
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => (address !== null && typeof address === 'object' ? resolve(address.port) : reject(new Error('no free port'))))
    })
    server.once('error', reject)
  })
}
