/**
 * What is counted, in the text that Prometheus reads. Made when somebody scrapes; until then neither this file nor
 * prom-client is loaded.
 */
import { Counter, Gauge, Registry } from 'prom-client'
import { ERRORS } from '../core/errors.ts'
import type { Unit } from '../core/usage.ts'
import type { AttemptOutcome, MetricsOptions, ModelSeries } from './metrics.ts'
import { addProcessMetrics } from './process-metrics.ts'

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

/** What the counts are read from, each time anew. */
export type Source = MetricsOptions & {
  readonly models: ReadonlyMap<string, ModelSeries>
  readonly attempts: ReadonlyMap<string, ReadonlyMap<AttemptOutcome, number>>
  readonly up: ReadonlyMap<string, boolean>
}

export function exposition(source: Source): Registry {
  const registry = new Registry()
  const { up } = source
  registry.registerMetric(
    new Gauge({
      name: 'rialto_engine_up',
      help: 'Whether an engine answered its last probe.',
      labelNames: ['engine'],
      registers: [],
      collect() {
        for (const [engine, is] of up) this.set({ engine }, is ? 1 : 0)
      },
    }),
  )
  addCounts(registry, source)
  gaugeOf(registry, 'rialto_runs_in_flight', 'Runs that have not ended.', source.runsInFlight)
  gaugeOf(registry, 'rialto_ledger_queue', 'Settlements that wait to be written.', source.ledgerQueue)
  const build = new Gauge({
    name: 'rialto_build_info',
    help: 'The version that runs.',
    labelNames: ['version', 'node'],
    registers: [registry],
  })
  build.set({ version: source.version, node: process.version }, 1)
  addProcessMetrics(registry)
  return registry
}

/** The counters that are kept in plain numbers: written anew, whole, whenever somebody scrapes. */
function addCounts(registry: Registry, { models, attempts }: Source): void {
  const add = (counter: Counter): void => registry.registerMetric(counter)
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

function* answersOf(models: ReadonlyMap<string, ModelSeries>) {
  for (const { endpoints } of models.values())
    for (const { endpoint, model, answers } of endpoints.values())
      for (const [key, { status, count }] of answers) yield { endpoint, model, key, status, count }
}

function* unitsOf(models: ReadonlyMap<string, ModelSeries>) {
  for (const { model, units } of models.values()) for (const [unit, count] of units) yield { model, unit, count }
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
