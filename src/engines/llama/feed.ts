/** Parts into a sink that may be slow: what comes while it is busy waits, and goes out together. */
import type { Sink } from '../../core/call.ts'
import type { TextPart } from '../../core/modalities/text.ts'

/**
 * What waits is bounded by what a model can write at all, its context. Invariant: the sink is never called while it is busy, and
 * never again once it has failed.
 */
export class Feed {
  readonly #sink: Sink<TextPart>
  readonly #onFailure: () => void
  #waiting: TextPart[] = []
  #busy: Promise<void> | null = null
  failed = false
  /** What the sink failed with. */
  reason: unknown = null

  constructor(sink: Sink<TextPart>, onFailure: () => void) {
    this.#sink = sink
    this.#onFailure = onFailure
  }

  push(part: TextPart): void {
    if (this.failed) return
    this.#waiting.push(part)
    if (this.#busy === null) this.#flush()
  }

  /** Resolves once everything was taken; rejects with the sink's own reason. */
  async end(): Promise<void> {
    while (this.#busy !== null) await this.#busy
    if (this.failed) throw this.reason
  }

  #flush(): void {
    const parts = this.#waiting
    if (parts.length === 0 || this.failed) return
    this.#waiting = []
    try {
      const slow = this.#sink(parts)
      if (!slow) return
      this.#busy = slow.then(
        () => this.#free(),
        (error: unknown) => this.#fail(error),
      )
    } catch (error) {
      this.#fail(error)
    }
  }

  #free(): void {
    this.#busy = null
    this.#flush()
  }

  #fail(error: unknown): void {
    this.#busy = null
    this.#waiting = []
    this.failed = true
    this.reason = error
    this.#onFailure()
  }
}
