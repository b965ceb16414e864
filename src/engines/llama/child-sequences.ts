/**
 * The sequences of one context: each holds the tokens it read last, so that a prompt that begins alike need not be read again.
 * Runs in the child only.
 */
import type { LlamaContext, LlamaContextSequence, Token } from 'node-llama-cpp'

/** A sequence that has less of a prompt than this share is worth more to whoever comes back to it. */
const WORTH = 0.1

type Place = { readonly sequence: LlamaContextSequence; key: string | null; usedAt: number; busy: boolean }

export type Taken = { readonly sequence: LlamaContextSequence; giveBack(): void }

export class Sequences {
  readonly #places: Place[]
  readonly #waiting: (() => void)[] = []
  #uses = 0

  constructor(context: LlamaContext, count: number) {
    // Nothing is ever shifted out to make room: an answer that fills the context ends there.
    this.#places = Array.from({ length: count }, () => ({ sequence: context.getSequence(), key: null, usedAt: 0, busy: false }))
  }

  /** The idle sequence that has most of the prompt already; waits for one where all are busy, in turn. */
  async take(tokens: readonly Token[], key: string | null, left: AbortSignal): Promise<Taken> {
    while (!this.#places.some(({ busy }) => !busy)) {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve)
        left.addEventListener('abort', () => resolve(), { once: true })
      })
      left.throwIfAborted()
    }
    const place = this.#best(tokens, key)
    place.busy = true
    place.key = key
    place.usedAt = ++this.#uses
    return {
      sequence: place.sequence,
      giveBack: () => {
        place.busy = false
        place.usedAt = ++this.#uses
        // All of them look again: one whose caller has left would take the place of one that waits.
        for (const look of this.#waiting.splice(0)) look()
      },
    }
  }

  #best(tokens: readonly Token[], key: string | null): Place {
    const idle = this.#places.filter(({ busy }) => !busy).toSorted((a, b) => a.usedAt - b.usedAt)
    const [oldest] = idle
    if (oldest === undefined) throw new RangeError('no sequence is idle')
    const prompt = [...tokens]
    let best = oldest
    let most = 0
    for (const place of idle) {
      const same = place.sequence.compareContextTokens(prompt).firstDifferentIndex
      if (same > most || (same === most && same > 0 && key !== null && place.key === key)) [best, most] = [place, same]
    }
    const own = key !== null && best.key === key
    return own || most >= tokens.length * WORTH ? best : oldest
  }
}
