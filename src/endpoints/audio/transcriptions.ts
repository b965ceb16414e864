/** `POST /audio/transcriptions`: what is said in a recording, as text or with the times of it. */
import { z } from 'zod'
import { containerOf, mostSecondsOf } from '../../audio/recognise.ts'
import { completeWav, wavHead } from '../../audio/wav.ts'
import type { Recording } from '../../core/audio.ts'
import { fail, failField } from '../../core/errors.ts'
import type { AsrPart, AsrRequest, AsrWishes } from '../../core/modalities/asr.ts'
import type { Upload } from '../../core/upload.ts'
import { type AnyEndpoint, type Reply, endpoint, json } from '../endpoint.ts'
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
      'Takes WAV, FLAC, MP3, M4A, AAC, MP4, OGG and WEBM of up to 25 MB, told by their first bytes, whatever their name. The file is never written ' +
      'to a disk. Where `model` stands before the file, it is transcribed while it is sent; elsewhere it is kept in memory until the form ends. ' +
      'Paid by the second of the recording, a begun one counted.',
    scope: 'INFERENCE',
    form: { file: 'file', maxBytes: MAX_FILE_BYTES, first: 'model' },
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

    async handle({ body: known, form }, desk) {
      if (!form?.file) throw failField('file', 'is needed: send the recording as a part of the form with a filename')
      const recording = recordingIn(form.file)
      const { model, orders } = desk.model('asr', known.model ?? 'default')
      const request: AsrRequest = {
        recording,
        maxSeconds: Math.min(mostSecondsOf(recording), LONGEST_SECONDS),
        short: false,
        wishes: () => form.all().then(wishesIn),
        sandbox: orders,
      }
      let transcript: AsrPart | null = null
      const { usage } = await desk.run('asr', model, request, ([part]) => {
        transcript = part ?? null
      })
      // It is assigned in the sink above, which the compiler does not see.
      const done = transcript as AsrPart | null
      if (!done) throw fail('ASR_UPSTREAM_FAILED', { internal: 'no_transcript' })
      return replyOf(done, await form.all(), done.seconds ?? usage.audioSecond ?? 0)
    },
  })

const wishesIn = (asked: Body): AsrWishes => ({
  words: asked.timestamps === 'true' || asked['timestamp_granularities[]']?.includes('word') === true,
  language: asked.language ?? null,
  hint: asked.prompt ?? null,
  temperature: asked.temperature === undefined ? null : Number(asked.temperature),
})

function replyOf(transcript: AsrPart, asked: Body, seconds: number): Reply {
  const { text, segments } = transcript
  const timestamps = asked.timestamps === 'true'
  switch (asked.response_format ?? 'json') {
    case 'json':
      return json({ text, duration: seconds, ...(timestamps && { timestamps: timestampsOf(transcript) }) })
    case 'verbose_json': {
      const granularities = asked['timestamp_granularities[]'] ?? ['segment']
      return json(
        verboseOf(transcript, seconds, {
          words: timestamps || granularities.includes('word'),
          segments: granularities.includes('segment'),
        }),
      )
    }
    case 'text':
      return plain(text)
    case 'srt':
      return plain(srtOf(segments))
    case 'vtt':
      return plain(vttOf(segments))
  }
}

const plain = (text: string): Reply => ({ type: 'text', contentType: 'text/plain; charset=utf-8', body: text })

/** Throws a 400 for what cannot be read here, and a 422 for an empty one. */
function recordingIn(file: Upload): Recording {
  if (file.head.length === 0)
    throw fail('ASR_UPSTREAM_VALIDATION_FAILED', { say: 'The audio could not be processed: the file is empty', param: 'file' })
  const container = containerOf(file.head)
  if (!container) throw fail('INVALID_AUDIO_FORMAT', { param: 'file' })
  return { container, file }
}

/** A second of a tone, for whoever tries this without a recording. */
function exampleFile(): Buffer {
  const rate = 8_000
  const samples = Buffer.alloc(rate * 2)
  for (let at = 0; at < rate; at++) samples.writeInt16LE(Math.round(8_000 * Math.sin((at / rate) * 2 * Math.PI * 440)), at * 2)
  return completeWav(Buffer.concat([wavHead(rate, null), samples]))
}
