/**
 * The sandbox: an engine with no model behind it. Deterministic and offline, so that a first start still answers and
 * clients can be tested against every shape that a real engine's answer takes, the unpleasant ones included.
 */
import type { Engine, EngineModel } from '../../core/engine.ts'
import { sandboxEmbedding } from './embedding.ts'
import { sandboxText } from './text.ts'

export const SANDBOX_TEXT = 'sandbox-text'
export const SANDBOX_EMBEDDING = 'sandbox-embedding'

/** What the sandbox says it reads; nothing here depends on it. */
const CONTEXT_TOKENS = 131_072

const MODELS: readonly EngineModel[] = [
  { name: SANDBOX_TEXT, modality: 'text', contextTokens: CONTEXT_TOKENS },
  { name: SANDBOX_EMBEDDING, modality: 'embedding', contextTokens: CONTEXT_TOKENS },
]

/** Holds nothing: no socket, no memory of a request, no state between two of them. */
export const sandboxEngine = (): Engine => ({
  id: 'sandbox',
  privacy: 'private',
  abilities: { text: sandboxText, embedding: sandboxEmbedding },
  lists: true,
  probe: async () => ({ up: true, models: MODELS }),
  close: async () => {},
})
