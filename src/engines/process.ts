/**
 * The door to children: the only place that starts processes. What a child prints is content until proven otherwise and goes
 * nowhere; it gets a bare environment and one private channel (`process-child.ts` is its other end). However it ends, each call
 * that it held ends in one failure, and the gateway goes on.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { Duplex } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { Signal } from '../core/cancel.ts'
import { Failure, callerLeft, fail } from '../core/errors.ts'
import { atTurnEnd } from '../core/turn.ts'
import { Alarm } from './egress-alarm.ts'
import { Held } from './process-calls.ts'
import type { CallEnd, CallOptions } from './process-calls.ts'
import { FrameReader, frameOf } from './process-frames.ts'
import type { Message } from './process-frames.ts'

/**
 * `stopped` → `starting` → `ready`; `stopping` until the child is gone, whether it was asked to end or had to be killed. One that
 * failed is `backing-off` for a while before it may be started again. A start is made by whoever needs it, never by itself.
 */
export type ProcessState = 'stopped' | 'starting' | 'ready' | 'backing-off' | 'stopping'

export type ProcessOptions = {
  /** The script that calls `serveParent`. */
  readonly script: URL
  readonly args: readonly string[]
  /** Everything the child gets to see of the environment: see `bareEnvironment`. */
  readonly env: Readonly<Record<string, string>>
  /** How long a start may take. */
  readonly startMs: number
  /** What a reason that the child gives means; the child's own words never get further. */
  readonly failure: (reason: string, details: unknown) => Failure
  /** Called when the child is gone, for whatever reason. */
  readonly onGone?: () => void
}

/** Variables that a child may need: where programs and libraries are, and which devices it may use. No keys, no addresses. */
const PASSED = [
  'PATH',
  'LD_LIBRARY_PATH',
  'DYLD_LIBRARY_PATH',
  'CUDA_VISIBLE_DEVICES',
  'HIP_VISIBLE_DEVICES',
  'GGML_VK_VISIBLE_DEVICES',
  'TMPDIR',
] as const

/** What of an environment children get to see. No HOME: they have nothing to find there. */
export function bareEnvironment(env: Readonly<Record<string, string | undefined>>): Readonly<Record<string, string>> {
  return Object.fromEntries(PASSED.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])))
}

/** After the second failure in a row a start waits so long, then twice as long, up to the most. */
const BACKOFF_FIRST_MS = 500
const BACKOFF_MOST_MS = 30_000
/** A child that was asked to end and has not by then is killed. */
const STOP_MS = 2_000

/** Who waits for a start, and with what it goes on. */
type Waiter = { readonly go: () => void; readonly refuse: (why: unknown) => void }

/** One child: started when it is needed, started again when it died. */
export class EngineProcess {
  readonly #options: ProcessOptions
  #state: ProcessState = 'stopped'
  #child: ChildProcess | null = null
  #channel: Duplex | null = null
  #waiters = new Set<Waiter>()
  readonly #calls = new Map<number, Held>()
  #lastCall = 0
  /** What the child is told at the end of this turn: calls that come together reach it together. */
  #waiting: Message[] = []
  /** Ends in a row without a call that was answered between them. */
  #failures = 0
  #gone: Promise<void> = Promise.resolve()
  /** Why it is about to end or has ended, where that is known better than that it has. */
  #why: Failure | null = null
  #info: unknown = null
  #asked = false
  #closed = false
  readonly #startLimit = new Alarm(() => this.#kill(fail('MODEL_OFFLINE', { internal: 'engine_start_timeout' })))
  readonly #rest = new Alarm(() => this.#rested())

  constructor(options: ProcessOptions) {
    this.#options = options
  }

  get state(): ProcessState {
    return this.#state
  }

  /** Calls that the child has not ended yet, those included whose callers have left. */
  get busy(): number {
    return this.#calls.size
  }

  /** What the child said of itself when it was ready. */
  get info(): unknown {
    return this.#info
  }

  /** The process id, for tests and for whoever watches memory; null where there is none. */
  get pid(): number | null {
    return this.#child?.pid ?? null
  }

