/** One streamed run over the network: bytes into a parser, its parts into the sink, those of one network read together. */
import type { Finish, Sink } from '../core/call.ts'
import { Failure, fail } from '../core/errors.ts'
import type { TextPart } from '../core/modalities/text.ts'
import { COLLECTED_BYTES, type Egress, type EgressRequest, type Receiver } from './egress.ts'
import type { UpstreamHeaders } from './upstream-error.ts'

/** What knows the events of one API. */
export type StreamParser = {
  /** Throws a `Failure` for an error event and for what is no event; the parts before it are still to be taken. */
  feed(chunk: Buffer): void
  /** The parts since the last time, in order; empty where there are none. */
  take(): readonly TextPart[]
  /** Whether nothing of the answer is missing, should the upstream go away now. */
  readonly complete: boolean
  /** To be called once, when the upstream is through; parts that are still due can be taken after it. Throws where the answer is not whole. */
  end(): Finish
}

/** A whole answer as the parts of a stream. */
export type WholeParts = { readonly parts: readonly TextPart[]; readonly finish: Finish }

/** Failures after which a stream may still be whole, because only its farewell is missing. */
const FAREWELLS: ReadonlySet<string | undefined> = new Set(['upstream_died', 'upstream_stalled'])

/** Sends the request and streams its answer; `whole` reads the answer of a server that was asked to stream and did not. */
export async function runStream(
  egress: Egress,
  request: EgressRequest,
  parser: StreamParser,
  whole: (body: Buffer) => WholeParts,
  sink: Sink<TextPart>,
): Promise<Finish> {
  const receiver = new StreamReceiver(parser, sink)
  try {
    await egress.send(request, receiver)
  } catch (error) {
    if (!(error instanceof Failure && FAREWELLS.has(error.internal) && receiver.complete)) throw error
  }
  const body = receiver.collected()
  if (body === null) {
    const finish = parser.end()
    const parts = parser.take()
    if (parts.length > 0) await sink(parts)
    return finish
  }
  const { parts, finish } = whole(body)
  await sink(parts)
  return finish
}

class StreamReceiver implements Receiver {
  readonly #parser: StreamParser
  readonly #sink: Sink<TextPart>
  /** Bytes of an answer that is no stream although one was asked for; null for one that is. */
  #chunks: Buffer[] | null = null
  #sizeBytes = 0
  /** What is wrong with the stream: thrown once the parts before it have gone. */
  #failure: unknown = null

  constructor(parser: StreamParser, sink: Sink<TextPart>) {
    this.#parser = parser
    this.#sink = sink
  }

  get complete(): boolean {
    return this.#chunks === null && this.#failure === null && this.#parser.complete
  }

  collected(): Buffer | null {
    return this.#chunks === null ? null : Buffer.concat(this.#chunks)
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
      this.#parser.feed(chunk)
    } catch (error) {
      this.#failure = error
    }
  }

  flush(): void | Promise<void> {
    const parts = this.#parser.take()
    const slow = parts.length > 0 ? this.#sink(parts) : undefined
    if (this.#failure === null) return slow
    return Promise.resolve(slow).then(() => {
      throw this.#failure
    })
  }
}
