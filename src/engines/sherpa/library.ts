/** As much of sherpa-onnx as is used here: it has no types of its own. Loaded in children only. */
import { createRequire } from 'node:module'

export type Samples = { readonly samples: Float32Array; readonly sampleRate: number }

export type Speaker = {
  readonly numSpeakers: number
  readonly sampleRate: number
  generateAsync(asked: {
    readonly text: string
    readonly sid: number
    readonly speed: number
    readonly enableExternalBuffer: boolean
    /** Whether to go on. */
    readonly onProgress?: () => boolean
  }): Promise<Samples>
}

export type Stream = { acceptWaveform(samples: Samples): void }
export type Result = {
  readonly text: string
  readonly tokens: readonly string[]
  readonly timestamps: readonly number[]
  readonly durations?: readonly number[]
}
export type Recognizer = { createStream(): Stream; decodeAsync(stream: Stream): Promise<Result> }

/** Finds where somebody speaks. What it found waits in a queue; `start` counts samples since the last `reset`. */
export type Detector = {
  acceptWaveform(samples: Float32Array): void
  isEmpty(): boolean
  front(externalBuffer: boolean): { readonly start: number; readonly samples: Float32Array }
  pop(): void
  flush(): void
}

export type Sherpa = {
  readonly OfflineTts: new (config: object) => Speaker
  readonly OfflineRecognizer: new (config: object) => Recognizer
  readonly Vad: new (config: object, bufferSeconds: number) => Detector
}

/** Throws where it is not installed or not built for this machine. */
export function loadSherpa(): Sherpa {
  const library: unknown = createRequire(import.meta.url)('sherpa-onnx-node')
  // What is used of it is listed above, and tried by the tests against the real one.
  return library as Sherpa
}
