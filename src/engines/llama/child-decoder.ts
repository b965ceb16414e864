/** Tokens → text, as they come: a character may be spread over several tokens. Runs in the child only. */
import type { LlamaModel, Token } from 'node-llama-cpp'

/** A character has at most four bytes, and a token at least one. */
const MAX_HELD = 8
/** How many tokens before are looked at for whether a space belongs in between. */
const BEFORE = 4

export class Decoder {
  readonly #model: LlamaModel
  /** Control tokens whose texts are needed; those of others are not part of an answer. */
  readonly #marks: ReadonlySet<Token>
  #before: Token[] = []
  #held: Token[] = []

  constructor(model: LlamaModel, marks: ReadonlySet<Token>) {
    this.#model = model
    this.#marks = marks
  }

  /** The text that is complete with this token; empty where it is not yet. */
  push(token: Token): string {
    if (!this.#marks.has(token) && this.#model.isSpecialToken(token)) return ''
    this.#held.push(token)
    const text = this.#text()
    if (text.endsWith('\uFFFD') && this.#held.length < MAX_HELD) return ''
    this.#before = [...this.#before, ...this.#held].slice(-BEFORE)
    this.#held = []
    return text
  }

  /** What is left of an unfinished character. */
  end(): string {
    const text = this.#held.length > 0 ? this.#text() : ''
    this.#held = []
    return text
  }

  #text(): string {
    return this.#model.detokenize(this.#held, true, this.#before)
  }
}
