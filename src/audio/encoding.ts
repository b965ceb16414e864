/** Samples → a file of a format, piece by piece. Runs in the codecs' child. */
import encode from '@audio/encode'
import { type PieceEncoder, aacEncoder } from './aac-encoder.ts'
import { Resampler } from './resampler.ts'
import { floatsOf } from './samples.ts'

export type PackedFormat = 'mp3' | 'opus' | 'aac' | 'flac'

/** Kilobits per second: plenty for one voice. */
const MP3_KBPS = 96
const OPUS_KBPS = 48
const AAC_KBPS = 96
const OPUS_RATE = 48_000
/** The encoder tells players to skip so much of the beginning, of which it delays the sound by the second only. */
const OPUS_SKIPPED = 3_840
const OPUS_DELAY = 312
/** Rates that MP3 and AAC have; samples at another are made into some at one of them. */
const COMMON_RATES: ReadonlySet<number> = new Set([8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000])
const COMMON_RATE = 24_000
/** What an encoder is given at once, so that a long sentence does not keep others waiting. */
const STEP_SECONDS = 0.2

export class Encoding {
  readonly #encoder: PieceEncoder
  readonly #resampler: Resampler
  readonly #step: number
  readonly #silence: number
  #begun = false

  private constructor(encoder: PieceEncoder, from: number, to: number, silence: number) {
    this.#encoder = encoder
    this.#resampler = new Resampler(from, to)
    this.#step = Math.ceil(from * STEP_SECONDS)
    this.#silence = silence
  }

  static async open(format: PackedFormat, sampleRate: number): Promise<Encoding> {
    switch (format) {
      case 'mp3': {
        const rate = commonRate(sampleRate)
        return new Encoding(await encode.mp3({ sampleRate: rate, channels: 1, bitrate: MP3_KBPS }), sampleRate, rate, 0)
      }
      case 'opus': {
        const encoder = await encode.opus({ sampleRate: OPUS_RATE, channels: 1, bitrate: OPUS_KBPS, application: 'voip' })
        return new Encoding(encoder, sampleRate, OPUS_RATE, OPUS_SKIPPED - OPUS_DELAY)
      }
      case 'aac': {
        const rate = commonRate(sampleRate)
        return new Encoding(await aacEncoder(rate, AAC_KBPS * 1000), sampleRate, rate, 0)
      }
      case 'flac':
        return new Encoding(await encode.flac({ sampleRate, channels: 1, bitDepth: 16 }), sampleRate, sampleRate, 0)
    }
  }

  async encode(samples: Int16Array): Promise<Buffer> {
    const out: Uint8Array[] = []
    if (!this.#begun && this.#silence > 0) out.push(await this.#encoder([new Float32Array(this.#silence)]))
    this.#begun = true
    for (let from = 0; from < samples.length; from += this.#step) {
      const piece = this.#resampler.feed(floatsOf(samples.subarray(from, from + this.#step)))
      if (piece.length > 0) out.push(await this.#encoder([piece]))
      await new Promise(setImmediate)
    }
    return Buffer.concat(out)
  }

  async end(): Promise<Buffer> {
    const out: Uint8Array[] = []
    const rest = this.#resampler.end()
    const last = new Float32Array(rest.length + (this.#silence > 0 ? OPUS_DELAY : 0))
    last.set(rest)
    if (last.length > 0) out.push(await this.#encoder([last]))
    out.push(await this.#encoder())
    return Buffer.concat(out)
  }

  close(): void {
    this.#encoder.free()
  }
}

const commonRate = (sampleRate: number): number => (COMMON_RATES.has(sampleRate) ? sampleRate : COMMON_RATE)
