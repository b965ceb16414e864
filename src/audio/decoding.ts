/** A recording → samples of one channel at a wanted rate, some seconds at a time. Runs in the codecs' child. */
import decode, { type AudioData, type StreamDecoder } from '@audio/decode'
import type { Container } from '../core/audio.ts'
import { indexFirst, isSound } from './mp4.ts'
import { Resampler } from './resampler.ts'
import { integersOf } from './samples.ts'

/** What a decoder is given at once: little of what can become a thousand times as much. */
const FEED_BYTES = 16 * 1024
const SQUEEZED_FEED_BYTES = 2 * 1024
const SQUEEZED: ReadonlySet<Container> = new Set(['flac', 'ogg', 'webm'])
/** Rates that recordings have. The filter of another one would be endless. */
const LOWEST_RATE = 1_000
const HIGHEST_RATE = 768_000
/** About how much is decoded before it is handed over. */
const SECONDS_AT_ONCE = 10

export class Decoding {
  readonly #bytes: Uint8Array
  readonly #decoder: StreamDecoder
  readonly #sampleRate: number
  readonly #feedBytes: number
  #from = 0
  #resampler: Resampler | null = null
  #ended = false

  private constructor(bytes: Uint8Array, decoder: StreamDecoder, sampleRate: number, feedBytes: number) {
    this.#feedBytes = feedBytes
    this.#bytes = bytes
    this.#decoder = decoder
    this.#sampleRate = sampleRate
  }

  static async open(container: Container, file: Buffer, sampleRate: number): Promise<Decoding> {
    if (container === 'm4a' && !isSound(file)) throw new RangeError('the tables of the file are longer than it is')
    const bytes = container === 'm4a' ? indexFirst(file) : file
    // No Buffer: the decoders copy what lies at an odd place by `slice`, which of a Buffer copies nothing.
    const feedBytes = SQUEEZED.has(container) ? SQUEEZED_FEED_BYTES : FEED_BYTES
    return new Decoding(new Uint8Array(bytes), await decoderOf(container, file)(), sampleRate, feedBytes)
  }

  /** The next seconds; empty at the end. Throws for what cannot be decoded. */
  async next(): Promise<Int16Array> {
    const parts: Float32Array[] = []
    let count = 0
    while (!this.#ended && count < SECONDS_AT_ONCE * this.#sampleRate) {
      const part = await this.#step()
      if (part.length > 0) parts.push(part)
      count += part.length
      // What is cancelled meanwhile, and other recordings, get their turn.
      await new Promise(setImmediate)
    }
    const all = new Float32Array(count)
    let at = 0
    for (const part of parts) {
      all.set(part, at)
      at += part.length
    }
    return integersOf(all)
  }

  close(): void {
    this.#ended = true
    this.#decoder.free()
  }

  async #step(): Promise<Float32Array> {
    if (this.#from < this.#bytes.length) {
      const piece = this.#bytes.subarray(this.#from, this.#from + this.#feedBytes)
      this.#from += piece.length
      return this.#take(await this.#decoder(piece))
    }
    this.#ended = true
    const last = this.#take(await this.#decoder())
    const rest = this.#resampler?.end() ?? new Float32Array(0)
    const all = new Float32Array(last.length + rest.length)
    all.set(last)
    all.set(rest, last.length)
    return all
  }

  #take({ channelData, sampleRate }: AudioData): Float32Array {
    const mono = monoOf(channelData)
    if (mono.length === 0) return mono
    if (!(sampleRate >= LOWEST_RATE && sampleRate <= HIGHEST_RATE)) throw new RangeError('no recording has such a rate')
    // The rate is that of the first piece: a stream that changes it in the middle is none that anybody makes.
    this.#resampler ??= new Resampler(sampleRate, this.#sampleRate)
    return this.#resampler.feed(mono)
  }
}

function decoderOf(container: Container, bytes: Buffer): () => Promise<StreamDecoder> {
  switch (container) {
    case 'wav':
      return decode.wav
    case 'flac':
      return decode.flac
    case 'mp3':
      return decode.mp3
    case 'm4a':
      return decode.m4a
    case 'aac':
      return decode.aac
    case 'webm':
      return decode.webm
    case 'ogg': {
      // The first packet of the first page says what is inside.
      const inside = bytes.toString('latin1', 28, 36)
      return inside === 'OpusHead' ? decode.opus : inside.startsWith('\x7fFLAC') ? decode.flac : decode.oga
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
