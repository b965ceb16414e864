/** The sandbox's voice where espeak-ng is installed: real speech in many languages, without a model. */
import { createRequire } from 'node:module'
import { Failure } from '../../core/errors.ts'
import { fail } from '../../core/errors.ts'
import type { TtsRequest } from '../../core/modalities/tts.ts'
import { EngineProcess } from '../process.ts'
import type { Speaker } from './tts.ts'

const START_MS = 20_000
const SILENT_MS = 20_000
/** After so long without a sentence the child is ended. */
const IDLE_MS = 60_000
const WORDS_PER_MINUTE = 175
/** The least and the most that the program knows. */
const SLOWEST = 80
const FASTEST = 450

/** Which language the names of voices begin with, as Kokoro's do. */
const LANGUAGES: Readonly<Record<string, string>> = {
  a: 'en-us',
  b: 'en-gb',
  e: 'es',
  f: 'fr',
  h: 'hi',
  i: 'it',
  j: 'ja',
  p: 'pt-br',
  z: 'cmn',
}

/** Whether the program is there to be loaded. */
export function hasEspeak(): boolean {
  try {
    createRequire(import.meta.url).resolve('espeak-ng')
    return true
  } catch {
    return false
  }
}

export class Espeak {
  readonly #process: EngineProcess
  #busy = 0
  #idle: NodeJS.Timeout | null = null

  constructor({ env }: { readonly env: Readonly<Record<string, string>> }) {
    this.#process = new EngineProcess({
      script: new URL('./espeak-child.ts', import.meta.url),
      args: [],
      env,
      startMs: START_MS,
      failure: (reason) => fail('INFERENCE_FAILED', { internal: reason === 'no_library' ? 'no_espeak' : 'espeak_failed' }),
    })
  }

  /** One sentence; null where there is no such program. */
  readonly speak: Speaker = async (sentence, request, { signal }) => {
    if (this.#idle) clearTimeout(this.#idle)
    this.#busy++
    try {
      await this.#process.ensureReady(signal)
      const body = { text: sentence, voice: voiceOf(request), wordsPerMinute: paceOf(request.speed) }
      const { value, bytes } = await this.#process.call('speak', body, { signal, silentMs: SILENT_MS })
      const samples = bytes ?? Buffer.alloc(0)
      // A copy: the bytes need not lie where numbers may.
      return { samples: new Int16Array(Uint8Array.from(samples).buffer, 0, Math.floor(samples.length / 2)), sampleRate: Number(value) }
    } catch (error) {
      if (error instanceof Failure && error.internal === 'no_espeak') return null
      throw error
    } finally {
      if (--this.#busy === 0) this.#idle = setTimeout(() => void this.#process.stop(), IDLE_MS).unref()
    }
  }

  async close(): Promise<void> {
    if (this.#idle) clearTimeout(this.#idle)
    await this.#process.close()
  }
}

const paceOf = (speed: number): number => Math.max(SLOWEST, Math.min(FASTEST, Math.round(WORDS_PER_MINUTE * speed)))

/** A language as the caller says it, or as the name of the voice does; high or low as the name does. */
function voiceOf({ voice, language }: Pick<TtsRequest, 'voice' | 'language'>): string {
  const [, first = '', second = ''] = /^([a-z])([fm])_/.exec(voice ?? '') ?? []
  const said = language !== null && /^[a-z]{2,3}(-[a-z]{2})?$/.test(language.toLowerCase()) ? language.toLowerCase() : undefined
  const variant = second === 'f' ? '+f3' : second === 'm' ? '+m3' : ''
  return `${said === 'zh' ? 'cmn' : (said ?? LANGUAGES[first] ?? 'en-us')}${variant}`
}
