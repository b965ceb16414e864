/** Finds marks in a text that arrives in pieces, also those that a piece cuts in two. */

export type Found = {
  /** Text that is surely before any mark. */
  readonly text: string
  /** The mark after it, or null where none has come yet. */
  readonly mark: string | null
}

export class Marks {
  #held = ''

  /** More text. */
  add(text: string): void {
    this.#held += text
  }

  /** What comes first of the given marks. What may be the beginning of one is held until it is known. */
  next(marks: readonly string[]): Found {
    const held = this.#held
    let at = -1
    let found: string | null = null
    for (const mark of marks) {
      const here = held.indexOf(mark)
      if (here === -1 || (at !== -1 && (here > at || (here === at && mark.length <= (found?.length ?? 0))))) continue
      at = here
      found = mark
    }
    if (found !== null) {
      this.#held = held.slice(at + found.length)
      return { text: held.slice(0, at), mark: found }
    }
    const keep = begun(held, marks)
    this.#held = held.slice(held.length - keep)
    return { text: held.slice(0, held.length - keep), mark: null }
  }

  /** What was held; nothing more comes. */
  rest(): string {
    const rest = this.#held
    this.#held = ''
    return rest
  }
}

/** How many characters at the end of the text are the beginning of a mark. */
function begun(text: string, marks: readonly string[]): number {
  let longest = 0
  for (const mark of marks) {
    for (let length = Math.min(mark.length - 1, text.length); length > longest; length--) {
      if (text.endsWith(mark.slice(0, length))) {
        longest = length
        break
      }
    }
  }
  return longest
}
