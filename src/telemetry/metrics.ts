/**
 * What Prometheus reads at `/metrics`: counts and times of envelopes, with labels from bounded sets only.
 *
 * A request must cost little here (well under 1 µs), so it is counted in plain numbers, found by two map look-ups, and
 * prom-client hears of it only when somebody scrapes.
 */
import { Counter, Gauge, Registry } from 'prom-client'
import type { Envelope } from '../core/call.ts'
import { ERRORS } from '../core/errors.ts'
import type { ErrorCode } from '../core/errors.ts'
import type { Unit, Usage } from '../core/usage.ts'
import { addProcessMetrics } from './process-metrics.ts'
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

const KINDS: Readonly<Record<Unit, string>> = {
  inputToken: 'input',
  cacheReadToken: 'cache_read',
  cacheWriteToken: 'cache_write',
  outputToken: 'output',
  image: 'image',
  character: 'character',
  audioSecond: 'audio_second',
  videoSecond: 'video_second',
  call: 'call',
}
const isToken = (unit: Unit): boolean => unit.endsWith('Token')

/** What is counted of one endpoint and model. Answers are told apart by their code, or by their status where there is none. */
type Series = {
  readonly endpoint: string
  readonly model: string
  readonly answers: Map<ErrorCode | number, { status: number; count: number }>
  readonly seconds: Times
}
type ModelSeries = {
  readonly model: string
  readonly endpoints: Map<string, Series>
  readonly units: Map<Unit, number>
  /** Null until there was one. */
  firstByte: Times | null
}

export class Metrics {
  readonly #registry = new Registry()
  readonly #models = new Map<string, ModelSeries>()
  readonly #endpoints = new Set<string>()
  readonly #engines = new Set<string>()
  readonly #attempts = new Map<string, Map<AttemptOutcome, number>>()
  readonly #up: Gauge<'engine'>

  constructor(options: MetricsOptions) {
    const registers = [this.#registry]
    this.#up = new Gauge({
      name: 'rialto_engine_up',
      help: 'Whether an engine answered its last probe.',
      labelNames: ['engine'],
      registers,
    })
    this.#addCounts()
    gaugeOf(this.#registry, 'rialto_runs_in_flight', 'Runs that have not ended.', options.runsInFlight)
    gaugeOf(this.#registry, 'rialto_ledger_queue', 'Settlements that wait to be written.', options.ledgerQueue)
    const build = new Gauge({ name: 'rialto_build_info', help: 'The version that runs.', labelNames: ['version', 'node'], registers })
    build.set({ version: options.version, node: process.version }, 1)
    addProcessMetrics(this.#registry)
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
    this.#up.set({ engine: bounded(this.#engines, id) }, up ? 1 : 0)
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
    return (
      (await this.#registry.metrics()) +
      timesText('rialto_request_duration_seconds', 'From the head of a request to the end of its answer.', durations) +
      timesText('rialto_first_byte_seconds', "From the head of a request to the first byte of its answer's body, for runs.", firstBytes)
    )
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

  /** The counters that are kept in plain numbers: written anew, whole, whenever somebody scrapes. */
  #addCounts(): void {
    const models = this.#models
    const attempts = this.#attempts
    const add = (counter: Counter): void => this.#registry.registerMetric(counter)
    add(
      new Counter({
        name: 'rialto_requests_total',
        help: 'Answered requests.',
        labelNames: ['endpoint', 'model', 'status', 'code'],
        registers: [],
        collect() {
          this.reset()
          for (const { endpoint, model, key, status, count } of answersOf(models))
            this.inc({ endpoint, model, status: String(status), code: typeof key === 'string' ? key : '' }, count)
        },
      }),
    )
    add(
      new Counter({
        name: 'rialto_engine_attempts_total',
        help: 'Tries of a deployment, by how they ended.',
        labelNames: ['engine', 'outcome'],
        registers: [],
        collect() {
          this.reset()
          for (const [engine, outcomes] of attempts) for (const [outcome, count] of outcomes) this.inc({ engine, outcome }, count)
        },
      }),
    )
    add(
      new Counter({
        name: 'rialto_refusals_total',
        help: 'Requests that were refused, by the reason: everything that is the fault or the limit of a caller.',
        labelNames: ['code'],
        registers: [],
        collect() {
          this.reset()
          for (const { key, count } of answersOf(models))
            if (typeof key === 'string' && ERRORS[key].status < 500) this.inc({ code: key }, count)
        },
      }),
    )
    add(
      new Counter({
        name: 'rialto_tokens_total',
        help: 'Tokens of settled runs. The kinds are disjoint: cached input is not input.',
        labelNames: ['model', 'kind'],
        registers: [],
        collect() {
          this.reset()
          for (const { model, unit, count } of unitsOf(models)) if (isToken(unit)) this.inc({ model, kind: KINDS[unit] }, count)
        },
      }),
    )
    add(
      new Counter({
        name: 'rialto_units_total',
        help: 'Units of settled runs other than tokens.',
        labelNames: ['model', 'unit'],
        registers: [],
        collect() {
          this.reset()
          for (const { model, unit, count } of unitsOf(models)) if (!isToken(unit)) this.inc({ model, unit: KINDS[unit] }, count)
        },
      }),
    )
  }
}

function* answersOf(models: ReadonlyMap<string, ModelSeries>) {
  for (const { endpoints } of models.values())
    for (const { endpoint, model, answers } of endpoints.values())
      for (const [key, { status, count }] of answers) yield { endpoint, model, key, status, count }
}

function* unitsOf(models: ReadonlyMap<string, ModelSeries>) {
  for (const { model, units } of models.values()) for (const [unit, count] of units) yield { model, unit, count }
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

function gaugeOf(registry: Registry, name: string, help: string, read: () => number): void {
  registry.registerMetric(
    new Gauge({
      name,
      help,
      registers: [],
      collect() {
        this.set(read())
      },
    }),
  )
}
