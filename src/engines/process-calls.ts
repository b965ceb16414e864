/** One call that a child holds: what it is owed, and the limit of its silence. */
import type { Signal } from '../core/cancel.ts'
import type { Failure } from '../core/errors.ts'
import { Alarm } from './egress-alarm.ts'

export type CallEnd = { readonly value: unknown; readonly bytes: Buffer | null }

export type CallOptions = {
  readonly signal: Signal
  /** The longest that nothing may be heard of it, not even that it goes on: then its child is killed. */
  readonly silentMs: number
  readonly bytes?: Uint8Array
  /** Each part as it comes. Must not throw. */
  readonly onPart?: (value: unknown, bytes: Buffer | null) => void
}

/** Invariant: its promise is settled at most once, and nothing reaches `onPart` after that. */
export class Held {
  readonly #options: CallOptions
  readonly #resolve: (end: CallEnd) => void
  readonly #reject: (why: unknown) => void
  readonly #alarm: Alarm
  #settled = false
  /** Called once, when its promise is settled. */
  onEnd: () => void = () => undefined

  constructor(options: CallOptions, resolve: (end: CallEnd) => void, reject: (why: unknown) => void, silent: () => void) {
    this.#options = options
    this.#resolve = resolve
    this.#reject = reject
    this.#alarm = new Alarm(silent)
    this.beat()
  }

  beat(): void {
    this.#alarm.set(this.#options.silentMs)
  }

  part(value: unknown, bytes: Buffer | null): void {
    this.beat()
    if (!this.#settled) this.#options.onPart?.(value, bytes)
  }

  done(value: unknown, bytes: Buffer | null): void {
    this.#alarm.clear()
    this.#settle(() => this.#resolve({ value, bytes }))
  }

  failed(failure: Failure): void {
    this.#alarm.clear()
    this.#settle(() => this.#reject(failure))
  }

  /** The caller is gone; the child is not done yet. */
  leave(why: Failure): void {
    this.#settle(() => this.#reject(why))
  }

  #settle(end: () => void): void {
    if (this.#settled) return
    this.#settled = true
    this.onEnd()
    end()
  }
}
