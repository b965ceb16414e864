/** When a run is to stop. What an `AbortSignal` is for, as far as runs need it, at a tenth of its cost per request. */
import { type Member, NOWHERE } from './crowd.ts'

export type CancelListener = (() => void) | { handleEvent(): void }

/** What who runs gets to see. Every `AbortSignal` is one. */
export type Signal = {
  readonly aborted: boolean
  /** Why, once it is aborted: a `Failure` as a rule. */
  readonly reason: unknown
  addEventListener(type: 'abort', listener: CancelListener, options?: { readonly once?: boolean }): void
  removeEventListener(type: 'abort', listener: CancelListener): void
}

/**
 * A signal with the means to abort it.
 * Invariant: it is aborted at most once, and each listener that is there by then is called once.
 */
export class Cancel implements Signal, Member {
  /** Among those that whoever made it keeps. */
  place = NOWHERE
  aborted = false
  reason: unknown = undefined
  /**
   * Nearly always there is one. An array for it would be old from the start, once V8 has seen some of them grow old, and keep
   * every run alive for as long.
   */
  #first: CancelListener | null = null
  #others: CancelListener[] | null = null

  abort(reason: unknown): void {
    if (this.aborted) return
    this.aborted = true
    this.reason = reason
    const first = this.#first
    const others = this.#others ?? []
    this.#first = null
    this.#others = null
    if (first !== null) call(first)
    for (const listener of others) call(listener)
  }

  addEventListener(_type: 'abort', listener: CancelListener): void {
    if (this.aborted) return
    if (this.#first === null && this.#others === null) this.#first = listener
    else if (this.#others) this.#others.push(listener)
    else this.#others = [listener]
  }

  removeEventListener(_type: 'abort', listener: CancelListener): void {
    if (this.#first === listener) {
      this.#first = null
      return
    }
    const at = this.#others?.indexOf(listener) ?? -1
    if (at !== -1) this.#others?.splice(at, 1)
  }
}

const call = (listener: CancelListener): void => (typeof listener === 'function' ? listener() : listener.handleEvent())
