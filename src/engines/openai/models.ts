/** Asks a server whether it is there and which models it has, in the many dialects of `GET /models`. */
import type { EngineModel, Reach } from '../../core/engine.ts'
import { reachAfter } from '../down.ts'
import type { Egress } from '../egress.ts'
import { type Fields, isFields } from '../fields.ts'

const PROBE_MS = 2_000
const LIST_BYTES = 8 * 1024 * 1024
/** Models beyond this number are not looked at, and a name beyond this length is none. */
const MODELS = 4_096
const NAME_CHARS = 256

/** Never rejects; takes two seconds at most. */
export async function probeModels(egress: Egress, signal: AbortSignal): Promise<Reach> {
  const limited = AbortSignal.any([signal, AbortSignal.timeout(PROBE_MS)])
  let list: readonly Fields[] | null
  try {
    list = await read(egress, '/models', false, limited)
  } catch (error) {
    return reachAfter(error)
  }
  if (list === null) return { up: true, models: null }
  const more = await details(egress, list, limited)
  const models = new Map<string, EngineModel>()
  for (const raw of list.slice(0, MODELS)) {
    const model = modelOf(raw, more)
    if (model) models.set(model.name, model)
  }
  return { up: true, models: [...models.values()] }
}

/** The entries of a list, or null for an answer that is no list. Rejects with a `Failure`. */
async function read(egress: Egress, path: string, fromRoot: boolean, signal: AbortSignal): Promise<readonly Fields[] | null> {
  const { body } = await egress.collect(
    { method: 'GET', path, fromRoot, accept: 'application/json', signal, firstByteMs: PROBE_MS, stallMs: PROBE_MS },
    LIST_BYTES,
  )
  let answer: unknown
  try {
    answer = JSON.parse(body.toString('utf8'))
  } catch {
    return null
  }
  // OpenAI's list; Together's is bare, Ollama's own is called `models`.
  const list = isFields(answer) ? (answer['data'] ?? answer['models']) : answer
  return Array.isArray(list) ? list.filter(isFields) : null
}

/**
 * Ollama and LM Studio say more about their models in lists of their own. Missing details are no fault: the models are
 * there all the same.
 */
async function details(egress: Egress, list: readonly Fields[], signal: AbortSignal): Promise<ReadonlyMap<string, Fields>> {
  const found = new Map<string, Fields>()
  const owner = list[0]?.['owned_by']
  const path = owner === 'library' ? '/api/tags' : owner === 'organization_owner' ? '/api/v0/models' : null
  if (path === null) return found
  try {
    for (const entry of (await read(egress, path, true, signal)) ?? []) {
      const name = nameOf(entry)
      if (name !== null) found.set(name, entry)
    }
  } catch {
    // An older version, or another server that calls itself the same.
  }
  return found
}

/** Null for what has no name or is of a kind that Rialto does not run. */
function modelOf(raw: Fields, more: ReadonlyMap<string, Fields>): EngineModel | null {
  const name = nameOf(raw)
  if (name === null) return null
  const entry = { ...raw, ...more.get(name) }
  const kind = kindOf(entry, name)
  if (kind === 'other') return null
  return { name, modality: kind, contextTokens: contextOf(entry) }
}

function nameOf(entry: Fields): string | null {
  const name = entry['id'] ?? entry['name'] ?? entry['model']
  return typeof name === 'string' && name !== '' && name.length <= NAME_CHARS ? name : null
}

const EMBEDDING_KINDS: ReadonlySet<string> = new Set(['embedding', 'embeddings', 'embed', 'feature-extraction', 'text-embeddings'])
const TEXT_KINDS: ReadonlySet<string> = new Set(['llm', 'vlm', 'chat', 'text', 'language', 'code', 'text-generation', 'completion', 'base'])
const EMBEDDING_NAME = /embed|(^|[/_-])(bge|e5|gte|minilm|gritlm|arctic-embed|jina-clip)([.:_-]|$)/
const OTHER_NAME = /rerank|whisper|(^|[/_-])(tts|dall-e|stable-diffusion|flux|moderation)([.:_-]|\d|$)/

/** What the server calls it, else what its name says, else null. `other` is neither text nor embedding. */
function kindOf(entry: Fields, name: string): EngineModel['modality'] | 'other' {
  const said = entry['type'] ?? entry['task'] ?? entry['model_type']
  if (typeof said === 'string') {
    const kind = said.toLowerCase()
    if (EMBEDDING_KINDS.has(kind)) return 'embedding'
    if (TEXT_KINDS.has(kind)) return EMBEDDING_NAME.test(name.toLowerCase()) && kind === 'text' ? 'embedding' : 'text'
    if (kind !== 'model' && kind !== '') return 'other'
  }
  // Ollama: the family of the architecture.
  const family = isFields(entry['details']) ? entry['details']['family'] : null
  if (typeof family === 'string' && family.toLowerCase().includes('bert')) return 'embedding'
  const lower = name.toLowerCase()
  if (OTHER_NAME.test(lower)) return 'other'
  return EMBEDDING_NAME.test(lower) ? 'embedding' : null
}

/** The first that a server gives, the one that is in force before the one that would be possible. */
function contextOf(entry: Fields): number | null {
  const meta = isFields(entry['meta']) ? entry['meta'] : {}
  const spec = isFields(entry['model_spec']) ? entry['model_spec'] : {}
  const said = [
    entry['loaded_context_length'], // LM Studio
    entry['max_model_len'], // vLLM, SGLang
    meta['n_ctx'], // llama-server
    entry['context_length'], // OpenRouter, Together, Fireworks
    entry['context_window'], // Groq
    entry['max_context_length'], // LM Studio, Mistral
    meta['n_ctx_train'], // llama-server
    spec['availableContextTokens'], // Venice
  ]
  for (const value of said) if (typeof value === 'number' && Number.isSafeInteger(value) && value > 0) return value
  return null
}
