/** Asks whether the service is there, and which models it has. */
import type { EngineModel, Reach } from '../../core/engine.ts'
import { reachAfter } from '../down.ts'
import type { Egress } from '../egress.ts'
import { isFields, listIn, readFields, textIn } from '../fields.ts'

const PROBE_MS = 2_000
const LIST_BYTES = 4 * 1024 * 1024
/** Models beyond this number are not looked at, and a name beyond this length is none. */
const MODELS = 1_000
const NAME_CHARS = 256

/** Never rejects; takes two seconds at most. */
export async function probeModels(egress: Egress, signal: AbortSignal): Promise<Reach> {
  const limited = AbortSignal.any([signal, AbortSignal.timeout(PROBE_MS)])
  try {
    const { body } = await egress.collect(
      {
        method: 'GET',
        path: `/v1/models?limit=${MODELS}`,
        accept: 'application/json',
        signal: limited,
        firstByteMs: PROBE_MS,
        stallMs: PROBE_MS,
      },
      LIST_BYTES,
    )
    return { up: true, models: modelsIn(body.toString('utf8')) }
  } catch (error) {
    return reachAfter(error)
  }
}

function modelsIn(json: string): readonly EngineModel[] | null {
  const data = readFields(json)?.['data']
  if (!Array.isArray(data)) return null
  const models: EngineModel[] = []
  for (const raw of listIn(data).slice(0, MODELS)) {
    const name = isFields(raw) ? textIn(raw, 'id') : ''
    const context = isFields(raw) ? raw['max_input_tokens'] : null
    if (name === '' || name.length > NAME_CHARS) continue
    models.push({ name, modality: 'text', contextTokens: typeof context === 'number' && context > 0 ? context : null })
  }
  return models
}
