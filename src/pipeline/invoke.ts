/** A run on the deployments of its model in turn: failover as long as nothing has reached the caller, and the breaker. */
import type { Signal } from '../core/cancel.ts'
import type { Catalog } from '../catalog/catalog.ts'
import type { Envelope, Finish, Sink } from '../core/call.ts'
import type { Engine } from '../core/engine.ts'
import { ORDERED } from '../engines/sandbox/orders.ts'
import { ERRORS, Failure, callerLeft, fail, failField, isCallerLeft } from '../core/errors.ts'
import { GAUGES, type Gauge, type PartOf, type RequestOf, type Runnable } from '../core/modality.ts'
import type { Deployment, Model } from '../core/model.ts'
import type { Breakers } from './breakers.ts'

export type Waits = {
  /** Until the first byte of an answer, and between two bytes of it, in milliseconds. */
  readonly firstByteMs: number
  readonly stallMs: number
}

export type Outcomes = 'ok' | 'failed' | 'left'

export type InvokeRooms = {
  readonly catalog: Pick<Catalog, 'deployments' | 'remedy'>
  readonly engines: ReadonlyMap<string, Engine>
  readonly breakers: Breakers
  readonly waits: Waits
  readonly attempted: (engine: string, outcome: Outcomes) => void
}

/**
 * Runs the request on the first deployment that can serve it and pushes its parts into the sink.
 *
 * The next deployment is tried when one fails in a way that may pass elsewhere (connect failure, 429, 5xx, silence)
 * and the sink has seen no part yet; after that a failure is final, and so it is where a part of the request that was still on
 * its way has been used up. A deployment that asked for time
 * (`Retry-After`) is passed over until then, and when all have, the caller is told the shortest wait.
 *
 * Throws what the last deployment failed with. When the signal is aborted no further deployment is tried.
 */
export async function invoke<M extends Runnable>(
  rooms: InvokeRooms,
  modality: M,
  model: Model,
  request: RequestOf<M>,
  sink: Sink<PartOf<M>>,
  signal: Signal,
  envelope: Envelope,
): Promise<Finish> {
  let delivered = false
  let failure: Failure | null = null
  let refused: string | Failure | null = null
  const guarded: Sink<PartOf<M>> = (parts) => {
    delivered = true
    return sink(parts)
  }
  for (const deployment of rooms.catalog.deployments(model)) {
    const engine = rooms.engines.get(deployment.engine)
    const ability = engine?.abilities[modality]
    if (!engine || !ability) continue
    const refusal = ability.refuses(request, deployment.model)
    if (refusal !== null) {
      // Words that help beat the name of a field.
      if (!(refused instanceof Failure)) refused = refusal
      continue
    }
    if (!rooms.breakers.admits(deployment)) continue
    envelope.engine = engine.id
    envelope.attempts++
    try {
      const finish = await ability.run({ model: deployment.model, request, signal, ...rooms.waits }, guarded)
      rooms.breakers.succeeded(deployment)
      rooms.attempted(engine.id, 'ok')
      return finish
    } catch (error) {
      failure = judge(rooms, deployment, error, signal)
      if (delivered || signal.aborted || !ERRORS[failure.code].retryable || !isRepeatable(modality, request)) throw failure
    }
  }
  throw failure ? soonest(rooms, model, failure) : nobody(rooms, model, refused)
}

function isRepeatable<M extends Runnable>(modality: M, request: RequestOf<M>): boolean {
  const gauge: Gauge<RequestOf<M>, PartOf<M>> = GAUGES[modality]
  return gauge.repeatable?.(request) ?? true
}

/** The wait that the last engine asked for is not always the shortest: one before it may be free again sooner. */
function soonest(rooms: InvokeRooms, model: Model, failure: Failure): Failure {
  const { code, internal, retryAfterMs } = failure
  if (code !== 'MODEL_OVERLOADED') return failure
  const waitMs = rooms.breakers.shortestWaitMs(model.deployments)
  if (waitMs === null || (retryAfterMs !== undefined && retryAfterMs <= waitMs)) return failure
  return fail(code, { retryAfterMs: waitMs, ...(internal !== undefined && { internal }) })
}

/** What a failed attempt says about its deployment. Failures that the request itself caused say nothing. */
function judge(rooms: InvokeRooms, deployment: Deployment, error: unknown, signal: Signal): Failure {
  if (signal.aborted || isCallerLeft(error)) {
    rooms.breakers.undecided(deployment)
    rooms.attempted(deployment.engine, 'left')
    return signal.reason instanceof Failure ? signal.reason : callerLeft()
  }
  rooms.attempted(deployment.engine, 'failed')
  // An error that is no Failure is a defect of ours: it must not fail over silently, nor be blamed on the engine.
  if (!(error instanceof Failure)) {
    rooms.breakers.undecided(deployment)
    throw error
  }
  if (error.internal === ORDERED) rooms.breakers.undecided(deployment)
  else if (error.code === 'MODEL_OVERLOADED') rooms.breakers.asked(deployment, error.retryAfterMs ?? null)
  else if (ERRORS[error.code].retryable) rooms.breakers.failed(deployment)
  else rooms.breakers.undecided(deployment)
  return error
}

/** Why no deployment was even tried. */
function nobody(rooms: InvokeRooms, model: Model, refused: string | Failure | null): Failure {
  if (refused instanceof Failure) return refused
  if (refused !== null) return failField(refused, `${model.id} is served by an engine that does not support this field`)
  const waitMs = rooms.breakers.shortestWaitMs(model.deployments)
  if (waitMs !== null) return fail('MODEL_OVERLOADED', { retryAfterMs: waitMs, internal: 'cooling' })
  return fail('MODEL_OFFLINE', {
    say: `The model ${model.id} is currently offline: ${rooms.catalog.remedy(model)}`,
    internal: 'no_deployment',
  })
}
