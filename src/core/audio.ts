/** Recordings: the formats they come and go in, and the port to what makes samples of bytes and bytes of samples. */
import type { Signal } from './cancel.ts'

/** What speech can be asked for as: the words of `response_format`. */
export const SPEECH_FORMATS = ['mp3', 'opus', 'aac', 'flac', 'wav', 'pcm'] as const
export type SpeechFormat = (typeof SPEECH_FORMATS)[number]

/** What a recording may come as, told by its first bytes. `m4a` is every file of the MP4 family. */
export const CONTAINERS = ['wav', 'flac', 'mp3', 'm4a', 'aac', 'ogg', 'webm'] as const
export type Container = (typeof CONTAINERS)[number]

/** A recording as somebody sent it: opaque to everybody but the decoder. */
export type Recording = {
  readonly container: Container
  readonly bytes: Buffer
}

/** Makes a file of samples, piece by piece. To be ended or left exactly once; rejects with a `Failure`. */
export type SpeechEncoder = {
  encode(samples: Int16Array): Promise<Buffer>
  /** What is still due. */
  end(): Promise<Buffer>
  /** Lets go of an encoder that is not to be ended. */
  leave(): void
}

export type DecodeOptions = {
  /** The rate that the samples are wanted at. */
  readonly sampleRate: number
  readonly signal: Signal
}

export type AudioTools = {
  /** Whether this machine can make the format at all. */
  makes(format: SpeechFormat): boolean
  /** Speech of one channel at this rate becomes a file of this format. */
  encoder(format: SpeechFormat, sampleRate: number, signal: Signal): Promise<SpeechEncoder>
  /**
   * The recording as one channel, some seconds at a time; more is decoded only when it is asked for. Throws
   * `ASR_UPSTREAM_VALIDATION_FAILED` for what cannot be decoded, and the signal's reason when that is aborted.
   */
  decode(recording: Recording, options: DecodeOptions): AsyncGenerator<Int16Array, void, undefined>
  /** Ends what works for it. */
  close(): Promise<void>
}

/** Whole seconds that so many samples last, a begun one counted. */
export const secondsOf = (samples: number, sampleRate: number): number => Math.ceil(samples / sampleRate)
