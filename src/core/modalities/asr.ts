/** The transcription modality: a recording in, what is said in it out, with the times where it is said. */
import type { Recording } from '../audio.ts'
import { type Failure, fail } from '../errors.ts'
import type { Gauge } from '../modality.ts'
import type { Usage } from '../usage.ts'
import type { SandboxOrders } from './text.ts'

export type AsrRequest = {
  readonly recording: Recording
  /**
   * The most seconds that may be transcribed: no less than the recording can have, unless not all of it can be paid. An engine
   * that decodes it stops there with `tooLong`.
   */
  readonly maxSeconds: number
  /** Whether `maxSeconds` is what the caller can pay, not what the recording has. */
  readonly short: boolean
  /**
   * How it is to be transcribed. The caller may say so after the recording, so it is to be waited for once that has been read to its
   * end, and not before. Rejects with a 400 where it makes no sense.
   */
  readonly wishes: () => Promise<AsrWishes>
  readonly sandbox: SandboxOrders | null
}

export type AsrWishes = {
  /** Whether the times of words are wanted beyond those of the segments. */
  readonly words: boolean
  /** An ISO 639-1 code, where the caller says. */
  readonly language: string | null
  /** Words that are to be expected, for models that take them. */
  readonly hint: string | null
  readonly temperature: number | null
}

/** Times are in seconds from the beginning of the recording. */
export type Word = { readonly word: string; readonly start: number; readonly end: number }
export type Segment = { readonly text: string; readonly start: number; readonly end: number }

/** A run sends exactly one part, the whole transcript. */
export type AsrPart = {
  readonly text: string
  /** How long the recording is; null where the engine does not say. */
  readonly seconds: number | null
  readonly language: string | null
  readonly segments: readonly Segment[]
  readonly words: readonly Word[]
}

/** What a recording with nothing to hear in it is refused with. */
export const silent = (): Failure =>
  fail('ASR_UPSTREAM_VALIDATION_FAILED', {
    say: 'The audio could not be processed: there is nothing to hear in it',
    internal: 'audio_silent',
  })

/** What a recording that goes on after `maxSeconds` is refused with. */
export const tooLong = ({ short, maxSeconds }: Pick<AsrRequest, 'short' | 'maxSeconds'>): Failure =>
  short
    ? fail('INSUFFICIENT_BALANCE', { internal: 'audio_longer_than_paid' })
    : fail('ASR_UPSTREAM_VALIDATION_FAILED', {
        say: `The audio could not be processed: it is longer than ${maxSeconds} seconds`,
        internal: 'audio_too_long',
      })

/** Less than a second is not worth a run. */
const LEAST_SECONDS = 1

export const asrGauge: Gauge<AsrRequest, AsrPart> = {
  unit: 'audioSecond',
  ceiling: ({ maxSeconds }: AsrRequest): Usage => ({ audioSecond: maxSeconds }),
  floor: ({ maxSeconds }: AsrRequest): Usage => ({ audioSecond: Math.min(LEAST_SECONDS, maxSeconds) }),

  fit(request: AsrRequest, _bounds, affords: (ceiling: Usage) => boolean): AsrRequest {
    let fits = LEAST_SECONDS
    // Prices only grow with the length, so half of what is left can be ruled out each time.
    for (let tooLong = request.maxSeconds + 1; tooLong - fits > 1; ) {
      const middle = Math.floor((fits + tooLong) / 2)
      if (affords({ audioSecond: middle })) fits = middle
      else tooLong = middle
    }
    return { ...request, maxSeconds: fits, short: true }
  },

  repeatable: ({ recording }: AsrRequest): boolean => recording.file.fromStart,
  weight: () => 0,
  opening: () => ({}),
  tally: ({ seconds }: AsrPart): number => Math.ceil(seconds ?? 0),
}
