/** Speech over an OpenAI-compatible server: its bytes are passed on as they come, in the format that was asked for. */
import type { Sink } from '../../core/call.ts'
import type { Ability, Task } from '../../core/engine.ts'
import { fail } from '../../core/errors.ts'
import type { SpeechFormat } from '../../core/audio.ts'
import type { TtsPart, TtsRequest } from '../../core/modalities/tts.ts'
import { COLLECTED_BYTES, type Egress, type EgressRequest, type Receiver } from '../egress.ts'
import { parseFields } from '../fields.ts'
import { type UpstreamHeaders, errorInBody } from '../upstream-error.ts'
import type { AudioDialect, AudioWords } from './request.ts'

/** OpenAI wants one to be named. */
const ANY_VOICE = 'alloy'

export function speechAbility(egress: Egress, { unsupported, audioWords }: AudioDialect): Ability<'tts'> {
  return {
    // Named so in the configuration, as `response_format.aac`, for servers that cannot make each of them.
    refuses: ({ format }) => (unsupported.has(`response_format.${format}`) ? 'response_format' : null),

    async run(task, sink) {
      const { request } = task
      const asked = requestOf(task, audioWords)
      if (request.stream) {
        const receiver = new SpeechReceiver(request, sink)
        await egress.send(asked, receiver)
        receiver.end()
      } else {
        const { headers, body } = await egress.collect(asked)
        if (isJson(headers)) throw errorInBody(parseFields(body.toString('utf8'))['error'])
        if (body.length === 0) throw noSpeech()
        await sink([{ type: 'encoded', bytes: body, characters: request.characters }])
      }
      return { usage: { character: request.characters } }
    },
  }
}

function requestOf({ model, request, signal, firstByteMs, stallMs }: Task<TtsRequest>, words: AudioWords): EgressRequest {
  const { text, voice, format, speed, stream, style, language, temperature, topP } = request
  const own = words === 'venice'
  const body = JSON.stringify({
    model,
    input: text,
    voice: voice ?? (own ? undefined : ANY_VOICE),
    response_format: format,
    speed,
    [own ? 'prompt' : 'instructions']: style ?? undefined,
    ...(own && stream && { streaming: true }),
    // Hints go only where somebody gave one: servers without them refuse what they do not know.
    language: language ?? undefined,
    temperature: temperature ?? undefined,
    top_p: topP ?? undefined,
  })
  return { method: 'POST', path: '/audio/speech', accept: 'audio/*', body, signal, firstByteMs, stallMs }
}

/** The bytes of one network read go on together. */
class SpeechReceiver implements Receiver {
  readonly #request: TtsRequest
  readonly #sink: Sink<TtsPart>
  #chunks: Buffer[] = []
  #receivedBytes = 0
  #characters = 0
  /** What came instead of sound. */
  #json: Buffer[] | null = null

  constructor(request: TtsRequest, sink: Sink<TtsPart>) {
    this.#request = request
    this.#sink = sink
  }

  head(_status: number, headers: UpstreamHeaders): void {
    if (isJson(headers)) this.#json = []
  }

  data(chunk: Buffer): void {
    this.#receivedBytes += chunk.length
    if (this.#receivedBytes > COLLECTED_BYTES) throw fail('INFERENCE_FAILED', { internal: 'upstream_answer_too_large' })
    ;(this.#json ?? this.#chunks).push(chunk)
  }

  flush(): void | Promise<void> {
    if (this.#chunks.length === 0) return
    const bytes = Buffer.concat(this.#chunks)
    this.#chunks = []
    const spoken = spokenBy(this.#receivedBytes, this.#request)
    const characters = spoken - this.#characters
    this.#characters = spoken
    return this.#sink([{ type: 'encoded', bytes, characters }])
  }

  end(): void {
    if (this.#json) throw errorInBody(parseFields(Buffer.concat(this.#json).toString('utf8'))['error'])
    if (this.#receivedBytes === 0) throw noSpeech()
  }
}

/** Bytes of a second of speech at the most that servers make of it, and a slow voice: so that nobody pays for more than was heard. */
const BYTES_PER_SECOND: Readonly<Record<SpeechFormat, number>> = {
  pcm: 48_000,
  wav: 48_000,
  flac: 32_000,
  mp3: 20_000,
  aac: 20_000,
  opus: 16_000,
}
const CHARACTERS_PER_SECOND = 12

/**
 * How many characters the speech has got to with so many bytes, where it breaks off there: the server does not say, so it is
 * reckoned in the caller's favour. At least one, at most all of them.
 */
export function spokenBy(bytes: number, { format, speed, characters }: Pick<TtsRequest, 'format' | 'speed' | 'characters'>): number {
  const seconds = bytes / BYTES_PER_SECOND[format]
  return Math.min(characters, Math.max(1, Math.floor(seconds * CHARACTERS_PER_SECOND * speed)))
}

const isJson = (headers: UpstreamHeaders): boolean => String(headers['content-type']).includes('application/json')

const noSpeech = (): Error => fail('INFERENCE_FAILED', { internal: 'no_speech' })
