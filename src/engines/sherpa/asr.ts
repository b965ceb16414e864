/** Transcription by a transducer, some seconds of the recording at a time. */
import { type AudioTools, heardOf } from '../../core/audio.ts'
import type { Ability } from '../../core/engine.ts'
import { fail } from '../../core/errors.ts'
import { type AsrPart, type AsrRequest, silent, tooLong } from '../../core/modalities/asr.ts'
import type { Loaded, Waits } from '../loaded.ts'
import { type HeardSegment, LISTEN_RATE, heard } from './wire.ts'

let lastId = 0

/** `loaded` gives the model's child, or throws a `Failure` where there is no such model. */
export const asrAbility = (loaded: (model: string) => Loaded, tools: Pick<AudioTools, 'decoder'>): Ability<'asr'> => ({
  refuses: () => null,

  async run({ model, request, signal, firstByteMs, stallMs }, sink) {
    const child = loaded(model)
    const { segments, seconds } = await child.during(() => listen(child, request, { signal, firstByteMs, stallMs }, tools))
    const { words } = await request.wishes()
    await sink([transcriptOf(segments, seconds, words)])
    return { usage: { audioSecond: Math.min(request.maxSeconds, Math.max(1, Math.ceil(seconds))) } }
  },
})

type Heard = { readonly segments: readonly HeardSegment[]; readonly seconds: number }

async function listen(child: Loaded, request: AsrRequest, waits: Waits, tools: Pick<AudioTools, 'decoder'>): Promise<Heard> {
  const id = ++lastId
  const segments: HeardSegment[] = []
  let count = 0
  const hear = async (samples: Int16Array | null): Promise<void> => {
    const bytes = samples && { bytes: new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength) }
    const { value } = await child.call('hear', { id, from: count, last: samples === null }, { ...waits, ...bytes })
    const read = heard.safeParse(value)
    if (!read.success) throw fail('INFERENCE_FAILED', { internal: 'sherpa_malformed' })
    segments.push(...read.data.segments)
    count += samples?.length ?? 0
  }
  try {
    for await (const samples of heardOf(request.recording, tools, { sampleRate: LISTEN_RATE, signal: waits.signal })) {
      // A format may add some hundredths of a second to the recording.
      if ((count + samples.length) / LISTEN_RATE > request.maxSeconds + 1) throw tooLong(request)
      await hear(samples)
    }
    await hear(null)
  } catch (error) {
    // What the child keeps of the recording is given up with it.
    child.tell('forget', { id }, waits.stallMs)
    throw error
  }
  return { segments, seconds: count / LISTEN_RATE }
}

function transcriptOf(segments: readonly HeardSegment[], seconds: number, words: boolean): AsrPart {
  if (segments.length === 0) throw silent()
  return {
    text: segments.map(({ text }) => text).join(' '),
    seconds: Math.round(seconds * 100) / 100,
    language: null,
    segments: segments.map(({ text, start, end }) => ({ text, start, end })),
    words: words ? segments.flatMap((segment) => segment.words) : [],
  }
}
