/** Chat over the Messages API. */
import type { Finish, Sink } from '../../core/call.ts'
import type { Ability, Task } from '../../core/engine.ts'
import { Failure, fail } from '../../core/errors.ts'
import type { TextPart, TextRequest } from '../../core/modalities/text.ts'
import { COLLECTED_BYTES } from '../egress.ts'
import type { Egress, EgressRequest, Receiver } from '../egress.ts'
import type { UpstreamHeaders } from '../upstream-error.ts'
import { messagesBody, refusedField } from './request.ts'
import { MessageStream } from './stream.ts'
import { streamedParts, wholeOf } from './whole.ts'

export const textAbility = (egress: Egress): Ability<'text'> => ({
  refuses: refusedField,

  async run(task, sink) {
    const body = messagesBody(task.model, task.request)
    if (task.request.stream) return stream(egress, requestOf(task, body, 'text/event-stream'), sink)
    const { body: answer } = await egress.collect(requestOf(task, body, 'application/json'))
    const { choice, finish } = wholeOf(answer)
    await sink([{ type: 'whole', choices: [choice] }])
    return finish
  },
})

/** Failures after which a message may still be whole, because only its farewell is missing. */
const FAREWELLS: ReadonlySet<string | undefined> = new Set(['upstream_died', 'upstream_stalled'])

async function stream(egress: Egress, request: EgressRequest, sink: Sink<TextPart>): Promise<Finish> {
  const receiver = new StreamReceiver(sink)
  try {
    await egress.send(request, receiver)
  } catch (error) {
    if (!(error instanceof Failure && FAREWELLS.has(error.internal) && receiver.complete)) throw error
  }
  return receiver.end()
}

/** Feeds a stream's bytes to the parser and its parts to the sink, those of one network read together. */
class StreamReceiver implements Receiver {
  readonly #stream = new MessageStream()
  readonly #sink: Sink<TextPart>
  /** Bytes of an answer that is no stream although one was asked for; null for one that is. */
  #chunks: Buffer[] | null = null
  #sizeBytes = 0
  /** What is wrong with the stream: thrown once the parts before it have gone. */
  #failure: unknown = null

  constructor(sink: Sink<TextPart>) {
    this.#sink = sink
  }

  get complete(): boolean {
    return this.#chunks === null && this.#failure === null && this.#stream.complete
  }

  head(_status: number, headers: UpstreamHeaders): void {
    if (String(headers['content-type']).includes('application/json')) this.#chunks = []
  }

  data(chunk: Buffer): void {
    if (this.#failure !== null) return
    if (this.#chunks !== null) {
      this.#sizeBytes += chunk.length
      if (this.#sizeBytes > COLLECTED_BYTES) throw fail('INFERENCE_FAILED', { internal: 'upstream_answer_too_large' })
      this.#chunks.push(chunk)
      return
    }
    try {
      this.#stream.feed(chunk)
    } catch (error) {
      this.#failure = error
    }
  }

  flush(): void | Promise<void> {
    const parts = this.#stream.take()
    const slow = parts.length > 0 ? this.#sink(parts) : undefined
    if (this.#failure === null) return slow
    return Promise.resolve(slow).then(() => {
      throw this.#failure
    })
  }

  /** The upstream is through: the last word on what it sent. */
  async end(): Promise<Finish> {
    if (this.#chunks === null) return this.#stream.finish()
    const whole = wholeOf(Buffer.concat(this.#chunks))
    await this.#sink(streamedParts(whole))
    return whole.finish
  }
}

const requestOf = ({ signal, firstByteMs, stallMs }: Task<TextRequest>, body: string, accept: string): EgressRequest => ({
  method: 'POST',
  path: '/v1/messages',
  body,
  accept,
  signal,
  firstByteMs,
  stallMs,
})
