/** The composition root: the only file that names every concrete class. */
import { flushCompileCache } from 'node:module'
import { isIPv6 } from 'node:net'
import { join } from 'node:path'
import { Catalog } from './catalog/catalog.ts'
import { CatalogProblem } from './catalog/problem.ts'
import { type Config, type EngineConfig, about, loadConfig } from './config.ts'
import type { Clock } from './core/clock.ts'
import type { Engine, Reach } from './core/engine.ts'
import type { Store } from './core/store.ts'
import type { Readiness } from './endpoints/health/health.ts'
import { endpoints } from './endpoints/index.ts'
import { AnthropicEngine } from './engines/anthropic/anthropic.ts'
import { OpenAiEngine } from './engines/openai/openai.ts'
import { sandboxEngine } from './engines/sandbox/sandbox.ts'
import { watchEngines } from './engines/watch.ts'
import { errorBody } from './http/error-reply.ts'
import { Door } from './http/server.ts'
import { ensureFirstKey } from './keys/first-key.ts'
import { Keys } from './keys/keys.ts'
import { AbuseGuard } from './limits/abuse-guard.ts'
import { Limits } from './limits/limits.ts'
import { RefusalLog } from './limits/refusal-log.ts'
import { Ledger } from './money/ledger.ts'
import { Breakers } from './pipeline/breakers.ts'
import { Desk } from './pipeline/desk.ts'
import { enter } from './pipeline/enter.ts'
import type { ServeRooms } from './pipeline/serve.ts'
import { banner, help } from './start/banner.ts'
import { StartError } from './start/environment.ts'
import { newIds } from './start/ids.ts'
import { type Ownership, ownAlone } from './store/sqlite/owner.ts'
import { openSqliteStore } from './store/sqlite/sqlite-store.ts'
import { Log } from './telemetry/log.ts'
import { sinkOf } from './telemetry/log-sink.ts'
import { Metrics } from './telemetry/metrics.ts'
import { openTraces } from './telemetry/traces.ts'

const STDOUT = 1
/** Local engines answer at once or not at all; a slow one joins when it answers. */
const FIRST_ROUND_MS = 250
const PING_STORE_MS = 1_000
/** By then whatever a start loads is loaded. */
const SETTLED_MS = 3_000

const clock: Clock = {
  now: () => Date.now(),
  tick: () => performance.now(),
  id: newIds(Date.now),
}

