/** Child processes of the benchmark, and what the kernel says they used. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync, readdirSync } from 'node:fs'

export const HAS_PROC = existsSync('/proc/self/task')
const HAS_TASKSET = spawnSync('taskset', ['-c', '0', 'true']).status === 0

/** The server under test has one core to itself; the load and the mock upstream share another. */
export const SERVER_CORE = 0
export const OTHER_CORE = 1

const STOP_MS = 5000
const START_MS = 20_000
const OUTPUT_MAX_CHARS = 4000

export type Child = {
  readonly pid: number
  /** Resolves with the text after `listening `, if it is printed. */
  readonly listening: Promise<number>
  /** The last of what it said, for the message when it fails. */
  readonly said: () => string
  readonly stop: () => Promise<void>
}

const running = new Set<ChildProcess>()

export type ChildOptions = {
  readonly core: number
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  readonly output?: number
}

export function start(command: string, args: readonly string[], options: ChildOptions): Child {
  const pinned = HAS_TASKSET ? ['taskset', '-c', String(options.core), command, ...args] : [command, ...args]
  const [program = command, ...rest] = pinned
  const child = spawn(program, rest, {
    stdio: ['ignore', options.output ?? 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  })
  running.add(child)
  let said = ''
  const exited = new Promise<void>((resolve) => {
    child.once('exit', () => {
      running.delete(child)
      resolve()
    })
    child.once('error', () => resolve())
  })
  const listening = new Promise<number>((resolve, reject) => {
    const hear = (text: string): void => {
      said = (said + text).slice(-OUTPUT_MAX_CHARS)
      const port = /^listening (\d+)$/m.exec(said)?.[1]
      if (port !== undefined) resolve(Number(port))
    }
    child.stdout?.setEncoding('utf8').on('data', hear)
    child.stderr?.setEncoding('utf8').on('data', hear)
    void exited.then(() => reject(new Error(`${command} ${args.join(' ')} ended:\n${said}`)))
    setTimeout(() => reject(new Error(`${command} ${args.join(' ')} does not start:\n${said}`)), START_MS).unref()
  })
  // Not every child is waited for in this way.
  listening.catch(() => undefined)
  return {
    pid: child.pid ?? 0,
    listening,
    said: () => said,
    async stop() {
      child.kill('SIGTERM')
      const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
      await exited
      clearTimeout(late)
    },
  }
}

/** For the end by Ctrl-C: nothing that was started stays. */
export function killAll(): void {
  for (const child of running) child.kill('SIGKILL')
}

/** Keeps this process, which makes the load, off the server's core. */
export function pinSelf(): boolean {
  return HAS_TASKSET && spawnSync('taskset', ['-a', '-c', '-p', String(OTHER_CORE), String(process.pid)]).status === 0
}

/** CPU time of a process in microseconds, all of its threads, to the nanosecond as the scheduler counts it. Null without /proc. */
export function cpuUs(pid: number): number | null {
  if (!HAS_PROC) return null
  let total = 0
  for (const us of threadsUs(pid).values()) total += us
  return total
}

/** The same by the names of the threads: the one that runs JavaScript, the thread pool, the helpers of V8. */
export function threadsUs(pid: number): Map<string, number> {
  const out = new Map<string, number>()
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      const us = Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]) / 1000
      const name = Number(thread) === pid ? 'main' : readFileSync(`/proc/${pid}/task/${thread}/comm`, 'utf8').trim()
      out.set(name, (out.get(name) ?? 0) + us)
    } catch {
      // A thread that has just ended.
    }
  }
  return out
}

/** Resident memory in megabytes. Null without /proc. */
export function rssMb(pid: number): number | null {
  if (!HAS_PROC) return null
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return kilobytes === undefined ? null : (Number(kilobytes) * 1024) / 1e6
}
