/** The events of a streamed chat → parts. The common chunk, a bit of text, is recognised and never parsed. */
import type { Finish } from '../../core/call.ts'
import { type Failure, fail } from '../../core/errors.ts'
import type { Delta, Escaped, FinishReason, TextPart } from '../../core/modalities/text.ts'
import { SseSplitter } from '../sse.ts'
import { errorInBody } from '../upstream-error.ts'
import { deltaOf } from './delta.ts'
import { finishReason } from './finish-reason.ts'
import { type Template, learn } from './template.ts'
import { ToolCalls } from './tool-calls.ts'
import { chatUsage } from './usage.ts'
import { type Fields, isFields, listIn, malformed, parseFields, utf8Of } from '../fields.ts'

/** Choices whose chunks are remembered; those of further ones are parsed. */
const TEMPLATES = 8
/** So many templates that fitted no second chunk, and no more are made: this upstream's chunks are not alike. */
const WASTED_TEMPLATES = 16

type ChoiceState = { readonly calls: ToolCalls; any: boolean; reason: FinishReason | null }

export class TextStream {
  readonly #splitter = new SseSplitter(this)
  readonly #choices: (ChoiceState | undefined)[]
  readonly #templates: Template[] = []
  #wasted = 0
  #parts: TextPart[] = []
  #finish: Finish = { usage: null }
  #done = false
  #ended = false

  constructor(choices: number) {
    this.#choices = Array.from({ length: choices }, () => undefined)
  }

  /** Throws a `Failure` for an error event and for what is no chunk; the parts before it are still to be taken. */
  feed(chunk: Buffer): void {
    this.#splitter.feed(chunk.toString('latin1'))
  }

  /** The parts since the last time, in order; empty where there are none. */
  take(): readonly TextPart[] {
    const parts = this.#parts
    if (parts.length > 0) this.#parts = []
    return parts
  }

  /** Whether every choice that was asked for has said why it ended: then nothing of the answer is missing. */
  get complete(): boolean {
    return this.#done || this.#choices.every((choice) => choice !== undefined && choice.reason !== null)
  }

  /**
   * To be called once, when the upstream has nothing more to say; makes the `end` parts that are still due. Throws
   * where the answer is not whole: no choice has ended and nobody said `[DONE]`.
   */
  end(): Finish {
    const seen = this.#choices.filter((choice) => choice !== undefined)
    const ended = seen.some((choice) => choice.reason !== null)
    const open = seen.some((choice) => choice.reason === null && choice.any)
    if (!this.#done && (!ended || open)) throw died()
    if (seen.length === 0) throw died()
    this.#endChoices()
    return this.#finish
  }

  /** For the splitter. */
  event(text: string, start: number, end: number, name: string): void {
    if (this.#done) return
    for (const template of this.#templates) {
      const textEnd = template.textEnd(text, start, end)
      if (textEnd === -1) continue
      template.hits++
      const from = template.textStart(start)
      // The template has checked that it is the inside of a JSON string, in the bytes that came.
      if (textEnd > from) this.#parts.push({ type: 'text', choice: template.choice, json: text.slice(from, textEnd) as Escaped })
      return
    }
    this.#parse(text.slice(start, end), name)
  }

  #parse(data: string, name: string): void {
    const bytes = data.trim()
    if (bytes === '') return
    if (bytes === '[DONE]') {
      this.#done = true
      // A choice that has said nothing at all is none.
      if (this.#choices.some((choice) => choice !== undefined)) this.#endChoices()
      return
    }
    const chunk = parseFields(utf8Of(bytes))
    const error = chunk['error'] ?? (name === 'error' || chunk['object'] === 'error' ? chunk : null)
    if (error !== null && error !== undefined) throw errorInBody(error)
    const choices = listIn(chunk['choices'])
    const counted = this.#count(chunk, choices)
    for (const choice of choices) {
      if (!isFields(choice)) throw malformed()
      this.#choice(choice, counted || choices.length > 1 ? null : bytes)
    }
  }

  /** Whatever came last counts: some servers repeat a growing usage with every chunk. */
  #count(chunk: Fields, choices: readonly unknown[]): boolean {
    const groq = chunk['x_groq']
    const first = choices[0]
    // Moonshot has it in the choice.
    const raw = chunk['usage'] ?? (isFields(groq) ? groq['usage'] : null) ?? (isFields(first) ? first['usage'] : null)
    const finish = chatUsage(raw)
    if (finish) this.#finish = finish
    return finish !== null
  }

  /** `bytes` are those of the whole chunk where it may serve as a template, else null. */
  #choice(raw: Fields, bytes: string | null): void {
    const index = Number.isInteger(raw['index']) ? Number(raw['index']) : 0
    // Nobody asked for a choice of that number.
    if (index < 0 || index >= this.#choices.length) return
    const state = (this.#choices[index] ??= { calls: new ToolCalls(), any: false, reason: null })
    const said = raw['delta'] ?? raw['message']
    const delta = isFields(said) ? deltaOf(said, state.calls) : null
    const logprobs = raw['logprobs'] ?? null
    const word = raw['finish_reason'] ?? null
    if (delta !== null || logprobs !== null) {
      state.any = true
      const content = bytes !== null && word === null && logprobs === null && delta ? onlyContent(delta) : null
      if (bytes === null || content === null || !this.#learn(bytes, index, content)) {
        this.#parts.push({ type: 'delta', choice: index, delta: delta ?? {}, logprobs })
      }
    }
    if (word !== null && word !== '') state.reason ??= finishReason(word, state.calls.any)
  }

  /** Makes a template of a chunk and its part; false where none can be made. */
  #learn(bytes: string, choice: number, content: string): boolean {
    if (this.#wasted >= WASTED_TEMPLATES) return false
    const learned = learn(bytes, choice, content)
    if (!learned) return false
    const at = this.#templates.findIndex((template) => template.choice === choice)
    if (at !== -1) {
      if (this.#templates[at]?.hits === 0) this.#wasted++
      this.#templates[at] = learned.template
    } else if (this.#templates.length < TEMPLATES) this.#templates.push(learned.template)
    this.#parts.push({ type: 'text', choice, json: learned.json })
    return true
  }

  #endChoices(): void {
    if (this.#ended) return
    this.#ended = true
    for (const [index, state] of this.#choices.entries()) {
      if (state) this.#parts.push({ type: 'end', choice: index, reason: state.reason ?? finishReason(null, state.calls.any) })
    }
  }
}

/** The text of a delta that has nothing else. */
function onlyContent(delta: Delta): string | null {
  for (const field in delta) if (field !== 'content') return null
  return delta.content ?? null
}

const died = (): Failure => fail('INFERENCE_FAILED', { internal: 'upstream_died' })
