/** Starts Rialto as a user would, `node src/main.ts` in a process of its own, with a data folder that lasts as long as it. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

const ROOT = dirname(dirname(import.meta.dirname))
const START_MS = 20_000
const STOP_MS = 15_000
const ASK_AGAIN_MS = 50
/** Nobody listens there: an engine that happens to run on this machine is no part of a test. */
const NOWHERE = 'http://127.0.0.1:1/v1'
const MAX_LOG_CHARS = 4 * 1024 * 1024

export type RialtoOptions = {
  /** Variables on top of the few that the harness sets. Nothing of the machine's own environment gets through. */
  readonly env?: Readonly<Record<string, string>>
  /** Files of a configuration folder by their path in it; what is not a string is written as JSON. */
  readonly config?: Readonly<Record<string, unknown>>
  /** A data folder to go on with, as `home` of an earlier one; it then survives `stop`. */
  readonly home?: string
  /** Whether to wait until it says that it is ready, once it listens; yes where nothing is said. */
  readonly ready?: boolean
}

export type Rialto = {
  /** The base URL that clients take, with `/api/v1`. */
  readonly url: string
  /** Without a path. */
  readonly origin: string
  /** A key of type ADMIN. */
  readonly key: string
  /** The data folder. */
  readonly home: string
  readonly pid: number
  /** Waits until this model is in the catalogue and not offline: engines are looked for while requests are served already. */
  online(model: string): Promise<void>
  /** All that it has printed so far, both streams. */
  logs(): string
  /** Waits until it has printed this text; rejects when it ends without. */
  printed(text: string): Promise<void>
  /** Sends it a signal and does not wait. */
  kill(signal: NodeJS.Signals): void
  /** Resolves once it has ended, with its exit code, null when a signal ended it. */
  readonly ended: Promise<number | null>
  /** Asks it to stop and waits until it has; kills it where it takes too long. Resolves with its exit code, null when killed. */
  stop(): Promise<number | null>
}

export async function startRialto({ env = {}, config, home, ready = true }: RialtoOptions = {}): Promise<Rialto> {
  const folder = await mkdtemp(join(tmpdir(), 'rialto-home-'))
  const data = home ?? join(folder, 'data')
  const overlay = join(folder, 'config')
  if (config !== undefined) await writeAll(overlay, config)
  const key = env['RIALTO_ADMIN_KEY'] ?? 'rialto-test-admin-key-0123456789'

  const child = spawn(process.execPath, [join(ROOT, 'src', 'main.ts')], {
    cwd: folder,
    env: {
      PATH: process.env['PATH'],
      HOME: folder,
      PORT: '0',
      RIALTO_HOME: data,
      RIALTO_ADMIN_KEY: key,
      RIALTO_OLLAMA_URL: NOWHERE,
      RIALTO_LMSTUDIO_URL: NOWHERE,
      RIALTO_LLAMA_URL: NOWHERE,
      RIALTO_VLLM_URL: NOWHERE,
      ...(config === undefined ? {} : { RIALTO_CONFIG: overlay }),
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const printed = listen(child)
  const ended = once(child, 'close').then(() => child.exitCode)
  // A program that cannot be started has no exit code to wait for; `baseOf` says so.
  ended.catch(() => {})
  const stop = async (): Promise<number | null> => {
    const code = await end(child)
    await rm(folder, { recursive: true, force: true })
    return code
  }

  try {
    const signal = AbortSignal.timeout(START_MS)
    const origin = await baseOf(child, printed, signal)
    const url = `${origin}/api/v1`
    if (ready) await until(`${url}/health/ready`, {}, (response) => response.ok, signal, printed)
    return {
      url,
      origin,
      key,
      home: data,
      pid: child.pid ?? 0,
      logs: () => printed.text,
      printed: (text) => saying(child, printed, text),
      kill: (name) => void child.kill(name),
      ended,
      async online(model) {
        const headers = { authorization: `Bearer ${key}` }
        await until(`${url}/models/${model}`, headers, isOnline, AbortSignal.timeout(START_MS), printed)
      },
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

type Printed = { text: string }

function listen(child: ChildProcess): Printed {
  const printed = { text: '' }
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      printed.text = (printed.text + text).slice(-MAX_LOG_CHARS)
      child.emit('printed')
    })
  }
  // Without a listener a program that cannot be started would end the tests.
  child.on('error', () => {})
  return printed
}

async function saying(child: ChildProcess, printed: Printed, text: string): Promise<void> {
  const left = new AbortController()
  child.once('close', () => left.abort())
  const signal = AbortSignal.any([AbortSignal.timeout(STOP_MS), left.signal])
  while (!printed.text.includes(text)) {
    if (child.exitCode !== null) throw new Error(`Rialto ended without a word of ${text}\n${printed.text}`)
    await once(child, 'printed', { signal })
  }
}

/** The address out of what it prints; so no port has to be guessed. */
async function baseOf(child: ChildProcess, printed: Printed, signal: AbortSignal): Promise<string> {
  const left = new AbortController()
  child.once('exit', () => left.abort())
  const either = AbortSignal.any([signal, left.signal])
  for (;;) {
    const origin = /(http:\/\/[^\s/]+:\d+)\/api\/v1/.exec(printed.text)?.[1]
    if (origin !== undefined) return origin
    try {
      await once(child, 'printed', { signal: either })
    } catch {
      throw new Error(`Rialto ${signal.aborted ? 'did not print its address in time' : `ended with ${child.exitCode}`}\n${printed.text}`)
    }
  }
}

/** Asks again and again until the answer is as wanted. */
async function until(
  url: string,
  headers: Readonly<Record<string, string>>,
  wanted: (response: Response, text: string) => boolean,
  signal: AbortSignal,
  printed: Printed,
): Promise<void> {
  let last = 'no answer'
  while (!signal.aborted) {
    try {
      const response = await fetch(url, { headers, signal })
      const text = await response.text()
      if (wanted(response, text)) return
      last = `${response.status} ${text}`
    } catch (error) {
      last = String(error)
    }
    await pause(ASK_AGAIN_MS)
  }
  throw new Error(`${url} did not answer as it should in time: ${last}\n${printed.text}`)
}

const isOnline = ({ ok }: Response, text: string): boolean => ok && text.includes('"offline":false')

async function end(child: ChildProcess): Promise<number | null> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return child.exitCode
  const gone = once(child, 'close')
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
  child.kill('SIGTERM')
  await gone
  clearTimeout(timer)
  return child.exitCode
}

async function writeAll(folder: string, files: Readonly<Record<string, unknown>>): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    const file = join(folder, path)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, typeof content === 'string' ? content : JSON.stringify(content))
  }
}
