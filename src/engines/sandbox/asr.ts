/**
 * The sandbox's transcripts: it listens where there is sound and counts, two words a second. The same recording has the same
 * transcript in every format, because a format changes a recording's sound a little and its length hardly.
 */
import { type AudioTools, heardOf } from '../../core/audio.ts'
import type { Ability } from '../../core/engine.ts'
import { fail } from '../../core/errors.ts'
import { type AsrPart, type Segment, type Word, silent, tooLong } from '../../core/modalities/asr.ts'
import { Course, failureOf, stopIfAborted } from './course.ts'
import { ORDERED } from './orders.ts'

const SAMPLE_RATE = 16_000
/** How finely it is listened. */
const FRAME = SAMPLE_RATE / 50
/** Quieter than this, of 1, is silence. */
const QUIET = 0.004
/** A shorter rest is none; a longer stretch of sound is cut. */
const REST_SECONDS = 0.4
const LONGEST_SEGMENT_SECONDS = 30
const WORD_SECONDS = 0.5
const NUMBERS = ['one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten', 'eleven', 'twelve']

export const sandboxAsr = (tools: Pick<AudioTools, 'decoder'>): Ability<'asr'> => ({
  refuses: () => null,

  async run(task, sink) {
    const { request, signal } = task
    const orders = request.sandbox ?? {}
    const course = new Course(task)
    stopIfAborted(signal)
    await course.rest(orders.delayMs ?? 0)
    if (orders.status !== undefined) throw failureOf(orders.status)
    if (orders.dieAfter !== undefined) throw fail('INFERENCE_FAILED', { internal: ORDERED })
    if (orders.stallAfter !== undefined) await course.stall()
    const ear = new Ear()
    for await (const samples of heardOf(request.recording, tools, { sampleRate: SAMPLE_RATE, signal })) {
      ear.hear(samples)
      // A format may add some hundredths of a second to the recording.
      if (ear.seconds > request.maxSeconds + 1) throw tooLong(request)
    }
    const { words, language } = await request.wishes()
    const transcript = transcriptOf(ear, language)
    await sink([words ? transcript : { ...transcript, words: [] }])
    return { usage: { audioSecond: Math.min(request.maxSeconds, Math.max(1, Math.ceil(ear.seconds))) } }
  },
})

/** Where there is sound: pairs of seconds. */
class Ear {
  #count = 0
  #squares = 0
  readonly stretches: { start: number; end: number }[] = []

  get seconds(): number {
    return this.#count / SAMPLE_RATE
  }

  hear(samples: Int16Array): void {
    for (const sample of samples) {
      this.#squares += (sample / 32_768) ** 2
      if (++this.#count % FRAME !== 0) continue
      if (Math.sqrt(this.#squares / FRAME) > QUIET) this.#sound(this.#count / SAMPLE_RATE)
      this.#squares = 0
    }
  }

  #sound(end: number): void {
    const start = end - FRAME / SAMPLE_RATE
    const last = this.stretches.at(-1)
    if (last && start - last.end < REST_SECONDS && end - last.start <= LONGEST_SEGMENT_SECONDS) last.end = end
    else this.stretches.push({ start, end })
  }
}

function transcriptOf(ear: Ear, language: string | null): AsrPart {
  if (ear.stretches.length === 0) throw silent()
  const words: Word[] = []
  const segments: Segment[] = ear.stretches.map(({ start, end }) => {
    const said: string[] = []
    const count = Math.max(1, Math.round((end - start) / WORD_SECONDS))
    for (let at = 0; at < count; at++) {
      const word = NUMBERS[words.length % NUMBERS.length] ?? ''
      said.push(word)
      words.push({ word, start: rounded(start + ((end - start) * at) / count), end: rounded(start + ((end - start) * (at + 1)) / count) })
    }
    const text = said.join(' ')
    return { text: `${text.charAt(0).toUpperCase()}${text.slice(1)}.`, start: rounded(start), end: rounded(end) }
  })
  const text = segments.map((segment) => segment.text).join(' ')
  return { text, seconds: rounded(ear.seconds), language, segments, words }
}

const rounded = (seconds: number): number => Math.round(seconds * 100) / 100
