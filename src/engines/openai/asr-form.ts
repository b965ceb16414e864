/** The form that another server gets a recording in: what is known first, then the recording as it comes, then what it is to be like. */
import type { Container } from '../../core/audio.ts'
import type { Signal } from '../../core/cancel.ts'
import { type AsrRequest, type AsrWishes, tooLong } from '../../core/modalities/asr.ts'
import type { BodyStream } from '../egress.ts'
import type { AudioWords } from './request.ts'
import type { Ruler } from './ruler.ts'

/** Servers tell formats by the name of the file; the caller's own name is nobody's business. */
const MEDIA_TYPES: Readonly<Record<Container, string>> = {
  wav: 'audio/wav',
  flac: 'audio/flac',
  mp3: 'audio/mpeg',
  m4a: 'audio/mp4',
  aac: 'audio/aac',
  ogg: 'audio/ogg',
  webm: 'audio/webm',
}

/** Whose words the server has, and whether it answers with times. */
export type AsrStyle = { readonly words: AudioWords; readonly verbose: boolean }

type Field = readonly [name: string, value: string]

/** Made for one request, and taken once. */
export class AsrForm {
  readonly #boundary: string
  readonly #request: AsrRequest
  readonly #style: AsrStyle
  readonly #signal: Signal
  readonly #ruler: Ruler | null
  readonly #before: Buffer

  /** A ruler measures what passes; where the recording is longer than can be paid, the form never comes to its end. */
  constructor(boundary: string, model: string, request: AsrRequest, style: AsrStyle, signal: Signal, ruler: Ruler | null) {
    this.#boundary = boundary
    this.#request = request
    this.#style = style
    this.#signal = signal
    this.#ruler = ruler
    const { container } = request.recording
    const disposition = `content-disposition: form-data; name="file"; filename="audio.${container}"`
    const format = style.verbose ? 'verbose_json' : 'json'
    this.#before = Buffer.from(
      this.#parts([
        ['model', model],
        ['response_format', format],
      ]) + `--${boundary}\r\n${disposition}\r\ncontent-type: ${MEDIA_TYPES[container]}\r\n\r\n`,
    )
  }

  /** As a body whose size is known where all of the recording has come. */
  async stream(): Promise<BodyStream> {
    const { recording, wishes } = this.#request
    if (!recording.file.arrived) return { sizeBytes: null, pieces: this.#pieces(async () => this.#after(await wishes())) }
    const after = this.#after(await wishes())
    const sizeBytes = this.#before.length + recording.file.atMostBytes + after.length
    return { sizeBytes, pieces: this.#pieces(() => Promise.resolve(after)) }
  }

  /** As one piece, for servers that must know its size at once. */
  async whole(): Promise<Buffer> {
    const pieces: Buffer[] = []
    for await (const piece of this.#pieces(async () => this.#after(await this.#request.wishes()))) pieces.push(piece)
    return Buffer.concat(pieces)
  }

  async *#pieces(after: () => Promise<Buffer>): AsyncGenerator<Buffer, void, undefined> {
    const request = this.#request
    yield this.#before
    for await (const piece of request.recording.file.read(this.#signal)) {
      if (this.#ruler) this.#check(await this.#ruler.measure(piece))
      yield piece
    }
    // More than can be paid must not even be asked for: without its end the form is none.
    if (this.#ruler) this.#check(await this.#ruler.measure(null))
    yield await after()
  }

  #check(seconds: number | null): void {
    const request = this.#request
    if (request.short && seconds !== null && seconds > request.maxSeconds + 1) throw tooLong(request)
  }

  #after(wishes: AsrWishes): Buffer {
    return Buffer.from(`\r\n${this.#parts(wished(wishes, this.#style))}--${this.#boundary}--\r\n`)
  }

  #parts(fields: readonly Field[]): string {
    const head = `--${this.#boundary}\r\ncontent-disposition: form-data; name=`
    return fields.map(([name, value]) => `${head}"${name}"\r\n\r\n${value}\r\n`).join('')
  }
}

function wished({ words: times, language, hint, temperature }: AsrWishes, { words, verbose }: AsrStyle): readonly Field[] {
  const fields: Field[] = []
  if (verbose) fields.push(['timestamp_granularities[]', 'segment'])
  if (verbose && times) fields.push(['timestamp_granularities[]', 'word'])
  if (words === 'venice') fields.push(['timestamps', 'true'])
  if (language !== null) fields.push(['language', language])
  if (hint !== null && words === 'openai') fields.push(['prompt', hint])
  if (temperature !== null && words === 'openai') fields.push(['temperature', String(temperature)])
  return fields
}
