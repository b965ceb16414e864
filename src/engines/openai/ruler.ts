/** Measures a recording while it passes by, by decoding it: for servers that do not say how long it was, and for who cannot pay for all of it. */
import type { AudioTools, Container, Recording, RecordingDecoder } from '../../core/audio.ts'
import type { Signal } from '../../core/cancel.ts'

/** Low enough to be quick; only the length is wanted. */
const MEASURED_RATE = 8_000

/** To be left exactly once. */
export class Ruler {
  readonly #decoder: RecordingDecoder
  readonly #signal: Signal
  readonly #strict: boolean
  #count = 0
  #lost = false
  #whole = false

  private constructor(decoder: RecordingDecoder, signal: Signal, strict: boolean) {
    this.#decoder = decoder
    this.#signal = signal
    this.#strict = strict
  }

  /** A strict one throws for what cannot be decoded here; for another that is the server's to judge. */
  static async open(container: Container, tools: AudioTools, signal: Signal, strict: boolean): Promise<Ruler> {
    return new Ruler(await tools.decoder(container, { sampleRate: MEASURED_RATE, signal }), signal, strict)
  }

  /** Measures a recording that is still there. Null for what cannot be decoded here. */
  static async lengthOf({ container, file }: Recording, tools: AudioTools, signal: Signal): Promise<number | null> {
    const ruler = await Ruler.open(container, tools, signal, false)
    try {
      for await (const piece of file.read(signal)) await ruler.measure(piece)
      return await ruler.measure(null)
    } finally {
      ruler.leave()
    }
  }

  /** The length in seconds, once all of it has passed; null before, and of what cannot be decoded here. */
  get seconds(): number | null {
    return this.#whole && !this.#lost ? this.#count / MEASURED_RATE : null
  }

  /** How many seconds have passed with this piece, or with the end, which is null; null where that cannot be told. */
  async measure(piece: Buffer | null): Promise<number | null> {
    if (!this.#lost) {
      try {
        for await (const samples of this.#decoder.decode(piece)) this.#count += samples.length
        this.#whole = piece === null
      } catch (error) {
        if (this.#strict || this.#signal.aborted) throw error
        this.#lost = true
      }
    }
    return this.#lost ? null : this.#count / MEASURED_RATE
  }

  leave(): void {
    this.#decoder.leave()
  }
}
