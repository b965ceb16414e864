/** Transcription over an OpenAI-compatible server. */
import { randomBytes } from 'node:crypto'
import { type AudioTools, type Container, type Recording, secondsOf } from '../../core/audio.ts'
import type { Signal } from '../../core/cancel.ts'
import type { Ability } from '../../core/engine.ts'
import { ERRORS, Failure, fail } from '../../core/errors.ts'
import { type AsrPart, type AsrRequest, type Segment, type Word, tooLong } from '../../core/modalities/asr.ts'
import type { Egress } from '../egress.ts'
import { type Fields, isFields, listIn, parseFields, textIn } from '../fields.ts'
import { errorInBody } from '../upstream-error.ts'
import type { AudioDialect, AudioWords } from './request.ts'

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
/** Low enough to be quick; only the length is wanted. */
const MEASURED_RATE = 8_000

/** `tools` measure what a server does not say; without them its length is what it was held for. */
export function transcriptionAbility(egress: Egress, { unsupported, audioWords }: AudioDialect, tools: AudioTools | null): Ability<'asr'> {
  // Callers cannot know it, so no recording can hold it.
  const boundary = `rialto-${randomBytes(16).toString('hex')}`
  const verbose = audioWords === 'openai' && !unsupported.has('verbose_json')
  return {
    refuses: () => null,

    async run({ model, request, signal, firstByteMs, stallMs }, sink) {
      const { recording, maxSeconds } = request
      // More than can be paid must not even be asked for.
      const measured = request.short ? await lengthOf(recording, tools, signal, request) : null
      const { body: answered } = await egress
        .collect({
          method: 'POST',
          path: '/audio/transcriptions',
          accept: 'application/json',
          contentType: `multipart/form-data; boundary=${boundary}`,
          body: formOf(boundary, fieldsOf(model, request, audioWords, verbose), recording),
          signal,
          firstByteMs,
          stallMs,
        })
        .catch(refused)
      const answer = parseFields(answered.toString('utf8'))
      if (answer['error'] !== undefined && answer['error'] !== null) throw asAsr(errorInBody(answer['error']))
      const seconds = secondsIn(answer) ?? measured ?? (await lengthOf(recording, tools, signal, null)) ?? maxSeconds
      await sink([transcriptIn(answer, seconds)])
      return { usage: { audioSecond: Math.max(1, Math.ceil(seconds)) } }
    },
  }
}

function fieldsOf(model: string, request: AsrRequest, words: AudioWords, verbose: boolean): (readonly [string, string])[] {
  const { language, hint, temperature } = request
  const fields: (readonly [string, string])[] = [['model', model]]
  if (verbose) {
    fields.push(['response_format', 'verbose_json'], ['timestamp_granularities[]', 'segment'])
    if (request.words) fields.push(['timestamp_granularities[]', 'word'])
  } else fields.push(['response_format', 'json'])
  if (words === 'venice') fields.push(['timestamps', 'true'])
  if (language !== null) fields.push(['language', language])
  if (hint !== null && words === 'openai') fields.push(['prompt', hint])
  if (temperature !== null && words === 'openai') fields.push(['temperature', String(temperature)])
  return fields
}

function formOf(boundary: string, fields: readonly (readonly [string, string])[], { container, bytes }: Recording): Buffer {
  const pieces: Buffer[] = []
  for (const [name, value] of fields)
    pieces.push(Buffer.from(`--${boundary}\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`))
  const disposition = `content-disposition: form-data; name="file"; filename="audio.${container}"`
  pieces.push(Buffer.from(`--${boundary}\r\n${disposition}\r\ncontent-type: ${MEDIA_TYPES[container]}\r\n\r\n`))
  pieces.push(bytes, Buffer.from(`\r\n--${boundary}--\r\n`))
  return Buffer.concat(pieces)
}

/** The length in seconds, by decoding it. Throws where it is longer than `bound` allows; null where nothing can measure it. */
async function lengthOf(recording: Recording, tools: AudioTools | null, signal: Signal, bound: AsrRequest | null): Promise<number | null> {
  if (!tools) return null
  let count = 0
  for await (const samples of tools.decode(recording, { sampleRate: MEASURED_RATE, signal })) {
    count += samples.length
    if (bound && secondsOf(count, MEASURED_RATE) > bound.maxSeconds + 1) throw tooLong(bound)
  }
  return count / MEASURED_RATE
}

/** What a server says of the length, wherever it says it. */
function secondsIn(answer: Fields): number | null {
  const usage = answer['usage']
  const said = [answer['duration'], isFields(usage) ? usage['seconds'] : null]
  for (const value of said) {
    const seconds = typeof value === 'string' && value !== '' ? Number(value) : value
    if (typeof seconds === 'number' && Number.isFinite(seconds) && seconds > 0) return seconds
  }
  return null
}

function transcriptIn(answer: Fields, seconds: number): AsrPart {
  const text = textIn(answer, 'text').trim()
  // The API's own shape has them under `timestamps`, OpenAI's beside the text.
  const own = isFields(answer['timestamps']) ? answer['timestamps'] : {}
  const segments = timed(answer['segments'] ?? own['segment'], 'text').map(
    ([said, start, end]): Segment => ({ text: said.trim(), start, end }),
  )
  const words = timed(answer['words'] ?? own['word'], 'word').map(([word, start, end]): Word => ({ word, start, end }))
  const language = textIn(answer, 'language')
  return {
    text,
    seconds,
    language: language === '' ? null : language,
    segments: segments.length > 0 || text === '' ? segments : [{ text, start: 0, end: seconds }],
    words,
  }
}

function timed(list: unknown, name: string): (readonly [string, number, number])[] {
  return listIn(list).flatMap((entry) => {
    if (!isFields(entry)) return []
    const { [name]: said, start, end } = entry
    return typeof said === 'string' && typeof start === 'number' && typeof end === 'number' ? [[said, start, end] as const] : []
  })
}

function refused(error: unknown): never {
  throw error instanceof Failure ? asAsr(error) : error
}

/** What a server says against a recording has words of its own in the API. */
function asAsr(failure: Failure): Failure {
  const { code, internal } = failure
  const kept = internal === undefined ? {} : { internal }
  if (code === 'INVALID_REQUEST') return fail('ASR_UPSTREAM_VALIDATION_FAILED', kept)
  if (code === 'INFERENCE_FAILED' && ERRORS[code].retryable && internal?.startsWith('upstream_')) return fail('ASR_UPSTREAM_FAILED', kept)
  return failure
}
