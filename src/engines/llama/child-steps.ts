/**
 * The steps of one context: everybody who reads or writes takes part in each, so that the processor goes over the weights once for
 * all of them. Left to themselves they fall out of step, and a batch of some is hardly cheaper than one of all.
 * Runs in the child only.
 */

/** A step cannot be joined once it runs, so the first is a short one, for the chats that come a moment later. So many tokens for each. */
const FIRST_TOKENS = 64

export type Seat = {
  /**
   * Waits for the next step. `wanted` are the tokens that there are to be read, 1 for who writes; resolves with how many of them
   * go into this step, at least one. They are to be evaluated without waiting for anything else before.
   */
  turn(wanted: number): Promise<number>
  /** Takes part no longer. To be called once, whatever happened. */
  leave(): void
}

type Waiting = { readonly wanted: number; readonly go: (share: number) => void }

/** Invariant: what is shared out in a step fits one batch, and a step begins when nobody works on the one before. */
export class Steps {
  readonly #batchTokens: number
  #seats = 0
  #waiting: Waiting[] = []
  #first = true

  /** `batchTokens` are no fewer than there can be seats. */
  constructor(batchTokens: number) {
    this.#batchTokens = batchTokens
  }

  join(): Seat {
    if (this.#seats === 0) this.#first = true
    this.#seats++
    return {
      turn: (wanted) =>
        new Promise((go) => {
          this.#waiting.push({ wanted, go })
          this.#begin()
        }),
      leave: () => {
        this.#seats--
        this.#begin()
      },
    }
  }

  #begin(): void {
    if (this.#seats === 0 || this.#waiting.length < this.#seats) return
    const waiting = this.#waiting
    this.#waiting = []
    const tokens = this.#first ? Math.min(FIRST_TOKENS * waiting.length, this.#batchTokens) : this.#batchTokens
    this.#first = false
    const wanted = waiting.map((one) => one.wanted)
    for (const [at, share] of sharesOf(wanted, tokens).entries()) waiting[at]?.go(share)
  }
}

/** As equal as can be: batches of unequal parts are computed in pieces. Nobody gets more than is wanted. */
export function sharesOf(wanted: readonly number[], batchTokens: number): number[] {
  const shares = wanted.map(() => 0)
  let left = batchTokens
  const smallestFirst = wanted.map((_, at) => at).toSorted((a, b) => (wanted[a] ?? 0) - (wanted[b] ?? 0))
  for (const [before, at] of smallestFirst.entries()) {
    const share = Math.min(wanted[at] ?? 0, Math.floor(left / (wanted.length - before)))
    shares[at] = share
    left -= share
  }
  return shares
}
