/**
 * The sandbox: an engine with no model behind it. Deterministic and offline, so that a first start still answers and
 * clients can be tested against every shape that a real engine's answer takes, the unpleasant ones included.
 */
import type { AudioTools } from '../../core/audio.ts'
import type { Engine, EngineModel } from '../../core/engine.ts'
import { sandboxAsr } from './asr.ts'
import { sandboxEmbedding } from './embedding.ts'
import type { Espeak } from './espeak.ts'
import { sandboxText } from './text.ts'
import { sandboxTts } from './tts.ts'

export const SANDBOX_TEXT = 'sandbox-text'
export const SANDBOX_EMBEDDING = 'sandbox-embedding'
export const SANDBOX_TTS = 'sandbox-tts'
export const SANDBOX_ASR = 'sandbox-asr'

/** What the sandbox says it reads; nothing here depends on it. */
const CONTEXT_TOKENS = 131_072

const MODELS: readonly EngineModel[] = [
  { name: SANDBOX_TEXT, modality: 'text', contextTokens: CONTEXT_TOKENS },
  { name: SANDBOX_EMBEDDING, modality: 'embedding', contextTokens: CONTEXT_TOKENS },
]

const AUDIO_MODELS: readonly EngineModel[] = [
  { name: SANDBOX_TTS, modality: 'tts', contextTokens: null },
  { name: SANDBOX_ASR, modality: 'asr', contextTokens: null },
]

/** `tools` make its sound; without them it has none. With `espeak` it speaks, where that is installed; without, it sings. */
export type SandboxOptions = { readonly tools?: AudioTools; readonly espeak?: Espeak }

/** Holds nothing but its voice: no socket, no memory of a request, no state between two of them. */
export const sandboxEngine = ({ tools, espeak }: SandboxOptions = {}): Engine => ({
  id: 'sandbox',
  privacy: 'private',
  abilities: {
    text: sandboxText,
    embedding: sandboxEmbedding,
    ...(tools && { tts: sandboxTts(espeak?.speak ?? null), asr: sandboxAsr(tools) }),
  },
  lists: true,
  probe: async () => ({ up: true, models: tools ? [...MODELS, ...AUDIO_MODELS] : MODELS }),
  close: async () => espeak?.close(),
})
