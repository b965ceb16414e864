/** The course of one sandbox run in time: its waits, its limits and its ordered ends. */
import type { Signal } from '../../core/cancel.ts'
import type { Task } from '../../core/engine.ts'
import { Failure, callerLeft, fail } from '../../core/errors.ts'
import { ORDERED } from './orders.ts'

/** The longest wait that a timer can be set for. */
const MAX_TIMER_MS = 2 ** 31 - 1

/**
 * Keeps the time limits of a task as a real engine's client would: the first byte within one, every further one
 * within the other. Counts the waits it was told to make, so it needs no clock.
 */
export class Course {
  #silentMs = 0
  #limitMs: number
  readonly #task: Task<unknown>

  constructor(task: Task<unknown>) {
    this.#task = task
    this.#limitMs = task.firstByteMs
  }

  /** Something was said: from now on the stall limit counts, and it counts anew. */
  heard(): void {
    this.#silentMs = 0
    this.#limitMs = this.#task.stallMs
  }

  /** Rests for a while; rejects with a timeout once the limit passes, or, on abort, with the reason for that. */
  async rest(ms: number): Promise<void> {
    if (this.#silentMs + ms > this.#limitMs) return this.stall()
    if (ms > 0) await wait(ms, this.#task.signal)
    this.#silentMs += ms
  }

  /** Says nothing until the limit ends the run. */
  async stall(): Promise<never> {
    await wait(this.#limitMs - this.#silentMs, this.#task.signal)
    throw fail('REQUEST_TIMEOUT', { internal: ORDERED })
  }
}

/** The failure that an engine's status of this number becomes. */
export function failureOf(status: number): Failure {
  const options = { say: `The sandbox was told to fail with ${status}`, internal: ORDERED }
  switch (status) {
    case 400:
      return fail('INVALID_REQUEST', options)
    case 429:
      return fail('MODEL_OVERLOADED', { ...options, retryAfterMs: 1000 })
    case 503:
      return fail('MODEL_AT_CAPACITY', options)
    case 504:
      return fail('REQUEST_TIMEOUT', options)
    default:
      return fail('INFERENCE_FAILED', options)
  }
}

/** Throws once the signal is aborted: its own failure, or that the caller left. */
export function stopIfAborted(signal: Signal): void {
  if (signal.aborted) throw reasonOf(signal)
}

/** Resolves after `ms`; rejects on abort. Leaves neither a timer nor a listener behind. */
function wait(ms: number, signal: Signal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(reasonOf(signal))
    const leave = (): void => {
      clearTimeout(timer)
      reject(reasonOf(signal))
    }
    const timer = setTimeout(
      () => {
        signal.removeEventListener('abort', leave)
        resolve()
      },
      Math.min(Math.max(0, ms), MAX_TIMER_MS),
    )
    signal.addEventListener('abort', leave, { once: true })
  })
}

function reasonOf(signal: Signal): Failure {
  const reason: unknown = signal.reason
  return reason instanceof Failure ? reason : callerLeft()
}
