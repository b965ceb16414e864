/**
 * The way the gpt-oss models write: messages with a header each, `<|channel|>analysis<|message|>…<|end|>`. What is thought, said
 * and called is told by the channel.
 */
import { Marks } from './marks.ts'
import type { Answer, Reader } from './reader.ts'

const CHANNEL = '<|channel|>'
const MESSAGE = '<|message|>'
const START = '<|start|>'
const ENDS = ['<|end|>', '<|call|>', '<|return|>', START]

const RECIPIENT = 'to=functions.'

export class HarmonyReader implements Reader {
  readonly #answer: Answer
  readonly #stop: readonly string[]
  readonly #marks = new Marks()
  #header: string | null = ''
  #channel = ''
  #recipient: string | null = null
  #arguments = ''
  #stopped = false

  constructor(answer: Answer, stop: readonly string[]) {
    this.#answer = answer
    this.#stop = stop
  }

  get thinking(): boolean {
    return this.#header === null && this.#channel === 'analysis'
  }

  feed(text: string): boolean {
    this.#marks.add(text)
    while (!this.#stopped) {
      const inHeader = this.#header !== null
      const final = !inHeader && this.#channel === 'final'
      const { text: plain, mark } = this.#marks.next(inHeader ? [MESSAGE] : final ? [...ENDS, ...this.#stop] : ENDS)
      if (plain !== '') this.#say(plain)
      if (mark === null) return true
      if (mark === MESSAGE) this.#open()
      else if (ENDS.includes(mark)) this.#close()
      else this.#stopped = true
    }
    return false
  }

  end(): void {
    if (this.#stopped) return
    const rest = this.#marks.rest()
    if (rest !== '') this.#say(rest)
    // A model that never learned the format just says something.
    if (this.#header !== null && this.#header.trim() !== '' && !this.#header.includes(CHANNEL)) this.#answer.content(this.#header)
    else this.#close()
  }

  #say(text: string): void {
    if (this.#header !== null) this.#header += text
    else if (this.#recipient !== null) this.#arguments += text
    else if (this.#channel === 'analysis') this.#answer.reasoning(text)
    else this.#answer.content(text)
  }

  #open(): void {
    const header = (this.#header ?? '').split(CHANNEL).at(-1) ?? ''
    this.#header = null
    this.#channel = header.trim().split(/[\s<]/, 1)[0] ?? ''
    const whole = this.#channel === '' ? '' : header
    const at = whole.indexOf(RECIPIENT)
    this.#recipient = at === -1 ? null : (whole.slice(at + RECIPIENT.length).split(/[\s<]/, 1)[0] ?? null)
  }

  #close(): void {
    if (this.#recipient !== null) this.#answer.call({ name: this.#recipient, arguments: this.#arguments.trim() })
    this.#recipient = null
    this.#arguments = ''
    this.#channel = ''
    this.#header = ''
  }
}
