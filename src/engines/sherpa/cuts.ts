/** Cuts a recording into stretches that can be understood at once: where somebody speaks, or where it is quietest. */
import type { Detector } from './library.ts'
import { LISTEN_RATE } from './wire.ts'

/** A stretch of samples and where it begins, counted from the beginning of the recording. */
export type Stretch = { readonly start: number; readonly samples: Float32Array }

export type Cutter = {
  /** The stretches that became whole with these samples. */
  feed(samples: Float32Array): Stretch[]
  /** What is left at the end. */
  end(): Stretch[]
}

/** What the detector looks at together. */
export const WINDOW = 512

/** By a detector of speech. */
export class SpeechCutter implements Cutter {
  readonly #detector: Detector
  #left = new Float32Array(0)

  constructor(detector: Detector) {
    this.#detector = detector
  }

  feed(samples: Float32Array): Stretch[] {
    const all = joined([this.#left, samples])
    const whole = all.length - (all.length % WINDOW)
    for (let from = 0; from < whole; from += WINDOW) this.#detector.acceptWaveform(all.subarray(from, from + WINDOW))
    this.#left = all.slice(whole)
    return this.#found()
  }

  end(): Stretch[] {
    // The rest with silence after it, so that a last word is not lost.
    const rest = new Float32Array(WINDOW)
    rest.set(this.#left)
    this.#detector.acceptWaveform(rest)
    this.#detector.flush()
    return this.#found()
  }

  #found(): Stretch[] {
    const stretches: Stretch[] = []
    while (!this.#detector.isEmpty()) {
      const { start, samples } = this.#detector.front(false)
      stretches.push({ start, samples: Float32Array.from(samples) })
      this.#detector.pop()
    }
    return stretches
  }
}

/** No stretch is longer, and where it must be cut it is cut within the last of these seconds. */
const LONGEST_SECONDS = 24
const SEARCH_SECONDS = 6
const LOOK_SECONDS = 0.1

/** Without a detector: long recordings are cut where they are quietest. */
export class QuietCutter implements Cutter {
  #kept = new Float32Array(0)
  #start = 0

  feed(samples: Float32Array): Stretch[] {
    this.#kept = joined([this.#kept, samples])
    const stretches: Stretch[] = []
    while (this.#kept.length > LONGEST_SECONDS * LISTEN_RATE) stretches.push(this.#take(quietest(this.#kept)))
    return stretches
  }

  end(): Stretch[] {
    return this.#kept.length === 0 ? [] : [this.#take(this.#kept.length)]
  }

  #take(count: number): Stretch {
    const stretch = { start: this.#start, samples: this.#kept.slice(0, count) }
    this.#kept = this.#kept.slice(count)
    this.#start += count
    return stretch
  }
}

function quietest(samples: Float32Array): number {
  const look = Math.round(LOOK_SECONDS * LISTEN_RATE)
  const end = LONGEST_SECONDS * LISTEN_RATE
  let best = end
  let least = Number.POSITIVE_INFINITY
  for (let from = end - SEARCH_SECONDS * LISTEN_RATE; from + look <= end; from += look) {
    let sum = 0
    for (let at = from; at < from + look; at++) sum += Math.abs(samples[at] ?? 0)
    if (sum < least) {
      least = sum
      best = from + Math.round(look / 2)
    }
  }
  return best
}

function joined(parts: readonly Float32Array[]): Float32Array<ArrayBuffer> {
  const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}
