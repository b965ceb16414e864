/** The gateway's side of the codecs: starts their child when one is needed, and lets go of it when none has been for a while. */
import type { AudioTools, Container, DecodeOptions, RecordingDecoder, SpeechEncoder, SpeechFormat } from '../core/audio.ts'
import { Cancel, type Signal } from '../core/cancel.ts'
import { fail } from '../core/errors.ts'
import type { CallEnd } from '../engines/process-calls.ts'
import { EngineProcess } from '../engines/process.ts'
import { bytesOfSamples, samplesOfBytes } from './samples.ts'
import { wavHead } from './wav.ts'

/** A start, and a step of any codec, takes a few hundred milliseconds on a busy machine. */
const START_MS = 20_000
const SILENT_MS = 15_000
/** After so long without work the child and its memory are given back. */
const IDLE_MS = 60_000

export type CodecsOptions = {
  /** What the child gets to see of the environment. */
  readonly env: Readonly<Record<string, string>>
  readonly idleMs?: number
}

export class Codecs implements AudioTools {
  readonly #process: EngineProcess
  readonly #idleMs: number
  /** Recordings and speech under way. */
  #open = 0
  #idle: NodeJS.Timeout | null = null

  constructor({ env, idleMs = IDLE_MS }: CodecsOptions) {
    this.#idleMs = idleMs
    this.#process = new EngineProcess({
      script: new URL('codecs-child.ts', import.meta.url),
      args: [],
      env,
      startMs: START_MS,
      failure: (reason) =>
        reason === 'corrupt'
          ? fail('ASR_UPSTREAM_VALIDATION_FAILED', { internal: 'audio_corrupt' })
          : fail('INFERENCE_FAILED', { internal: 'codec_failed' }),
    })
  }

  /** Whether the child is there: for tests, and for whoever watches memory. */
  get running(): boolean {
    return this.#process.pid !== null
  }

  async encoder(format: SpeechFormat, sampleRate: number, signal: Signal): Promise<SpeechEncoder> {
    if (format === 'pcm') return plain(null)
    if (format === 'wav') return plain(wavHead(sampleRate, null))
    const id = await this.#begin('encode', { format, sampleRate }, signal)
    const ended = (): void => this.#ended()
    return {
      encode: (samples) => this.#call('encode.next', { id }, signal, bytesOfSamples(samples)),
      end: () => this.#call('encode.end', { id }, signal).finally(ended),
      leave: () => this.#leave(id),
    }
  }

  async decoder(container: Container, { sampleRate, signal }: DecodeOptions): Promise<RecordingDecoder> {
    const id = await this.#begin('decode', { container, sampleRate }, signal)
    const next = (last: boolean, bytes?: Buffer): Promise<CallEnd> => this.#send('decode.next', { id, last }, signal, bytes)
    return {
      async *decode(bytes) {
        const last = bytes === null
        let step = await next(last, bytes ?? undefined)
        while (step.bytes !== null) {
          yield samplesOfBytes(step.bytes)
          step = await next(last)
        }
      },
      leave: () => this.#leave(id),
    }
  }

  async close(): Promise<void> {
    if (this.#idle) clearTimeout(this.#idle)
    await this.#process.close()
  }

  async #begin(method: string, body: unknown, signal: Signal): Promise<number> {
    if (this.#idle) clearTimeout(this.#idle)
    this.#idle = null
    this.#open++
    try {
      await this.#process.ensureReady(signal)
      return Number((await this.#send(method, body, signal)).value)
    } catch (error) {
      this.#ended()
      throw error
    }
  }

  async #call(method: string, body: unknown, signal: Signal, bytes?: Buffer): Promise<Buffer> {
    return (await this.#send(method, body, signal, bytes)).bytes ?? EMPTY
  }

  #send(method: string, body: unknown, signal: Signal, bytes?: Buffer): Promise<CallEnd> {
    return this.#process.call(method, body, { signal, silentMs: SILENT_MS, ...(bytes && { bytes }) })
  }

  /** Whoever asked may be gone; what was opened is closed all the same. */
  #leave(id: number): void {
    this.#ended()
    // A child that is gone has nothing to close.
    this.#process.call('close', { id }, { signal: new Cancel(), silentMs: SILENT_MS }).catch(() => undefined)
  }

  #ended(): void {
    this.#open--
    if (this.#open > 0) return
    this.#idle = setTimeout(() => void this.#process.stop(), this.#idleMs)
    this.#idle.unref()
  }
}

const EMPTY = Buffer.alloc(0)

/** Samples as they are, after a head where there is one. */
function plain(head: Buffer | null): SpeechEncoder {
  let due = head
  return {
    encode(samples) {
      const bytes = bytesOfSamples(samples)
      const piece = due === null ? bytes : Buffer.concat([due, bytes])
      due = null
      return Promise.resolve(piece)
    },
    end: () => Promise.resolve(due ?? EMPTY),
    leave: () => undefined,
  }
}
