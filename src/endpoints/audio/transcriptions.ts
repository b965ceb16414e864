/** `POST /audio/transcriptions`: what is said in a recording, as text or with the times of it. */
import { z } from 'zod'
import { containerOf, lengthOf } from '../../audio/recognise.ts'
import { completeWav, wavHead } from '../../audio/wav.ts'
import type { Recording } from '../../core/audio.ts'
import { fail, failField } from '../../core/errors.ts'
import { type AsrPart, type AsrRequest, tooLong } from '../../core/modalities/asr.ts'
import { type AnyEndpoint, type FormFile, type Reply, endpoint, json } from '../endpoint.ts'
import { srtOf, timestampsOf, verboseOf, vttOf } from './transcript.ts'

const MAX_FILE_BYTES = 25 * 1024 * 1024
/** What is compressed well may be longer than anybody means. */
const LONGEST_SECONDS = 4 * 60 * 60

/** Fields of a form are texts. */
const yesNo = z.enum(['true', 'false'])
const body = z.strictObject({
  model: z
    .string()
    .min(1)
    .max(512)
    .optional()
    .describe('A transcription model, a trait or a compatibility name; `default` where it is left out.'),
  response_format: z.enum(['json', 'text', 'srt', 'verbose_json', 'vtt']).optional().describe('`json` where it is left out.'),
  timestamps: yesNo.optional().describe('Add `timestamps` to `json`: the times of segments, words and characters.'),
  'timestamp_granularities[]': z
    .array(z.enum(['word', 'segment']))
    .min(1)
    .max(2)
    .optional()
    .describe('For `verbose_json`: of what it has the times. `segment` where it is left out.'),
  language: z.string().min(2).max(32).optional().describe('ISO 639-1 code, for models that take one; others find out.'),
  prompt: z.string().max(4_096).optional().describe('Words to be expected, for models that take them; others ignore it.'),
  temperature: z
    .string()
    .regex(/^(0|1|0?\.\d{1,6}|[01]\.\d{1,6})$/, 'must be a number from 0 to 1')
    .optional()
    .describe('For models that take it; others ignore it.'),
  stream: z.literal('false', 'is not supported here: the transcript comes whole').optional().describe('Transcripts come whole.'),
  user: z.string().optional().describe('Accepted and dropped.'),
})
type Body = z.infer<typeof body>

const time = { start: z.number(), end: z.number() }
const answer = z.object({
  text: z.string(),
  duration: z.number().optional().describe('Of the recording, in seconds.'),
  timestamps: z
    .object({
      word: z.array(z.object({ word: z.string(), ...time })).optional(),
      segment: z.array(z.object({ text: z.string(), ...time })).optional(),
      char: z.array(z.object({ char: z.string(), ...time })).optional(),
    })
    .optional()
    .describe('With `timestamps`.'),
  task: z.literal('transcribe').optional().describe('This and the rest: of `verbose_json`.'),
  language: z.string().optional(),
  words: z.array(z.object({ word: z.string(), ...time })).optional(),
  segments: z
    .array(z.object({ id: z.int(), seek: z.number(), ...time, text: z.string(), tokens: z.array(z.int()), temperature: z.number() }))
    .optional(),
})

export const transcriptions = (): AnyEndpoint =>
  endpoint<undefined, Body>({
    method: 'POST',
    path: '/audio/transcriptions',
    tag: 'Audio',
    summary: 'Write down what is said in a recording',
    description:
      'Takes WAV, FLAC, MP3, M4A, AAC, MP4, OGG and WEBM of up to 25 MB, told by their first bytes, whatever their name. The file is kept in memory only, ' +
      'and only until the answer. Paid by the second of the recording, a begun one counted.',
    scope: 'INFERENCE',
    form: { file: 'file', maxBytes: MAX_FILE_BYTES },
    body,
    answers: {
      'application/json': { description: 'The transcript.', schema: answer },
      'text/plain': { description: 'With `text`, `srt` and `vtt`.' },
    },
    example: {
      body: { model: 'sandbox-asr' },
      file: { name: 'tone.wav', bytes: exampleFile() },
      answer: { text: 'One two.', duration: 1 },
    },
    errors: ['MODEL_NOT_FOUND', 'MODEL_SUNSET', 'INVALID_AUDIO_FORMAT', 'ASR_UPSTREAM_VALIDATION_FAILED', 'ASR_UPSTREAM_FAILED'],

    async handle({ body: asked, file }, desk) {
      const recording = recordingIn(file ?? null)
      const { model, orders } = desk.model('asr', asked.model ?? 'default')
      const { atMost, exact } = lengthOf(recording)
      const maxSeconds = Math.min(atMost, LONGEST_SECONDS)
      if (exact && atMost > LONGEST_SECONDS) throw tooLong({ maxSeconds, short: false })
      const format = asked.response_format ?? 'json'
      const timestamps = asked.timestamps === 'true'
      const granularities = asked['timestamp_granularities[]'] ?? ['segment']
      const request: AsrRequest = {
        recording,
        maxSeconds,
        short: false,
        words: timestamps || granularities.includes('word'),
        language: asked.language ?? null,
        hint: asked.prompt ?? null,
        temperature: asked.temperature === undefined ? null : Number(asked.temperature),
        sandbox: orders,
      }
      let transcript: AsrPart | null = null
      const { usage } = await desk.run('asr', model, request, ([part]) => {
        transcript = part ?? null
      })
      // It is assigned in the sink above, which the compiler does not see.
      const done = transcript as AsrPart | null
      if (!done) throw fail('ASR_UPSTREAM_FAILED', { internal: 'no_transcript' })
      const seconds = done.seconds ?? usage.audioSecond ?? 0
      const more = { words: granularities.includes('word') || timestamps, segments: granularities.includes('segment') }
      return replyOf(done, format, seconds, timestamps, more)
    },
  })

function replyOf(
  transcript: AsrPart,
  format: NonNullable<Body['response_format']>,
  seconds: number,
  timestamps: boolean,
  more: { readonly words: boolean; readonly segments: boolean },
): Reply {
  const { text, segments } = transcript
  switch (format) {
    case 'json':
      return json({ text, duration: seconds, ...(timestamps && { timestamps: timestampsOf(transcript) }) })
    case 'verbose_json':
      return json(verboseOf(transcript, seconds, more))
    case 'text':
      return plain(text)
    case 'srt':
      return plain(srtOf(segments))
    case 'vtt':
      return plain(vttOf(segments))
  }
}

const plain = (text: string): Reply => ({ type: 'text', contentType: 'text/plain; charset=utf-8', body: text })

/** Throws a 400 where there is none, or none that can be read here, and a 422 for an empty one. */
function recordingIn(file: FormFile | null): Recording {
  if (!file) throw failField('file', 'is needed: send the recording as a part of the form with a filename')
  if (file.bytes.length === 0)
    throw fail('ASR_UPSTREAM_VALIDATION_FAILED', { say: 'The audio could not be processed: the file is empty', param: 'file' })
  const container = containerOf(file.bytes)
  if (!container) throw fail('INVALID_AUDIO_FORMAT', { param: 'file' })
  return { container, bytes: file.bytes }
}

/** A second of a tone, for whoever tries this without a recording. */
function exampleFile(): Buffer {
  const rate = 8_000
  const samples = Buffer.alloc(rate * 2)
  for (let at = 0; at < rate; at++) samples.writeInt16LE(Math.round(8_000 * Math.sin((at / rate) * 2 * Math.PI * 440)), at * 2)
  return completeWav(Buffer.concat([wavHead(rate, null), samples]))
}
