/** Which bytes of a file are there. */

/** From and up to, the latter not included. */
export type Range = { readonly from: number; readonly to: number }

/** Invariant: its ranges are in order, not empty, and do not touch each other. */
export class Ranges {
  #ranges: Range[] = []

  add(from: number, to: number): void {
    if (to <= from) return
    const before = this.#ranges.filter((range) => range.to < from)
    const after = this.#ranges.filter((range) => range.from > to)
    const touching = this.#ranges.slice(before.length, this.#ranges.length - after.length)
    const joined = { from: Math.min(from, touching[0]?.from ?? from), to: Math.max(to, touching.at(-1)?.to ?? to) }
    this.#ranges = [...before, joined, ...after]
  }

  get pieces(): readonly Range[] {
    return this.#ranges
  }

  get bytes(): number {
    return this.#ranges.reduce((sum, { from, to }) => sum + to - from, 0)
  }

  /** One byte after the last one that is there. */
  get end(): number {
    return this.#ranges.at(-1)?.to ?? 0
  }

  /** What is missing of a file of so many bytes, in pieces of at most so many. */
  missing(sizeBytes: number, pieceBytes: number): Range[] {
    const gaps: Range[] = []
    let at = 0
    for (const { from, to } of [...this.#ranges, { from: sizeBytes, to: sizeBytes }]) {
      for (; at < Math.min(from, sizeBytes); at = Math.min(at + pieceBytes, from))
        gaps.push({ from: at, to: Math.min(at + pieceBytes, from, sizeBytes) })
      at = Math.max(at, to)
    }
    return gaps
  }
}
