/** AAC whose frames stand for themselves (ADTS), by FFmpeg's encoder as WebAssembly. Runs in the codecs' child. */
import { registerAacEncoder } from '@mediabunny/aac-encoder'
import { AdtsOutputFormat, AudioSample, AudioSampleSource, Output, StreamTarget } from 'mediabunny'

/** Makes bytes of the samples of one channel; called without samples it gives the rest, once. */
export type PieceEncoder = {
  (channels?: Float32Array[]): Promise<Uint8Array>
  /** Lets go of it, at its end or before. */
  free(): void
}

let registered = false

/** `sampleRate` is one that AAC has. */
export async function aacEncoder(sampleRate: number, bitrate: number): Promise<PieceEncoder> {
  if (!registered) registerAacEncoder()
  registered = true
  let made: Uint8Array[] = []
  const taken = (): Uint8Array => {
    const bytes = Buffer.concat(made)
    made = []
    return bytes
  }
  const target = new StreamTarget(new WritableStream({ write: ({ data }) => void made.push(data) }))
  const output = new Output({ format: new AdtsOutputFormat(), target })
  const source = new AudioSampleSource({ codec: 'aac', bitrate })
  output.addAudioTrack(source)
  await output.start()
  let count = 0
  let ended = false
  const encode = async (channels?: Float32Array[]): Promise<Uint8Array> => {
    const [data] = channels ?? []
    if (data) {
      const sample = new AudioSample({ data, format: 'f32', numberOfChannels: 1, sampleRate, timestamp: count / sampleRate })
      await source.add(sample)
      sample.close()
      count += data.length
    } else if (!ended) {
      ended = true
      await output.finalize()
    }
    return taken()
  }
  const free = (): void => {
    if (ended) return
    ended = true
    // What it has made is thrown away; how that ends is nobody's business.
    output.cancel().catch(() => undefined)
  }
  return Object.assign(encode, { free })
}
