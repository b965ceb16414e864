/** Chance that comes again with the same seed. */
export class Chance {
  readonly #random: () => number

  constructor(seed: number) {
    this.#random = randomOf(seed)
  }

  /** A whole number from 0 on, below the limit. */
  below(limit: number): number {
    return Math.floor(this.#random() * limit)
  }

  /** One of those, where there is any. */
  of<T>(some: readonly T[]): T | undefined {
    return some[this.below(some.length)]
  }

  /** One of those, of which there is one at least. */
  one<const T>(some: readonly [T, ...T[]]): T {
    return some[this.below(some.length)] ?? some[0]
  }
}

function randomOf(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
