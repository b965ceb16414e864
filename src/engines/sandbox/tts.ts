/**
 * The sandbox's speech: a tone per character, high or low by the letter, and rests where a voice would rest. The same text sounds
 * the same every time, so a client can be tried against every format offline.
 */
import type { Finish, Sink } from '../../core/call.ts'
import type { Ability, Task } from '../../core/engine.ts'
import { fail } from '../../core/errors.ts'
import { type TtsPart, type TtsRequest, countCharacters, sentencesOf } from '../../core/modalities/tts.ts'
import { Course, failureOf, stopIfAborted } from './course.ts'
import { hashOf } from './hash.ts'
import { ORDERED } from './orders.ts'

const SAMPLE_RATE = 24_000
/** At the pace 1. */
const MS_PER_CHARACTER = 60
const LOUDNESS = 0.3
/** After a sentence, at the pace 1. */
const REST_MS = 500
/** Tones begin and end softly, or they would click. */
const FADE_SECONDS = 0.004
const LOWEST_HZ = 180
const SEMITONES = 24

/** Another way to speak a sentence: a voice that is installed. */
export type Speaker = (
  sentence: string,
  request: TtsRequest,
  task: Task<TtsRequest>,
) => Promise<{ samples: Int16Array; sampleRate: number } | null>

export const sandboxTts = (speaker: Speaker | null = null): Ability<'tts'> => ({
  refuses: () => null,
  run: (task, sink) => run(task, sink, speaker),
})

/** Sentence by sentence, each in a part of its own. Orders count in parts. */
async function run(task: Task<TtsRequest>, sink: Sink<TtsPart>, speaker: Speaker | null): Promise<Finish> {
  const { request, signal } = task
  const orders = request.sandbox ?? {}
  const course = new Course(task)
  stopIfAborted(signal)
  await course.rest(orders.delayMs ?? 0)
  if (orders.status !== undefined) throw failureOf(orders.status)
  const sentences = sentencesOf(request.text)
  let voice = speaker
  for (let sent = 0; ; sent++) {
    if (orders.dieAfter === sent) throw fail('INFERENCE_FAILED', { internal: ORDERED })
    if (orders.stallAfter === sent) await course.stall()
    const sentence = sentences[sent]
    if (sentence === undefined) break
    if (sent > 0 && orders.intervalMs) await course.rest(orders.intervalMs)
    stopIfAborted(signal)
    const said = voice === null ? null : await voice(sentence, request, task)
    // It is installed or it is not: a text is not spoken half by a voice and half by tones.
    if (said === null && sent === 0) voice = null
    const spoken = said ?? { samples: tonesOf(sentence, request), sampleRate: SAMPLE_RATE }
    // Who gets all or nothing has nothing to pay before the end.
    const characters = request.stream ? countCharacters(sentence) : 0
    await sink([{ type: 'samples', ...spoken, characters }])
    course.heard()
    // Others get their turn between two sentences.
    await new Promise(setImmediate)
  }
  return { usage: { character: request.characters } }
}

export function tonesOf(sentence: string, { speed, voice }: Pick<TtsRequest, 'speed' | 'voice'>): Int16Array {
  const length = Math.round((SAMPLE_RATE * MS_PER_CHARACTER) / 1000 / speed)
  const fade = Math.min(length / 2, SAMPLE_RATE * FADE_SECONDS)
  const shift = voice === null ? 0 : hashOf(voice) % 7
  const characters = Array.from(sentence)
  const samples = new Int16Array(characters.length * length + Math.round((SAMPLE_RATE * REST_MS) / 1000 / speed))
  for (const [at, character] of characters.entries()) {
    if (!/[\p{L}\p{N}]/u.test(character)) continue
    const hz = LOWEST_HZ * 2 ** ((((character.toLowerCase().codePointAt(0) ?? 0) + shift) % SEMITONES) / 12)
    for (let n = 0; n < length; n++) {
      const soft = Math.min(1, n / fade, (length - n) / fade)
      samples[at * length + n] = Math.round(32_767 * LOUDNESS * soft * Math.sin((n / SAMPLE_RATE) * 2 * Math.PI * hz))
    }
  }
  return samples
}
