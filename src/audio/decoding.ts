/** A recording → samples of one channel at a wanted rate, some seconds at a time. Runs in the codecs' child. */
import type { Container } from '../core/audio.ts'
import { Mp4Order } from './mp4.ts'
import { Resampler } from './resampler.ts'
import { integersOf } from './samples.ts'

/** What a decoder is given at once: little of what can become a thousand times as much. */
const FEED_BYTES = 16 * 1024
const SQUEEZED_FEED_BYTES = 2 * 1024
const SQUEEZED: ReadonlySet<Container> = new Set(['flac', 'ogg', 'webm'])
/** What is looked at to tell what is inside of an Ogg file. */
const FIRST_BYTES = 36
/** Rates that recordings have. The filter of another one would be endless. */
const LOWEST_RATE = 1_000
const HIGHEST_RATE = 768_000
/** About how much is decoded before it is handed over. */
const SECONDS_AT_ONCE = 10

type Decoded = { readonly channelData: readonly Float32Array[]; readonly sampleRate: number }

/** What all decoders are like; some have nothing to give at the end. */
type Decoder = {
  decode(bytes: Uint8Array): Decoded | Promise<Decoded>
  flush?(): Decoded | Promise<Decoded>
  free(): void
}

export class Decoding {
  readonly #container: Container
  readonly #sampleRate: number
  readonly #feedBytes: number
  readonly #mp4: Mp4Order | null
  /** Bytes that have come and were not decoded yet. */
  #bytes: Buffer = Buffer.alloc(0)
  /** Samples that were made and are too few to be handed over. */
  #made: Float32Array[] = []
  #count = 0
  #decoder: Decoder | null = null
  #resampler: Resampler | null = null
  #whole = false
  #ended = false

  constructor(container: Container, sampleRate: number) {
    this.#container = container
    this.#sampleRate = sampleRate
    this.#feedBytes = SQUEEZED.has(container) ? SQUEEZED_FEED_BYTES : FEED_BYTES
    this.#mp4 = container === 'm4a' ? new Mp4Order() : null
  }

  /**
   * Takes more of the file, `last` once all of it has come. Gives some seconds of it, and the more of them when it is asked again
   * without bytes; null where there is nothing to give but for more bytes. Throws for what cannot be decoded.
   */
  async next(bytes: Buffer | null, last: boolean): Promise<Int16Array | null> {
    if (bytes !== null) this.#add(this.#mp4 ? this.#mp4.feed(bytes) : bytes)
    if (last && !this.#whole) {
      this.#whole = true
      if (this.#mp4) this.#add(this.#mp4.end())
    }
    while (!this.#ended && this.#count < SECONDS_AT_ONCE * this.#sampleRate && (await this.#step())) {
      // What is cancelled meanwhile, and other recordings, get their turn.
      await new Promise(setImmediate)
    }
    const enough = this.#ended || this.#count >= SECONDS_AT_ONCE * this.#sampleRate
    return enough && this.#count > 0 ? this.#handOver() : null
  }

  close(): void {
    this.#ended = true
    this.#decoder?.free()
  }

  #add(bytes: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? bytes : Buffer.concat([this.#bytes, bytes])
  }

  /** Decodes a little; false where that needs more bytes. */
  async #step(): Promise<boolean> {
    if (!this.#whole && this.#bytes.length < (this.#decoder ? 1 : FIRST_BYTES)) return false
    this.#decoder ??= await decoderOf(this.#container, this.#bytes)
    if (this.#bytes.length > 0) {
      // No Buffer: the decoders copy what lies at an odd place by `slice`, which of a Buffer copies nothing.
      const piece = new Uint8Array(this.#bytes.subarray(0, this.#feedBytes))
      this.#bytes = this.#bytes.subarray(piece.length)
      this.#keep(this.#take(await this.#decoder.decode(piece)))
      return true
    }
    this.#ended = true
    if (this.#decoder.flush) this.#keep(this.#take(await this.#decoder.flush()))
    this.#keep(this.#resampler?.end() ?? new Float32Array(0))
    return true
  }

  #keep(samples: Float32Array): void {
    if (samples.length === 0) return
    this.#made.push(samples)
    this.#count += samples.length
  }

  #handOver(): Int16Array {
    const all = new Float32Array(this.#count)
    let at = 0
    for (const part of this.#made) {
      all.set(part, at)
      at += part.length
    }
    this.#made = []
    this.#count = 0
    return integersOf(all)
  }

  #take({ channelData, sampleRate }: Decoded): Float32Array {
    const mono = monoOf(channelData)
    if (mono.length === 0) return mono
    if (!(sampleRate >= LOWEST_RATE && sampleRate <= HIGHEST_RATE)) throw new RangeError('no recording has such a rate')
    // The rate is that of the first piece: a stream that changes it in the middle is none that anybody makes.
    this.#resampler ??= new Resampler(sampleRate, this.#sampleRate)
    return this.#resampler.feed(mono)
  }
}

/** Each is loaded when a file of its kind comes: that of AAC is the only one under the GPL (docs/dependencies.md). */
async function decoderOf(container: Container, bytes: Buffer): Promise<Decoder> {
  switch (container) {
    case 'wav':
      return (await import('@audio/decode-wav')).decoder()
    case 'flac':
      return (await import('@audio/decode-flac')).decoder()
    case 'mp3':
      return (await import('@audio/decode-mp3')).decoder()
    case 'm4a':
      return (await import('@audio/decode-mp4')).decoder()
    case 'aac':
      return (await import('@audio/decode-aac')).decoder()
    case 'webm':
      return (await import('@audio/decode-webm')).decoder()
    case 'ogg': {
      // The first packet of the first page says what is inside.
      const inside = bytes.toString('latin1', 28, 36)
      if (inside === 'OpusHead') return (await import('@audio/decode-opus')).decoder()
      return inside.startsWith('\x7fFLAC') ? decoderOf('flac', bytes) : (await import('@audio/decode-vorbis')).decoder()
    }
  }
}

function monoOf(channels: readonly Float32Array[]): Float32Array {
  const [first = new Float32Array(0)] = channels
  if (channels.length < 2) return first
  const mono = new Float32Array(first.length)
  for (const channel of channels) for (let at = 0; at < mono.length; at++) mono[at] = (mono[at] ?? 0) + (channel[at] ?? 0) / channels.length
  return mono
}
