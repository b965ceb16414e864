/** The speech modality: a text in, the sound of it out, piece by piece. */
import type { SpeechFormat } from '../audio.ts'
import type { Bounds, Gauge } from '../modality.ts'
import type { Usage } from '../usage.ts'
import type { SandboxOrders } from './text.ts'

export type TtsRequest = {
  readonly text: string
  /** How many Unicode characters the text has: what is paid for. */
  readonly characters: number
  /** A voice of the model; null leaves it to the model. */
  readonly voice: string | null
  /** 1 is the model's own pace, 2 twice as fast. */
  readonly speed: number
  /** What the caller gets. An engine that makes it itself sends `encoded` parts, every other one samples. */
  readonly format: SpeechFormat
  /** Whether the caller gets the pieces as they come; otherwise it gets all or nothing. */
  readonly stream: boolean
  /** Hints, for models that take them: nobody is refused for one. */
  readonly language: string | null
  /** How the text is to be spoken, in words. */
  readonly style: string | null
  readonly temperature: number | null
  readonly topP: number | null
  /** Orders for the sandbox engine; null outside of tests. */
  readonly sandbox: SandboxOrders | null
}

/**
 * `characters` is how many of the text's characters are spoken with this part: their sum is at most the text's own. All parts
 * of a run are of one kind, and samples of one rate.
 */
export type TtsPart =
  | { readonly type: 'samples'; readonly samples: Int16Array; readonly sampleRate: number; readonly characters: number }
  | { readonly type: 'encoded'; readonly bytes: Buffer; readonly characters: number }

/** Unicode characters, of which some are two UTF-16 units. */
export function countCharacters(text: string): number {
  let pairs = 0
  for (let at = 0; at < text.length - 1; at++)
    if (isHigh(text.charCodeAt(at)) && isLow(text.charCodeAt(at + 1))) {
      pairs++
      at++
    }
  return text.length - pairs
}

/** A sentence is spoken in one go; a longer one is cut where it can be breathed. */
const LONGEST_SENTENCE = 300

/**
 * The sentences of a text, in order; joined, they are the text. What a local engine speaks one after the other, so that the
 * first can be heard while the others are still made.
 */
export function sentencesOf(text: string): string[] {
  const sentences: string[] = []
  for (const { segment } of new Intl.Segmenter(undefined, { granularity: 'sentence' }).segment(text)) {
    let rest = segment
    while (rest.length > LONGEST_SENTENCE) {
      const at = breathOf(rest)
      sentences.push(rest.slice(0, at))
      rest = rest.slice(at)
    }
    sentences.push(rest)
  }
  return sentences
}

/** Where a sentence that is too long is cut: after a comma, or between words, or anywhere but within a character. */
function breathOf(sentence: string): number {
  const start = sentence.slice(0, LONGEST_SENTENCE)
  for (const sign of [', ', '; ', ': ', '、', '，', ' ']) {
    const at = start.lastIndexOf(sign)
    if (at > LONGEST_SENTENCE / 4) return at + sign.length
  }
  return isHigh(start.charCodeAt(LONGEST_SENTENCE - 1)) ? LONGEST_SENTENCE - 1 : LONGEST_SENTENCE
}

const isHigh = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdbff
const isLow = (unit: number): boolean => unit >= 0xdc00 && unit <= 0xdfff

export const ttsGauge: Gauge<TtsRequest, TtsPart> = {
  unit: 'character',
  ceiling: ({ characters }: TtsRequest): Usage => ({ character: characters }),
  /** Half a text is not what was asked for: it is spoken whole or not begun. */
  floor: (request: TtsRequest, bounds: Bounds): Usage => ttsGauge.ceiling(request, bounds),
  fit: (request: TtsRequest): TtsRequest => request,
  weight: () => 0,
  opening: () => ({}),
  tally: ({ characters }: TtsPart): number => characters,
}
