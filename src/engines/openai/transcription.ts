/** Transcription over an OpenAI-compatible server. */
import { randomBytes } from 'node:crypto'
import type { AudioTools, Recording } from '../../core/audio.ts'
import type { Signal } from '../../core/cancel.ts'
import type { Ability } from '../../core/engine.ts'
import { ERRORS, Failure, fail } from '../../core/errors.ts'
import type { AsrPart, Segment, Word } from '../../core/modalities/asr.ts'
import type { Egress } from '../egress.ts'
import { type Fields, isFields, listIn, parseFields, textIn } from '../fields.ts'
import { errorInBody } from '../upstream-error.ts'
import { AsrForm } from './asr-form.ts'
import type { AudioDialect } from './request.ts'
import { Ruler } from './ruler.ts'

/** `tools` measure what a server does not say; without them its length is what it was held for. */
export function transcriptionAbility(egress: Egress, { unsupported, audioWords }: AudioDialect, tools: AudioTools | null): Ability<'asr'> {
  // Callers cannot know it, so no recording can hold it.
  const boundary = `rialto-${randomBytes(16).toString('hex')}`
  const verbose = audioWords === 'openai' && !unsupported.has('verbose_json')
  /** Whether the server says how long a recording was, as it did last time: then the next one need not be measured. */
  let tells = verbose || audioWords === 'venice'
  return {
    refuses: () => null,

    async run({ model, request, signal, firstByteMs, stallMs }, sink) {
      const { recording, maxSeconds, short } = request
      const ruler = tools && (short || !tells) ? await Ruler.open(recording.container, tools, signal, short) : null
      try {
        const form = new AsrForm(boundary, model, request, { words: audioWords, verbose }, signal, ruler)
        const { body: answered } = await egress
          .collect({
            method: 'POST',
            path: '/audio/transcriptions',
            accept: 'application/json',
            contentType: `multipart/form-data; boundary=${boundary}`,
            body: unsupported.has('chunked') ? await form.whole() : await form.stream(),
            signal,
            firstByteMs,
            stallMs,
          })
          .catch(refused)
        const answer = parseFields(answered.toString('utf8'))
        if (answer['error'] !== undefined && answer['error'] !== null) throw asAsr(errorInBody(answer['error']))
        const said = secondsIn(answer)
        tells = said !== null
        const seconds = said ?? ruler?.seconds ?? (tools ? await afterwards(recording, tools, signal, answer) : maxSeconds)
        await sink([transcriptIn(answer, seconds)])
        return { usage: { audioSecond: Math.max(1, Math.ceil(seconds)) } }
      } finally {
        ruler?.leave()
      }
    },
  }
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

/** The length of what has gone: measured where it is still there, else where the last that was understood ends. Nobody pays for more. */
async function afterwards(recording: Recording, tools: AudioTools, signal: Signal, answer: Fields): Promise<number> {
  const measured = recording.file.fromStart ? await Ruler.lengthOf(recording, tools, signal) : null
  return measured ?? transcriptIn(answer, 0).segments.reduce((most, { end }) => Math.max(most, end), 0)
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
    return typeof said === 'string' && isTime(start) && isTime(end) ? [[said, start, end] as const] : []
  })
}

/** JSON has numbers that are larger than any; what is charged is made of these. */
const isTime = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value)

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
