/** Chat over an OpenAI-compatible server. */
import type { Finish, Sink } from '../../core/call.ts'
import type { Ability, Task } from '../../core/engine.ts'
import { Failure, fail } from '../../core/errors.ts'
import type { TextPart, TextRequest } from '../../core/modalities/text.ts'
import { COLLECTED_BYTES, type Egress, type EgressRequest, type Receiver } from '../egress.ts'
import type { UpstreamHeaders } from '../upstream-error.ts'
import { type Dialect, chatBody, refusedField } from './request.ts'
import { TextStream } from './stream.ts'
import { streamedParts, wholeOf } from './whole.ts'

export function textAbility(egress: Egress, dialect: Dialect): Ability<'text'> {
  return {
    refuses: (request) => refusedField(request, dialect),

    async run(task, sink) {
      const body = chatBody(task.model, task.request, dialect)
      if (task.request.stream) return stream(egress, requestOf(task, body, 'text/event-stream'), task, sink)
      const { body: answer } = await egress.collect(requestOf(task, body, 'application/json'))
      const { choices, finish } = wholeOf(answer)
      await sink([{ type: 'whole', choices }])
      return finish
    },
  }
}

/** Failures after which a stream may still be whole, because only its farewell is missing. */
const FAREWELLS: ReadonlySet<string | undefined> = new Set(['upstream_died', 'upstream_stalled'])

async function stream(egress: Egress, request: EgressRequest, task: Task<TextRequest>, sink: Sink<TextPart>): Promise<Finish> {
  const receiver = new StreamReceiver(task.request.choices, sink)
  try {
    await egress.send(request, receiver)
  } catch (error) {
    if (!(error instanceof Failure && FAREWELLS.has(error.internal) && receiver.complete)) throw error
  }
  return receiver.end()
}

/** Feeds a stream's bytes to the parser and its parts to the sink, those of one network read together. */
class StreamReceiver implements Receiver {
  readonly #stream: TextStream
  readonly #sink: Sink<TextPart>
  /** Bytes of an answer that is no stream although one was asked for; null for one that is. */
  #chunks: Buffer[] | null = null
  #sizeBytes = 0
  /** What is wrong with the stream: thrown once the parts before it have gone. */
  #failure: unknown = null

  constructor(choices: number, sink: Sink<TextPart>) {
    this.#stream = new TextStream(choices)
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

  /** The upstream is through: hands over what is still due. */
  async end(): Promise<Finish> {
    if (this.#chunks !== null) {
      const whole = wholeOf(Buffer.concat(this.#chunks))
      await this.#sink(streamedParts(whole))
      return whole.finish
    }
    const finish = this.#stream.end()
    const parts = this.#stream.take()
    if (parts.length > 0) await this.#sink(parts)
    return finish
  }
}

const requestOf = ({ signal, firstByteMs, stallMs }: Task<TextRequest>, body: string, accept: string): EgressRequest => ({
  method: 'POST',
  path: '/chat/completions',
  body,
  accept,
  signal,
  firstByteMs,
  stallMs,
})
