/** `POST /audio/speech`: a text to the sound of it, whole or as it is spoken. */
import { z } from 'zod'
import { completeWav } from '../../audio/wav.ts'
import { type AudioTools, SPEECH_FORMATS, type SpeechEncoder, type SpeechFormat } from '../../core/audio.ts'
import type { Signal } from '../../core/cancel.ts'
import { fail } from '../../core/errors.ts'
import { type TtsPart, type TtsRequest, countCharacters } from '../../core/modalities/tts.ts'
import { type AnyEndpoint, endpoint } from '../endpoint.ts'
import { formatOf, voiceOf } from './voice.ts'

const MAX_INPUT = 4_096
const MAX_VOICE = 512
const MAX_PROMPT = 500

const body = z.strictObject({
  model: z.string().min(1).max(512).optional().describe('A speech model, a trait or a compatibility name; `default` where it is left out.'),
  input: z.string().min(1).max(MAX_INPUT).describe('The text to be spoken.'),
  voice: z
    .string()
    .min(1)
    .max(MAX_VOICE)
    .nullish()
    .describe('A voice of the model, as its listing has them. `nova` means `af_nova` where there is one.'),
  response_format: z
    .enum(SPEECH_FORMATS)
    .nullish()
    .describe('`mp3` unless the model says otherwise. `pcm`: 16-bit samples of one channel, little-endian.'),
  speed: z.number().min(0.25).max(4).nullish().describe('1 is the pace of the voice.'),
  streaming: z.boolean().nullish().describe('Send each sentence when it is spoken, instead of the whole file at the end.'),
  stream_format: z.literal('audio').nullish().describe('OpenAI’s word for `streaming`.'),
  language: z.string().min(2).max(32).nullish().describe('A hint for models that take one; others ignore it.'),
  prompt: z.string().max(MAX_PROMPT).nullish().describe('How to speak, for models that take it; others ignore it.'),
  instructions: z.string().max(MAX_PROMPT).nullish().describe('OpenAI’s word for `prompt`.'),
  temperature: z.number().min(0).max(2).nullish().describe('For models that take it; others ignore it.'),
  top_p: z.number().min(0).max(1).nullish().describe('For models that take it; others ignore it.'),
  user: z.string().nullish().describe('Accepted and dropped.'),
})
type Body = z.infer<typeof body>

const CONTENT_TYPES: Readonly<Record<SpeechFormat, string>> = {
  mp3: 'audio/mpeg',
  opus: 'audio/opus',
  aac: 'audio/aac',
  flac: 'audio/flac',
  wav: 'audio/wav',
  pcm: 'audio/pcm',
}

export const speech = (tools: AudioTools): AnyEndpoint =>
  endpoint<undefined, Body>({
    method: 'POST',
    path: '/audio/speech',
    tag: 'Audio',
    summary: 'Speak a text',
    description:
      'Answers with a sound file. With `streaming` it comes sentence by sentence, the first while the others are still being spoken; a file whose ' +
      'speech fails in the middle is then cut off, and only what was sent is paid. Without it the file comes whole or not at all.',
    scope: 'INFERENCE',
    body,
    answers: Object.fromEntries(Object.values(CONTENT_TYPES).map((type) => [type, { description: 'The sound.' }])),
    example: {
      body: { model: 'sandbox-tts', input: 'Good morning. It is a fine day.', voice: 'af_sky', response_format: 'mp3' },
      answer: '(bytes of an MP3 file)',
    },
    errors: ['MODEL_NOT_FOUND', 'MODEL_SUNSET'],

    handle({ body: asked }, desk) {
      const { model, orders } = desk.model('tts', asked.model ?? 'default')
      const format = formatOf(model, asked.response_format ?? undefined)
      const stream = asked.streaming ?? typeof asked.stream_format === 'string'
      const request: TtsRequest = {
        text: asked.input,
        characters: countCharacters(asked.input),
        voice: voiceOf(model, asked.voice ?? undefined),
        speed: asked.speed ?? 1,
        format,
        stream,
        language: asked.language ?? null,
        style: asked.prompt ?? asked.instructions ?? null,
        temperature: asked.temperature ?? null,
        topP: asked.top_p ?? null,
        sandbox: orders,
      }
      const contentType = CONTENT_TYPES[format]
      const speak = (send: (bytes: Buffer) => void | Promise<void>): Promise<void> =>
        file(tools, format, desk.signal, send, (sink) => desk.run('tts', model, request, sink))
      if (stream) {
        desk.envelope.stream = true
        return { type: 'stream', contentType, write: (out) => speak((bytes) => out.send(bytes)) }
      }
      return whole(speak).then((bytes) => ({ type: 'bytes', contentType, body: format === 'wav' ? completeWav(bytes) : bytes }))
    },
  })

async function whole(speak: (send: (bytes: Buffer) => void) => Promise<void>): Promise<Buffer> {
  const pieces: Buffer[] = []
  await speak((bytes) => void pieces.push(bytes))
  return Buffer.concat(pieces)
}

/** Runs the speech and sends the file that its parts make. */
async function file(
  tools: AudioTools,
  format: SpeechFormat,
  signal: Signal,
  send: (bytes: Buffer) => void | Promise<void>,
  run: (sink: (parts: readonly TtsPart[]) => Promise<void>) => Promise<unknown>,
): Promise<void> {
  let encoder: SpeechEncoder | null = null
  let sent = false
  const deliver = async (bytes: Buffer): Promise<void> => {
    if (bytes.length === 0) return
    sent = true
    await send(bytes)
  }
  try {
    await run(async (parts) => {
      for (const part of parts) {
        if (part.type === 'encoded') await deliver(part.bytes)
        else {
          encoder ??= await tools.encoder(format, part.sampleRate, signal)
          await deliver(await encoder.encode(part.samples))
        }
      }
    })
    // It is assigned in the sink above, which the compiler does not see.
    const last = encoder as SpeechEncoder | null
    encoder = null
    if (last) await deliver(await last.end())
  } finally {
    // As above: what was not ended is left.
    ;(encoder as SpeechEncoder | null)?.leave()
  }
  if (!sent) throw fail('INFERENCE_FAILED', { internal: 'no_speech' })
}
