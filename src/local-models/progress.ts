/** How far a download is, how fast, and how long it will take. */

/** Older arrivals say nothing about how fast it is now. */
const WINDOW_MS = 10_000
const SAMPLES = 64
/** Two samples are this far apart at least. */
const SAMPLE_MS = 200

export type Progress = {
  readonly sizeBytes: number | null
  readonly doneBytes: number
  readonly bytesPerSecond: number | null
  readonly secondsLeft: number | null
}

export class Meter {
  readonly #now: () => number
  #sizeBytes: number | null = null
  #doneBytes = 0
  /** What was here before, and so says nothing about speed. */
  #came = 0
  #samples: { readonly at: number; readonly came: number }[] = []

  /** `now` gives milliseconds that never run backwards. */
  constructor(now: () => number) {
    this.#now = now
  }

  get doneBytes(): number {
    return this.#doneBytes
  }

  size(bytes: number | null): void {
    this.#sizeBytes = bytes
  }

  /** Bytes that were there already; negative for what was thrown away. */
  had(bytes: number): void {
    this.#doneBytes += bytes
  }

  came(bytes: number): void {
    this.#doneBytes += bytes
    this.#came += bytes
    const at = this.#now()
    const last = this.#samples.at(-1)
    if (last && at - last.at < SAMPLE_MS) return
    this.#samples.push({ at, came: this.#came })
    if (this.#samples.length > SAMPLES) this.#samples.shift()
  }

  get progress(): Progress {
    const now = this.#now()
    const first = this.#samples.find(({ at }) => now - at <= WINDOW_MS)
    const seconds = first ? (now - first.at) / 1000 : 0
    const bytesPerSecond = first && seconds >= SAMPLE_MS / 1000 ? (this.#came - first.came) / seconds : null
    const left = this.#sizeBytes === null ? null : Math.max(0, this.#sizeBytes - this.#doneBytes)
    return {
      sizeBytes: this.#sizeBytes,
      doneBytes: this.#doneBytes,
      bytesPerSecond: bytesPerSecond === null ? null : Math.round(bytesPerSecond),
      secondsLeft: left === null || !bytesPerSecond ? null : Math.ceil(left / bytesPerSecond),
    }
  }
}
