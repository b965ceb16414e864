/** When a run is to stop. What an `AbortSignal` is for, as far as runs need it, at a tenth of its cost per request. */

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
export class Cancel implements Signal {
  aborted = false
  reason: unknown = undefined
  #listeners: CancelListener[] | null = null

  abort(reason: unknown): void {
    if (this.aborted) return
    this.aborted = true
    this.reason = reason
    const listeners = this.#listeners ?? []
    this.#listeners = null
    for (const listener of listeners) {
      if (typeof listener === 'function') listener()
      else listener.handleEvent()
    }
  }

  addEventListener(_type: 'abort', listener: CancelListener): void {
    if (this.aborted) return
    if (this.#listeners) this.#listeners.push(listener)
    else this.#listeners = [listener]
  }

  removeEventListener(_type: 'abort', listener: CancelListener): void {
    const at = this.#listeners?.indexOf(listener) ?? -1
    if (at !== -1) this.#listeners?.splice(at, 1)
  }
}