  /**
   * Resolves when the child is ready; all who wait share one start. Rejects with a `Failure` where it cannot be started in time
   * or has failed too often just now, and with the signal's reason when that is aborted: the start goes on for the others.
   */
  async ensureReady(signal: Signal): Promise<void> {
    if (signal.aborted) throw reasonOf(signal)
    while (this.#state === 'stopping') await this.#gone
    if (this.#closed) throw fail('SHUTTING_DOWN')
    if (this.#state === 'ready') return
    if (this.#state === 'backing-off') throw this.#backingOff()
    if (this.#state === 'stopped') this.#start()
    await new Promise<void>((resolve, reject) => {
      const waiter: Waiter = {
        go: () => settle(resolve),
        refuse: (why) => settle(() => reject(why instanceof Error ? why : callerLeft())),
      }
      const leave = (): void => waiter.refuse(reasonOf(signal))
      const settle = (end: () => void): void => {
        this.#waiters.delete(waiter)
        signal.removeEventListener('abort', leave)
        end()
      }
      this.#waiters.add(waiter)
      signal.addEventListener('abort', leave, { once: true })
    })
  }

  /**
   * One call of the child, which must be ready. Its parts go to `options.onPart`; resolves with its end. Rejects with the
   * failure it ended in; on abort at once with the signal's reason, while the child is told to stop and watched until it has.
   */
  call(method: string, body: unknown, options: CallOptions): Promise<CallEnd> {
    const { signal } = options
    if (signal.aborted) return Promise.reject(reasonOf(signal))
    if (this.#state !== 'ready') return Promise.reject(fail('MODEL_OFFLINE', { internal: 'engine_not_ready' }))
    const id = ++this.#lastCall
    return new Promise((resolve, reject) => {
      const held = new Held(options, resolve, reject, () => this.#silent(held))
      this.#calls.set(id, held)
      const leave = (): void => {
        // It stays in the map, and watched, until the child says that it has stopped.
        held.leave(reasonOf(signal))
        this.#send(['cancel', id], null)
      }
      signal.addEventListener('abort', leave, { once: true })
      held.onEnd = () => signal.removeEventListener('abort', leave)
      this.#send(['call', id, method, body], options.bytes ?? null)
    })
  }

  /** Ends the child, if there is one; calls that it holds fail. It is started again when somebody needs it. */
  async stop(): Promise<void> {
    if (this.#state === 'backing-off') this.#rested()
    if (this.#child === null) return
    if (!this.#asked) {
      this.#asked = true
      this.#state = 'stopping'
      const child = this.#child
      const limit = setTimeout(() => killWhole(child), STOP_MS)
      child.once('close', () => clearTimeout(limit))
      this.#channel?.end()
      child.kill('SIGTERM')
    }
    await this.#gone
  }

  /** Ends the child for good. */
  async close(): Promise<void> {
    this.#closed = true
    await this.stop()
  }

  #start(): void {
    this.#state = 'starting'
    this.#why = null
    this.#info = null
    this.#asked = false
    const { script, args, env, startMs } = this.#options
    const child = spawn(process.execPath, ['--no-warnings', fileURLToPath(script), ...args], {
      env: { ...env },
      stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
      // It leads a group of its own: what it starts goes with it, and the terminal's Ctrl-C is for the gateway alone.
      detached: true,
    })
    child.once('exit', () => killWhole(child))
    const channel = child.stdio[3]
    if (!(channel instanceof Duplex)) throw new TypeError('the channel is a socket')
    this.#child = child
    this.#channel = channel
    const reader = new FrameReader((message, tail) => this.#take(child, message, tail))
    channel.on('data', (chunk: Buffer) => {
      try {
        reader.feed(chunk)
      } catch {
        // Nothing can be read of it any more; what it wrote is nobody's business.
        this.#kill(fail('INFERENCE_FAILED', { internal: 'engine_garbage' }))
        channel.removeAllListeners('data')
        channel.resume()
      }
    })
    // That it is closed shows in the child's end.
    channel.on('error', () => undefined)
    child.on('error', () => undefined)
    this.#gone = new Promise((resolve) => {
      const end = (): void => {
        if (this.#child === child) this.#over()
        resolve()
      }
      child.once('close', end)
      // A child that could not even be spawned closes nothing.
      child.once('error', () => child.pid === undefined && end())
    })
    this.#startLimit.set(startMs)
  }

  #take(child: ChildProcess, message: Message, tail: Buffer | null): void {
    if (this.#child !== child) return
    const [kind, id, ...rest] = message
    const held = this.#calls.get(id)
    switch (kind) {
      case 'ready':
        this.#ready(rest[0])
        break
      case 'part':
        held?.part(rest[0], tail)
        break
      case 'beat':
        held?.beat()
        break
      case 'done':
        this.#calls.delete(id)
        this.#failures = 0
        held?.done(rest[0], tail)
        break
      case 'fail':
        if (id === 0) this.#why = this.#failureOf(rest[0], rest[1])
        this.#calls.delete(id)
        held?.failed(this.#failureOf(rest[0], rest[1]))
        break
    }
  }

  #ready(info: unknown): void {
    if (this.#state !== 'starting') return
    this.#state = 'ready'
    this.#info = info ?? {}
    this.#startLimit.clear()
    for (const waiter of this.#waiters) waiter.go()
  }

  /** The child is gone. */
  #over(): void {
    const failure = this.#why ?? (this.#asked ? fail('SHUTTING_DOWN') : gone(this.#info === null))
    this.#child = null
    this.#channel = null
    this.#waiting = []
    this.#startLimit.clear()
    if (this.#asked) this.#state = 'stopped'
    else this.#backOff()
    for (const held of this.#calls.values()) held.failed(failure)
    this.#calls.clear()
    for (const waiter of this.#waiters) waiter.refuse(failure)
    this.#options.onGone?.()
  }

  /** The first end after an answered call is chance; from the second on it is tried again ever more rarely. */
  #backOff(): void {
    this.#failures++
    this.#state = this.#failures > 1 ? 'backing-off' : 'stopped'
    if (this.#state === 'backing-off') this.#rest.set(this.#restMs())
  }

  #restMs(): number {
    return Math.min(BACKOFF_MOST_MS, BACKOFF_FIRST_MS * 2 ** (this.#failures - 2))
  }

  #rested(): void {
    this.#rest.clear()
    if (this.#state === 'backing-off') this.#state = 'stopped'
  }

  #backingOff(): Failure {
    // A file that was no good a moment ago is none now.
    return this.#why ?? fail('MODEL_OFFLINE', { internal: 'engine_backing_off', retryAfterMs: this.#restMs() })
  }

  /** A call that has said nothing for too long: the whole child is taken for hung. */
  #silent(held: Held): void {
    held.failed(fail('REQUEST_TIMEOUT', { internal: 'engine_hung' }))
    this.#kill(null)
  }

  #kill(why: Failure | null): void {
    if (why !== null) this.#why ??= why
    if (this.#child === null) return
    // Until it is gone nobody gets to use it.
    this.#state = 'stopping'
    killWhole(this.#child)
  }

  /** With bytes it goes out at once, and what waits before it; without, at the end of this turn. */
  #send(message: Message, tail: Uint8Array | null): void {
    this.#waiting.push(message)
    if (tail !== null) this.#write(tail)
    else if (this.#waiting.length === 1) atTurnEnd({ flush: () => this.#write(null) })
  }

  #write(tail: Uint8Array | null): void {
    const messages = this.#waiting
    this.#waiting = []
    const channel = this.#channel
    if (messages.length === 0 || channel === null || channel.destroyed) return
    channel.cork()
    for (const piece of frameOf(messages, tail)) channel.write(piece)
    channel.uncork()
  }

  #failureOf(reason: unknown, details: unknown): Failure {
    return this.#options.failure(typeof reason === 'string' ? reason : 'defect', details)
  }
}

/** The child and whatever it has started. */
function killWhole(child: ChildProcess): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // Nobody is left of it, or the system has no groups.
    child.kill('SIGKILL')
  }
}

const gone = (starting: boolean): Failure =>
  starting ? fail('MODEL_OFFLINE', { internal: 'engine_start_failed' }) : fail('INFERENCE_FAILED', { internal: 'engine_died' })

/** Why a signal was aborted, as a failure. */
function reasonOf(signal: Signal): Failure {
  return signal.reason instanceof Failure ? signal.reason : callerLeft()
}
