/** What the gateway and a sherpa child say to each other. Sound is 16-bit samples of one channel. */
import { z } from 'zod'

/** The rate that transducers listen at. */
export const LISTEN_RATE = 16_000

/** What a child is started with, as JSON in its only argument. */
export const childStart = z.object({
  modality: z.enum(['tts', 'asr']),
  file: z.string(),
  /** By role: `voices tokens data lexiconUs lexiconZh dict` of a voice, `encoder decoder joiner tokens vad` of a listener. */
  others: z.record(z.string(), z.string()),
  threads: z.int().min(1),
})
export type ChildStart = z.infer<typeof childStart>

/** What a child says of itself once it is ready; a listener has no speakers. */
export const childInfo = z.object({ speakers: z.int().nonnegative(), sampleRate: z.int().positive() })

/** `speak`: one sentence in, its samples out. */
export const speakBody = z.object({ text: z.string(), speaker: z.int().nonnegative(), speed: z.number().positive() })

/**
 * `hear`: some seconds of a recording in, and how many samples of it came before them; `last` once there are no more. What became
 * whole of it comes out. `forget` ends it early.
 */
export const hearBody = z.object({ id: z.int(), from: z.int().nonnegative(), last: z.boolean() })
export const forgetBody = z.object({ id: z.int() })

const times = { start: z.number(), end: z.number() }
export const heard = z.object({
  segments: z.array(z.object({ text: z.string(), ...times, words: z.array(z.object({ word: z.string(), ...times })) })),
})
export type Heard = z.infer<typeof heard>
export type HeardSegment = Heard['segments'][number]
