/** Asks a server whether it is there and which models it has, in the many dialects of `GET /models`. */
import type { EngineModel, Reach } from '../../core/engine.ts'
import { reachAfter } from '../down.ts'
import type { Egress } from '../egress.ts'
import { type Fields, isFields } from '../fields.ts'
import { kindOf } from './kind.ts'

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

/** Some servers say more about their models in lists of their own. Missing details are no fault: the models are there all the same. */
async function details(egress: Egress, list: readonly Fields[], signal: AbortSignal): Promise<ReadonlyMap<string, Fields>> {
  const found = new Map<string, Fields>()
  const [path, fromRoot] = detailedAt(list[0]) ?? [null, false]
  if (path === null) return found
  try {
    for (const entry of (await read(egress, path, fromRoot, signal)) ?? []) {
      const name = nameOf(entry)
      if (name !== null) found.set(name, entry)
    }
  } catch {
    // An older version, or another server that calls itself the same.
  }
  return found
}

/** Where that list is, by what the first entry of the usual one shows of the server, and whether below its root. */
function detailedAt(first: Fields | undefined): readonly [path: string, fromRoot: boolean] | null {
  if (first === undefined) return null
  if (Object.keys(first).every((field) => field === 'id' || field === 'object')) return ['/models/capabilities', false] // LocalAI
  const owner = first['owned_by']
  if (owner === 'library') return ['/api/tags', true] // Ollama
  return owner === 'organization_owner' ? ['/api/v0/models', true] : null // LM Studio
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
