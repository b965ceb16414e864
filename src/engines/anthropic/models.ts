/** Asks whether the service is there, and which models it has. */
import type { EngineModel, Reach } from '../../core/engine.ts'
import { Failure } from '../../core/errors.ts'
import type { Egress } from '../egress.ts'
import { isFields, listIn, readFields, textIn } from './wire.ts'

const PROBE_MS = 2_000
const LIST_BYTES = 4 * 1024 * 1024
/** Models beyond this number are not looked at, and a name beyond this length is none. */
const MODELS = 1_000
const NAME_CHARS = 256

/** Why a service is down, by what the network door says; everything else is an `error`. */
const REASONS: Readonly<Record<string, string>> = {
  upstream_refused: 'refused',
  upstream_dns: 'unknown_host',
  upstream_connect_timeout: 'timeout',
  upstream_first_byte: 'timeout',
  upstream_stalled: 'timeout',
  upstream_unreachable: 'unreachable',
  upstream_tls: 'tls',
  upstream_auth: 'unauthorized',
  upstream_payment: 'payment',
  upstream_reset: 'reset',
  upstream_protocol: 'no_http',
  caller_left: 'timeout',
  engine_closed: 'closed',
}
/** It answered: it is there, and does not list its models, or not now. */
const UNLISTED: ReadonlySet<string> = new Set(['upstream_404', 'upstream_405', 'upstream_429'])

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
    const internal = error instanceof Failure ? (error.internal ?? '') : ''
    return UNLISTED.has(internal) ? { up: true, models: null } : { up: false, why: REASONS[internal] ?? 'error' }
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
