/** What the dialect reads of llama.cpp's own server → the pieces of a choice. Runs in the child only. */
import { type Delta, type FinishReason, type TextPart, type ToolCallDelta, textOf } from '../../core/modalities/text.ts'
import { isFields, listIn } from '../fields.ts'
import { Writer } from './child-writer.ts'
import type { Reading } from './child-server-request.ts'
import { TagReader } from './reader.ts'
import type { ChatEnd, Piece, TokenLogprob } from './wire.ts'

type Call = { readonly index: number; name: string; arguments: string }

export class ServerWriter {
  readonly #writer: Writer
  readonly #alternatives: number
  /** Takes calls out of the text of a model that was told of its tools in words. */
  readonly #reader: TagReader | null
  /** Being written: it goes on as a whole, because a call that breaks off is none. */
  #call: Call | null = null
  #reason: FinishReason | null = null

  /** `send` is null for a choice that is not streamed; `alternatives` is how many each token's log probability is told with. */
  constructor(send: ((piece: Piece) => void) | null, alternatives: number | null, reading: Reading | null) {
    this.#writer = new Writer(send)
    this.#alternatives = alternatives ?? 0
    this.#reader = reading && new TagReader(this.#writer, { ...reading, think: null, thinking: false, stop: [] })
  }

  take(parts: readonly TextPart[]): void {
    for (const part of parts) {
      if (part.type === 'text') this.#content(textOf(part.json))
      else if (part.type === 'delta') this.#delta(part.delta, part.logprobs)
      else if (part.type === 'end') this.#reason = part.reason
    }
  }

  /** To be called once, when all parts were taken: why the choice ended, or null where nobody said. */
  end(): ChatEnd['reason'] | null {
    this.#endCall()
    this.#reader?.end()
    if (this.#reason === 'content_filter') return null
    return this.#reason === 'stop' && this.#writer.calls > 0 ? 'tool_calls' : this.#reason
  }

  /** All of it where it was not streamed. */
  collected(): readonly Piece[] {
    return this.#writer.collected()
  }

  #delta({ reasoning_content: thought, content, tool_calls: calls }: Delta, logprobs: unknown): void {
    for (const score of isFields(logprobs) ? listIn(logprobs['content']) : []) this.#score(score)
    if (thought) this.#writer.reasoning(thought)
    if (content) this.#content(content)
    for (const call of calls ?? []) this.#grow(call)
  }

  #content(text: string): void {
    if (this.#reader) this.#reader.feed(text)
    else this.#writer.content(text)
  }

  #grow({ index, function: said }: ToolCallDelta): void {
    if (this.#call !== null && this.#call.index !== index) this.#endCall()
    this.#call ??= { index, name: '', arguments: '' }
    this.#call.name += said?.name ?? ''
    this.#call.arguments += said?.arguments ?? ''
  }

  #endCall(): void {
    if (this.#call !== null) this.#writer.call(this.#call)
    this.#call = null
  }

  #score(score: unknown): void {
    const entry = entryOf(score)
    if (entry === null || !isFields(score)) return
    const top = listIn(score['top_logprobs']).slice(0, this.#alternatives)
    this.#writer.scored({ ...entry, top_logprobs: top.flatMap((other) => entryOf(other) ?? []) })
  }
}

/** Without the server's own numbers of tokens. */
function entryOf(score: unknown): Omit<TokenLogprob, 'top_logprobs'> | null {
  if (!isFields(score)) return null
  const { token, logprob, bytes } = score
  if (typeof token !== 'string' || typeof logprob !== 'number') return null
  return { token, logprob, bytes: listIn(bytes).filter((byte) => typeof byte === 'number') }
}