/** Builds the house and opens the door. Resolves when it is open. */
async function start(config: Config): Promise<void> {
  const startedTick = clock.tick()
  const { server, version } = config
  const log = new Log(sinkOf(STDOUT), clock, process.stdout.isTTY ? 'text' : 'json')
  const { store, ownership } = await openStore(config.home)
  await store.migrate()
  const adminKey = await ensureFirstKey(store, { fromEnv: config.adminKey, clock })

  const engines = new Map(config.engines.filter(({ configured }) => configured).map((entry) => [entry.id, engineOf(entry)]))
  const catalog = new Catalog({ entries: config.models, names: config.names, engines: config.engines, clock })
  const refusals = new RefusalLog(store)
  const guard = new AbuseGuard({ clock, note: refusals.note })
  const ledger = new Ledger({ store, clock, onStoreAway: storeChanges(log) })
  const keys = new Keys(store, clock)
  const metrics = new Metrics({ version, runsInFlight: () => door.inFlight, ledgerQueue: () => ledger.status.unwritten })
  const traces = await openTraces({ ...config, onExport: collectorChanges(log) })
  const rooms: ServeRooms & { catalog: Catalog } = {
    catalog,
    engines,
    breakers: watchedBreakers(catalog, log),
    limits: new Limits({ plans: config.plans, clock, note: refusals.note }),
    ledger,
    clock,
    waits: { firstByteMs: server.firstByteMs, stallMs: server.stallMs },
    attempted: (engine, outcome) => metrics.attempt(engine, outcome),
  }
  const door: Door = new Door({
    ...server,
    clock,
    version: config.release,
    endpoints: endpoints({
      systemPrompt: config.systemPrompt,
      about: { version, plans: config.plans, errorBody },
      health: { metrics: () => metrics.text(), readiness: () => readiness(door, store, ledger, catalog) },
    }),
    enter: (authorization, apiKey, address) => enter({ keys, guard }, authorization, apiKey, address),
    desk: (envelope, signal) => new Desk(rooms, envelope, signal),
    over(envelope, durationMs, defect, traceparent) {
      log.request(envelope, durationMs)
      if (defect !== null) log.unknownError(defect, envelope.requestId)
      metrics.observe(envelope, durationMs)
      if (envelope.caller && envelope.code) guard.count(envelope.caller, envelope.code)
      if (envelope.modality !== null) traces.record(envelope, durationMs, traceparent ?? null)
    },
  })

  const watch = new AbortController()
  const found = await watched(engines, catalog, log, metrics, watch.signal)
  const port = await listen(door, config)
  const baseUrl = `http://${isIPv6(config.host) ? `[${config.host}]` : config.host}:${port}`
  process.stderr.write(banner({ baseUrl, version, adminKey: adminKey?.reveal() ?? null, engines: found() }))
  log.event('server_started', { host: config.host, port, version, ready_ms: Math.round(clock.tick() - startedTick) })

  stopOn(async (signal) => {
    log.event('server_stopping', { signal, runs_in_flight: door.inFlight })
    watch.abort()
    const runsCut = await door.close(server.shutdownMs)
    const unwritten = await ledger.close()
    if (unwritten > 0) log.event('ledger_behind', { waiting: unwritten })
    await Promise.all([refusals.flush(), traces.close(), ...[...engines.values()].map((engine) => engine.close())])
    await store.close()
    ownership.release()
    log.event('server_stopped', { runs_cut: runsCut })
    await log.close()
    process.exit(0)
  })
  // What was compiled for this start makes the next one faster, also when this process is killed one day.
  setTimeout(flushCompileCache, SETTLED_MS).unref()
  surviveDefects(log)
}

/** A defect somewhere must not take every other request with it; it is logged without its words. */
function surviveDefects(log: Log): void {
  process.on('uncaughtException', (error) => log.unknownError(error, null))
  process.on('unhandledRejection', (error) => log.unknownError(error, null))
}

async function openStore(home: string): Promise<{ store: Store; ownership: Ownership }> {
  try {
    const store = await openSqliteStore(join(home, 'rialto.db'))
    const ownership = ownAlone(join(home, 'rialto.lock'))
    if (ownership) return { store, ownership }
    await store.close()
  } catch (error) {
    // Nothing has been asked yet: the words are about the file only.
    const why = error instanceof Error ? error.message : 'unknown'
    throw new StartError(`RIALTO_HOME takes a folder that can be written; there can be no database in ${home} (${why}).`)
  }
  throw new StartError(`RIALTO_HOME takes a folder of its own; another Rialto is running on ${home}.`)
}

/** A key or an address that cannot be sent stops the start with one sentence; it names the engine and quotes nothing. */
function engineOf(config: EngineConfig): Engine {
  try {
    return newEngine(config)
  } catch (error) {
    if (error instanceof TypeError) throw new StartError(`engines.json: ${config.id}: ${error.message}.`)
    throw error
  }
}

function newEngine({ id, kind, privacy, lists, baseUrl, apiKey, unsupported, maxTokensField }: EngineConfig): Engine {
  if (kind === 'sandbox') return sandboxEngine()
  if (baseUrl === null) throw new StartError(`engines.json: ${id}: baseUrl is missing.`)
  const remote = { id, privacy, lists, baseUrl, apiKey }
  if (kind === 'anthropic') return new AnthropicEngine(remote)
  return new OpenAiEngine({ ...remote, unsupported: unsupported ?? [], maxTokensField: maxTokensField ?? 'max_tokens' })
}

