/**
 * What Prometheus reads at `/metrics`: counts and times of envelopes, with labels from bounded sets only.
 *
 * A request must cost little here (well under 1 µs), so it is counted in plain numbers, found by two map look-ups, and
 * prom-client hears of it only when somebody scrapes, and is not even loaded before.
 */
import type { Envelope } from '../core/call.ts'
import type { ErrorCode } from '../core/errors.ts'
import type { Unit, Usage } from '../core/usage.ts'
import { Times, timesText } from './times.ts'

/** More models, endpoints or engines than this are counted together, as `other`. */
export const LABEL_VALUES_MAX = 500
const OTHER = 'other'

export const METRICS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/** How one try of a deployment ended; `left` is the caller, `busy` a 429 of the engine, `timeout` a first-byte or stall limit. */
export type AttemptOutcome = 'ok' | 'failed' | 'busy' | 'timeout' | 'left'

export type MetricsOptions = {
  readonly version: string
  /** Read when somebody scrapes: runs that have not ended, and settlements that wait for the store. */
  readonly runsInFlight: () => number
  readonly ledgerQueue: () => number
}

/** What is counted of one endpoint and model. Answers are told apart by their code, or by their status where there is none. */
export type Series = {
  readonly endpoint: string
  readonly model: string
  readonly answers: Map<ErrorCode | number, { status: number; count: number }>
  readonly seconds: Times
}
export type ModelSeries = {
  readonly model: string
  readonly endpoints: Map<string, Series>
  readonly units: Map<Unit, number>
  /** Null until there was one. */
  firstByte: Times | null
}

export class Metrics {
  readonly #options: MetricsOptions
  readonly #models = new Map<string, ModelSeries>()
  readonly #endpoints = new Set<string>()
  readonly #engines = new Set<string>()
  readonly #attempts = new Map<string, Map<AttemptOutcome, number>>()
  readonly #up = new Map<string, boolean>()
  #exposition: Promise<{ metrics(): Promise<string> }> | null = null

  constructor(options: MetricsOptions) {
    this.#options = options
  }

  /** Counts one answered request. */
  observe(envelope: Envelope, durationMs: number): void {
    const perModel = this.#models.get(envelope.model ?? '') ?? this.#addModel(envelope.model ?? '')
    const series = perModel.endpoints.get(envelope.endpoint) ?? this.#addSeries(perModel, envelope.endpoint)
    const key = envelope.code ?? envelope.status
    const answer = series.answers.get(key)
    if (answer) answer.count++
    else series.answers.set(key, { status: envelope.status, count: 1 })
    series.seconds.observe(durationMs / 1000)
    if (envelope.firstByteMs !== null && envelope.modality !== null) {
      perModel.firstByte ??= new Times({ model: perModel.model })
      perModel.firstByte.observe(envelope.firstByteMs / 1000)
    }
    if (envelope.usage !== null) addUsage(perModel.units, envelope.usage)
  }

  engine(id: string, up: boolean): void {
    this.#up.set(bounded(this.#engines, id), up)
  }

  attempt(engine: string, outcome: AttemptOutcome): void {
    const outcomes = this.#attempts.get(engine) ?? this.#addAttempts(engine)
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
  }

  /** The exposition text, of the type `METRICS_CONTENT_TYPE`. */
  async text(): Promise<string> {
    const models = [...this.#models.values()]
    const durations = models.flatMap(({ endpoints }) => [...endpoints.values()].map(({ seconds }) => seconds))
    const firstBytes = models.flatMap(({ firstByte }) => firstByte ?? [])
    const exposition = await (this.#exposition ??= this.#load())
    return (
      (await exposition.metrics()) +
      timesText('rialto_request_duration_seconds', 'From the head of a request to the end of its answer.', durations) +
      timesText('rialto_first_byte_seconds', "From the head of a request to the first byte of its answer's body, for runs.", firstBytes)
    )
  }

  async #load(): Promise<{ metrics(): Promise<string> }> {
    const { exposition } = await import('./exposition.ts')
    return exposition({ ...this.#options, models: this.#models, attempts: this.#attempts, up: this.#up })
  }

  #addModel(id: string): ModelSeries {
    // One place is kept for requests without a model, one for `other`.
    const model = id === '' || this.#models.size < LABEL_VALUES_MAX ? id : OTHER
    const known = this.#models.get(model)
    if (known) return known
    const added = { model, endpoints: new Map(), units: new Map(), firstByte: null }
    this.#models.set(model, added)
    return added
  }

  #addSeries(perModel: ModelSeries, path: string): Series {
    const endpoint = bounded(this.#endpoints, path)
    const known = perModel.endpoints.get(endpoint)
    if (known) return known
    const { model } = perModel
    const added = { endpoint, model, answers: new Map(), seconds: new Times({ endpoint, model }) }
    perModel.endpoints.set(endpoint, added)
    return added
  }

  #addAttempts(id: string): Map<AttemptOutcome, number> {
    const engine = bounded(this.#engines, id)
    const outcomes = this.#attempts.get(engine) ?? new Map<AttemptOutcome, number>()
    this.#attempts.set(engine, outcomes)
    return outcomes
  }
}

function addUsage(units: Map<Unit, number>, usage: Usage): void {
  // A Usage has no other keys than Units, by construction.
  for (const unit in usage) units.set(unit as Unit, (units.get(unit as Unit) ?? 0) + (usage[unit as Unit] ?? 0))
}

function bounded(known: Set<string>, value: string): string {
  if (known.has(value)) return value
  if (known.size >= LABEL_VALUES_MAX) return OTHER
  known.add(value)
  return value
}
