/** The events of a streamed message → parts of the one choice there is. */
import type { Finish } from '../../core/call.ts'
import { fail } from '../../core/errors.ts'
import { escaped } from '../../core/modalities/text.ts'
import type { Delta, TextPart, ToolCallDelta } from '../../core/modalities/text.ts'
import { SseSplitter } from '../sse.ts'
import { errorInBody } from '../upstream-error.ts'
import { finishReason } from './stop-reason.ts'
import { headOf, textDelta } from './text-delta.ts'
import { encryptedDetail, thoughtDetail } from './thoughts.ts'
import { Counts } from './usage.ts'
import { isFields, malformed, readFields, textIn } from '../fields.ts'
import type { Fields } from '../fields.ts'

/** More blocks than this in one message are a fault of the upstream. */
const MOST_BLOCKS = 4096
/** Thoughts are kept until their signature comes, up to this length in characters. */
const MOST_THOUGHTS = 16 * 1024 * 1024

type Block =
  | { readonly kind: 'text'; readonly head: string }
  | { readonly kind: 'thinking'; readonly detail: number; texts: string[]; length: number; signature: string }
  | { readonly kind: 'tool'; readonly call: number; readonly input: unknown; hasArguments: boolean }
  | { readonly kind: 'other' }

export class MessageStream {
  readonly #splitter = new SseSplitter(this)
  readonly #counts = new Counts()
  readonly #blocks = new Map<number, Block>()
  /** The event head of the text block that is open, or one that none has. */
  #head = headOf(0)
  #parts: TextPart[] = []
  #calls = 0
  #details = 0
  #started = 0
  #ended = false

  /** Throws a `Failure` for an error event and for what is no event; the parts before it are still to be taken. */
  feed(chunk: Buffer): void {
    this.#splitter.feed(chunk.toString('latin1'))
  }

  /** The parts since the last time, in order; empty where there are none. */
  take(): readonly TextPart[] {
    const parts = this.#parts
    if (parts.length > 0) this.#parts = []
    return parts
  }

  /** Whether the message said why it ended: then nothing of it is missing. */
  get complete(): boolean {
    return this.#ended
  }

  /** To be called when the upstream has nothing more to say; throws where the message is not whole. */
  end(): Finish {
    if (!this.#ended) throw fail('INFERENCE_FAILED', { internal: 'upstream_died' })
    return this.#counts.finish()
  }

  /** For the splitter. */
  event(text: string, start: number, end: number): void {
    const json = this.#ended ? null : textDelta(text, start, end, this.#head)
    if (json !== null) {
      if (json !== '') this.#parts.push({ type: 'text', choice: 0, json })
      return
    }
    const event = readFields(Buffer.from(text.slice(start, end), 'latin1').toString('utf8'))
    if (!event) throw malformed()
    this.#take(event)
  }

  #take(event: Fields): void {
    switch (event['type']) {
      case 'message_start':
        if (isFields(event['message'])) this.#counts.take(event['message']['usage'])
        return
      case 'content_block_start':
        return this.#start(indexOf(event), event['content_block'])
      case 'content_block_delta':
        return this.#grow(indexOf(event), event['delta'])
      case 'content_block_stop':
        return this.#stop(indexOf(event))
      case 'message_delta':
        this.#counts.take(event['usage'])
        return isFields(event['delta']) ? this.#end(event['delta']['stop_reason']) : undefined
      case 'message_stop':
        return this.#end(undefined)
      case 'error':
        throw errorInBody(event['error'])
      default:
        // `ping`, and what the future brings: new events are to be passed over, the API says.
        return
    }
  }

  #start(index: number, block: unknown): void {
    if (!isFields(block) || this.#ended) return
    if (++this.#started > MOST_BLOCKS) throw fail('INFERENCE_FAILED', { internal: 'upstream_too_many_blocks' })
    switch (block['type']) {
      case 'text':
        this.#head = headOf(index)
        this.#blocks.set(index, { kind: 'text', head: this.#head })
        return this.#text(textIn(block, 'text'))
      case 'thinking': {
        this.#blocks.set(index, { kind: 'thinking', detail: this.#details++, texts: [], length: 0, signature: textIn(block, 'signature') })
        return this.#think(index, textIn(block, 'thinking'))
      }
      case 'redacted_thinking':
        this.#blocks.set(index, { kind: 'other' })
        return this.#delta({ reasoning_details: [encryptedDetail(textIn(block, 'data'), this.#details++)] })
      case 'tool_use': {
        const call = this.#calls++
        this.#blocks.set(index, { kind: 'tool', call, input: block['input'], hasArguments: false })
        return this.#call({
          index: call,
          id: textIn(block, 'id'),
          type: 'function',
          function: { name: textIn(block, 'name'), arguments: '' },
        })
      }
      default:
        this.#blocks.set(index, { kind: 'other' })
    }
  }

  #grow(index: number, delta: unknown): void {
    if (!isFields(delta) || this.#ended) return
    const block = this.#blocks.get(index)
    switch (delta['type']) {
      case 'text_delta':
        return this.#text(textIn(delta, 'text'))
      case 'thinking_delta':
        return this.#think(index, textIn(delta, 'thinking'))
      case 'signature_delta':
        if (block?.kind === 'thinking') block.signature += textIn(delta, 'signature')
        return
      case 'input_json_delta': {
        const text = textIn(delta, 'partial_json')
        if (block?.kind !== 'tool' || text === '') return
        block.hasArguments = true
        return this.#call({ index: block.call, function: { arguments: text } })
      }
      default:
        return
    }
  }

  #stop(index: number): void {
    const block = this.#blocks.get(index)
    if (!block || this.#ended) return
    this.#blocks.delete(index)
    if (block.kind === 'thinking') this.#delta({ reasoning_details: [thoughtDetail(block.texts.join(''), block.signature, block.detail)] })
    // A tool without parameters gets no arguments; a chat client parses them all the same.
    if (block.kind === 'tool' && !block.hasArguments) {
      this.#call({ index: block.call, function: { arguments: JSON.stringify(isFields(block.input) ? block.input : {}) } })
    }
  }

  #end(reason: unknown): void {
    if (this.#ended || reason === null) return
    for (const index of this.#blocks.keys()) this.#stop(index)
    this.#ended = true
    this.#parts.push({ type: 'end', choice: 0, reason: finishReason(reason, this.#calls > 0) })
  }

  #text(text: string): void {
    if (text !== '') this.#parts.push({ type: 'text', choice: 0, json: escaped(text) })
  }

  #think(index: number, text: string): void {
    const block = this.#blocks.get(index)
    if (text === '' || block?.kind !== 'thinking') return
    block.texts.push(text)
    block.length += text.length
    if (block.length > MOST_THOUGHTS) throw fail('INFERENCE_FAILED', { internal: 'upstream_answer_too_large' })
    this.#delta({ reasoning_content: text })
  }

  #call(call: ToolCallDelta): void {
    this.#delta({ tool_calls: [call] })
  }

  #delta(delta: Delta): void {
    this.#parts.push({ type: 'delta', choice: 0, delta, logprobs: null })
  }
}

function indexOf(event: Fields): number {
  const { index } = event
  if (typeof index !== 'number') throw malformed()
  return index
}
