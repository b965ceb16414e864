/** Recordings: the formats they come and go in, and the port to what makes samples of bytes and bytes of samples. */
import type { Signal } from './cancel.ts'
import type { Upload } from './upload.ts'

/** What speech can be asked for as: the words of `response_format`. */
export const SPEECH_FORMATS = ['mp3', 'opus', 'aac', 'flac', 'wav', 'pcm'] as const
export type SpeechFormat = (typeof SPEECH_FORMATS)[number]

/** What a recording may come as, told by its first bytes. `m4a` is every file of the MP4 family. */
export const CONTAINERS = ['wav', 'flac', 'mp3', 'm4a', 'aac', 'ogg', 'webm'] as const
export type Container = (typeof CONTAINERS)[number]

/** A recording as somebody sends it: opaque to everybody but the decoder. */
export type Recording = {
  readonly container: Container
  readonly file: Upload
}

/** Makes a file of samples, piece by piece. To be ended or left exactly once; rejects with a `Failure`. */
export type SpeechEncoder = {
  encode(samples: Int16Array): Promise<Buffer>
  /** What is still due. */
  end(): Promise<Buffer>
  /** Lets go of an encoder that is not to be ended. */
  leave(): void
}

/** Makes samples of one channel of a file, piece by piece. To be left exactly once; rejects with a `Failure`. */
export type RecordingDecoder = {
  /**
   * What can be heard now that these bytes have come, some seconds at a time; more is decoded only when it is asked for, and
   * all of it is to be asked for before the next piece. Null where no more bytes come.
   */
  decode(bytes: Buffer | null): AsyncGenerator<Int16Array, void, undefined>
  leave(): void
}

export type DecodeOptions = {
  /** The rate that the samples are wanted at. */
  readonly sampleRate: number
  readonly signal: Signal
}

export type AudioTools = {
  /** Speech of one channel at this rate becomes a file of this format. */
  encoder(format: SpeechFormat, sampleRate: number, signal: Signal): Promise<SpeechEncoder>
  /**
   * A decoder of files of this container. It throws `ASR_UPSTREAM_VALIDATION_FAILED` for what cannot be decoded, and the signal's
   * reason when that is aborted.
   */
  decoder(container: Container, options: DecodeOptions): Promise<RecordingDecoder>
  /** Ends what works for it. */
  close(): Promise<void>
}

/** A recording as samples of one channel, some seconds at a time, while it comes. Throws as its decoder does. */
export async function* heardOf(
  { container, file }: Recording,
  tools: Pick<AudioTools, 'decoder'>,
  options: DecodeOptions,
): AsyncGenerator<Int16Array, void, undefined> {
  const decoder = await tools.decoder(container, options)
  try {
    for await (const bytes of file.read(options.signal)) yield* decoder.decode(bytes)
    yield* decoder.decode(null)
  } finally {
    decoder.leave()
  }
}
