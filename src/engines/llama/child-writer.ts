/** What one choice has written: sent piece by piece, or collected. Runs in the child only. */
import { randomUUID } from 'node:crypto'
import type { ReadCall } from './calls.ts'
import type { Answer } from './reader.ts'
import type { Piece, TokenLogprob } from './wire.ts'

/** JSON knows no minus infinity. */
const LEAST_LOGPROB = -9999

export class Writer implements Answer {
  readonly #send: ((piece: Piece) => void) | null
  readonly #pieces: Piece[] = []
  /** Scores of tokens whose text has not been written yet. */
  #scores: TokenLogprob[] = []
  calls = 0

  /** `send` is null for a choice that is not streamed. */
  constructor(send: ((piece: Piece) => void) | null) {
    this.#send = send
  }

  content(text: string): void {
    if (this.#scores.length === 0) this.#write(['text', text])
    else this.#write(['scored', text, this.#scores])
    this.#scores = []
  }

  reasoning(text: string): void {
    this.#scores = []
    this.#write(['thought', text])
  }

  call({ name, arguments: args }: ReadCall): void {
    this.#scores = []
    this.calls++
    this.#write(['call', { id: `call_${randomUUID().replaceAll('-', '').slice(0, 24)}`, name, arguments: args }])
  }

  score({ text, probability, top }: { text: string; probability: number; top: readonly (readonly [string, number])[] }): void {
    this.scored({ ...entry(text, probability), top_logprobs: top.map(([other, its]) => entry(other, its)) })
  }

  /** The same, where somebody else has worked it out. */
  scored(score: TokenLogprob): void {
    this.#scores.push(score)
  }

  /** All of it where it was not streamed: what belongs together in one piece. */
  collected(): readonly Piece[] {
    return this.#pieces
  }

  #write(piece: Piece): void {
    if (this.#send) {
      this.#send(piece)
      return
    }
    const last = this.#pieces.at(-1)
    if (last?.[0] === 'text' && piece[0] === 'text') this.#pieces[this.#pieces.length - 1] = ['text', last[1] + piece[1]]
    else if (last?.[0] === 'thought' && piece[0] === 'thought') this.#pieces[this.#pieces.length - 1] = ['thought', last[1] + piece[1]]
    else if (last?.[0] === 'scored' && piece[0] === 'scored')
      this.#pieces[this.#pieces.length - 1] = ['scored', last[1] + piece[1], [...last[2], ...piece[2]]]
    else this.#pieces.push(piece)
  }
}

const entry = (token: string, probability: number): Omit<TokenLogprob, 'top_logprobs'> => ({
  token,
  logprob: Math.max(LEAST_LOGPROB, Math.log(probability)),
  bytes: [...Buffer.from(token, 'utf8')],
})
