/** Samples at one rate → the same sound at another, piece by piece: a windowed sinc, so that nothing folds back into what is heard. */

/** Zero crossings of the sinc on each side. More are sharper and slower. */
const CROSSINGS = 12
/** Places between two samples for which the filter is worked out beforehand. */
const PHASES = 512

export class Resampler {
  /** How far one output sample is from the next, in input samples. */
  readonly #step: number
  readonly #reach: number
  readonly #taps: Float32Array
  readonly #width: number
  #kept: Float32Array
  /** Where the next output sample lies in what is kept. */
  #at: number

  constructor(from: number, to: number) {
    this.#step = from / to
    const scale = Math.max(1, this.#step)
    this.#reach = Math.ceil(CROSSINGS * scale)
    this.#width = this.#reach * 2
    this.#taps = filter(this.#reach, this.#width, scale)
    // Silence before the beginning, so that the first sample has neighbours.
    this.#kept = new Float32Array(this.#reach)
    this.#at = this.#reach
  }

  feed(samples: Float32Array): Float32Array {
    if (this.#step === 1) return samples
    const all = new Float32Array(this.#kept.length + samples.length)
    all.set(this.#kept)
    all.set(samples, this.#kept.length)
    const count = Math.max(0, Math.ceil((all.length - this.#reach - this.#at) / this.#step))
    const out = new Float32Array(count)
    for (let n = 0; n < count; n++) out[n] = this.#sample(all, this.#at + n * this.#step)
    const next = this.#at + count * this.#step
    const drop = Math.max(0, Math.floor(next) - this.#reach)
    this.#kept = all.slice(drop)
    this.#at = next - drop
    return out
  }

  /** What was waiting for neighbours that do not come. */
  end(): Float32Array {
    return this.#step === 1 ? new Float32Array(0) : this.feed(new Float32Array(this.#reach))
  }

  #sample(all: Float32Array, place: number): number {
    const whole = Math.floor(place)
    const phase = Math.round((place - whole) * PHASES) * this.#width
    const first = whole - this.#reach + 1
    let sum = 0
    for (let tap = 0; tap < this.#width; tap++) sum += (all[first + tap] ?? 0) * (this.#taps[phase + tap] ?? 0)
    return sum
  }
}

/** One row of weights per phase; each row adds up to 1. */
function filter(reach: number, width: number, scale: number): Float32Array {
  const taps = new Float32Array((PHASES + 1) * width)
  for (let phase = 0; phase <= PHASES; phase++) {
    let sum = 0
    for (let tap = 0; tap < width; tap++) {
      const distance = tap - reach + 1 - phase / PHASES
      const weight = sinc(distance / scale) * window(distance / reach)
      taps[phase * width + tap] = weight
      sum += weight
    }
    for (let tap = 0; tap < width; tap++) taps[phase * width + tap] = (taps[phase * width + tap] ?? 0) / sum
  }
  return taps
}

const sinc = (x: number): number => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x))
const window = (x: number): number => (Math.abs(x) >= 1 ? 0 : 0.5 + 0.5 * Math.cos(Math.PI * x))
