/**
 * What a model writes, taken apart: thoughts, answer, calls of tools. Text comes in pieces as the model writes it; marks and stop
 * sequences are found wherever the pieces are cut.
 */
import type { CallStyle } from './grammar.ts'
import { CallScanner } from './calls.ts'
import type { ReadCall } from './calls.ts'
import { Marks } from './marks.ts'

export type Answer = {
  content(text: string): void
  reasoning(text: string): void
  call(call: ReadCall): void
}

export type ReaderOptions = {
  /** The marks around thoughts; null for a model without. */
  readonly think: { readonly open: string; readonly close: string } | null
  /** Whether the prompt ends inside of a thought. */
  readonly thinking: boolean
  /** How calls are written; null where there are no tools. */
  readonly calls: Pick<CallStyle, 'opens' | 'ends'> | null
  /** Whether the prompt ends inside of the calls, and nothing but calls comes. */
  readonly calling: boolean
  /** Sequences that end the answer; they are not part of it. */
  readonly stop: readonly string[]
}

export type Reader = {
  /** Whether more is wanted: false once a stop sequence has come. */
  feed(text: string): boolean
  /** Nothing more comes. */
  end(): void
  /** Whether what is being written now is a thought. */
  readonly thinking: boolean
}

type State = 'content' | 'thinking' | 'calls' | 'stopped'

export class TagReader implements Reader {
  readonly #answer: Answer
  readonly #options: ReaderOptions
  readonly #marks = new Marks()
  #state: State
  /** Whether anything but white space has been said in this state. */
  #begun = false
  /** Whether the white space at the beginning belongs to the marks. */
  #trims: boolean
  #scanner = new CallScanner()
  /** How many calls were in what is taken for calls now. */
  #given = 0

  constructor(answer: Answer, options: ReaderOptions) {
    this.#answer = answer
    this.#options = options
    this.#state = options.calling ? 'calls' : options.thinking ? 'thinking' : 'content'
    this.#trims = options.thinking
  }

  get thinking(): boolean {
    return this.#state === 'thinking'
  }

  feed(text: string): boolean {
    this.#marks.add(text)
    for (;;) {
      const { text: plain, mark } = this.#marks.next(this.#wanted())
      if (plain !== '') this.#say(plain)
      if (mark === null) return true
      if (this.#state === 'content' && this.#options.stop.includes(mark)) {
        this.#state = 'stopped'
        return false
      }
      this.#turn(mark)
    }
  }

  end(): void {
    if (this.#state === 'stopped') return
    const rest = this.#marks.rest()
    if (rest !== '') this.#say(rest)
    if (this.#state === 'calls') this.#endCalls('')
  }

  #wanted(): readonly string[] {
    const { think, calls, stop } = this.#options
    switch (this.#state) {
      case 'thinking':
        return think ? [think.close] : []
      case 'calls':
        return !this.#options.calling && calls && calls.ends !== '' ? [calls.ends] : []
      case 'content':
        return [...stop, ...(think ? [think.open] : []), ...(calls && calls.opens !== '' ? [calls.opens] : [])]
      case 'stopped':
        return []
    }
  }

  #turn(mark: string): void {
    const { think } = this.#options
    if (this.#state === 'calls') {
      this.#endCalls(mark)
      this.#enter('content', true)
    } else if (mark === think?.open) this.#enter('thinking', true)
    else if (mark === think?.close) this.#enter('content', true)
    else this.#enter('calls', false)
  }

  #enter(state: State, trims: boolean): void {
    this.#state = state
    this.#begun = false
    this.#trims = trims
    this.#scanner = new CallScanner()
    this.#given = 0
  }

  #say(text: string): void {
    if (this.#state === 'calls') {
      for (const call of this.#scanner.feed(text)) this.#give(call)
      return
    }
    let said = text
    if (!this.#begun) {
      if (this.#trims) said = text.trimStart()
      if (said === '') return
      // Models without marks begin a call with its brace.
      if (this.#state === 'content' && this.#options.calls?.opens === '' && said.trimStart().startsWith('{')) {
        this.#enter('calls', false)
        this.#say(said)
        return
      }
      this.#begun = said.trim() !== ''
    }
    if (this.#state === 'thinking') this.#answer.reasoning(said)
    else this.#answer.content(said)
  }

  #give(call: ReadCall): void {
    this.#given++
    this.#answer.call(call)
  }

  /** A call that was cut off is given as far as it came; what was taken for calls and holds none is part of the answer. */
  #endCalls(closing: string): void {
    const cut = this.#scanner.cut()
    if (cut !== null) this.#give(cut)
    const { unread } = this.#scanner
    if (this.#given > 0 || this.#options.calling || unread.trim() === '') return
    this.#answer.content((this.#options.calls?.opens ?? '') + unread + closing)
  }
}