/** Starts the watch over the engines, waits a moment for the near ones, and gives what was found, in words. */
async function watched(
  engines: ReadonlyMap<string, Engine>,
  catalog: Catalog,
  log: Log,
  metrics: Metrics,
  signal: AbortSignal,
): Promise<() => string[]> {
  const states = new Map<string, Reach>()
  const report = (id: string, reach: Reach): void => {
    const before = states.get(id)
    states.set(id, reach)
    catalog.reach(id, reach)
    metrics.engine(id, reach.up)
    if (before?.up === reach.up) return
    if (reach.up) log.event('engine_up', { engine: id, models: reach.models?.length ?? null })
    // A local server that never was there is no news.
    else if (before || !engines.get(id)?.lists) log.event('engine_down', { engine: id, why: reach.why })
  }
  const { firstRound } = watchEngines(engines.values(), report, { signal })
  await Promise.race([firstRound, new Promise((resolve) => setTimeout(resolve, FIRST_ROUND_MS))])
  return () =>
    [...states].flatMap(([id, reach]) => {
      if (!reach.up || id === 'sandbox') return []
      return [reach.models === null ? id : `${id} (${reach.models.length} ${reach.models.length === 1 ? 'model' : 'models'})`]
    })
}

/** Breakers whose openings and closings are listed and logged. */
function watchedBreakers(catalog: Catalog, log: Log): Breakers {
  return new Breakers(clock, (deployment, open) => {
    catalog.trip(deployment, open)
    log.event(open ? 'breaker_open' : 'breaker_closed', { engine: deployment.engine, model: deployment.model })
  })
}

/** One line when the database goes away, one when it is back. */
function storeChanges(log: Log): (away: boolean) => void {
  let since = 0
  return (away) => {
    if (away) since = clock.tick()
    if (away) log.event('store_away', { why: 'commit_failed' })
    else log.event('store_back', { away_ms: Math.round(clock.tick() - since) })
  }
}

/** One line when the collector of traces goes away, one when it is back, with what was lost in between. */
function collectorChanges(log: Log): (taken: boolean, spans: number) => void {
  let dropped = 0
  return (taken, spans) => {
    if (!taken && dropped === 0) log.event('traces_away', { dropped: spans })
    if (taken && dropped > 0) log.event('traces_back', { dropped })
    dropped = taken ? 0 : dropped + spans
  }
}

async function readiness(door: Door, store: Store, ledger: Ledger, catalog: Catalog): Promise<Readiness> {
  const limit = new Promise<false>((resolve) => setTimeout(() => resolve(false), PING_STORE_MS).unref())
  const database = await Promise.race([
    store.ping().then(
      () => true,
      () => false,
    ),
    limit,
  ])
  const online = catalog.list('all').some((model) => !model.model_spec.offline)
  const checks = {
    database: database && !ledger.status.storeAway ? 'ok' : 'away',
    models: online ? 'ok' : 'none is online',
    server: door.stopping ? 'stopping' : 'ok',
  }
  return { ready: Object.values(checks).every((check) => check === 'ok'), checks }
}

async function listen(door: Door, { port, host }: Config): Promise<number> {
  try {
    await door.listen(port, host)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : null
    if (code === 'EADDRINUSE') throw new StartError(`PORT: ${port} is taken by another program; choose another, such as PORT=${port + 1}.`)
    if (code === 'EACCES') throw new StartError(`PORT: ${port} may not be used by this user; choose one above 1023.`)
    if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') throw new StartError(`HOST takes an address of this machine, not "${host}".`)
    throw error
  }
  return door.port
}

/**
 * The first signal stops in good order; a second one at once. Those that come together are one: at Ctrl-C both the
 * terminal and npm send it.
 */
function stopOn(stop: (signal: string) => Promise<void>): void {
  const togetherMs = 500
  let stoppingTick: number | null = null
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (stoppingTick === null) {
        stoppingTick = clock.tick()
        void stop(signal)
      } else if (clock.tick() - stoppingTick > togetherMs) process.exit(1)
    })
  }
}

async function main(args: readonly string[]): Promise<void> {
  const [first] = args
  if (first === '--help' || first === '-h') process.stdout.write(help(about().version))
  else if (first === '--version' || first === '-v') process.stdout.write(`${about().version}\n`)
  else if (first !== undefined) throw new StartError(`There is no option ${first}; see --help.`)
  else await start(loadConfig())
}

main(process.argv.slice(2)).catch((error: unknown) => {
  const known = error instanceof StartError || error instanceof CatalogProblem
  // A defect at the start: nothing has been asked yet, so its words cannot hold content.
  process.stderr.write(known ? `${error.message}\n` : `${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
  process.exit(known ? 2 : 1)
})
