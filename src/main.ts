/** The process: options, the start, the stop. What stands between is built in house.ts. */
import { flushCompileCache } from 'node:module'
import { join } from 'node:path'
import { CatalogProblem } from './catalog/problem.ts'
import { type Config, about, loadConfig } from './config.ts'
import type { Clock } from './core/clock.ts'
import type { Reach } from './core/engine.ts'
import type { Store } from './core/store.ts'
import { watchEngines } from './engines/watch.ts'
import { type House, buildHouse, originOf } from './house.ts'
import type { Door } from './http/server.ts'
import { ensureFirstKey } from './keys/first-key.ts'
import { banner, help } from './start/banner.ts'
import { StartError } from './start/environment.ts'
import { newIds } from './start/ids.ts'
import { type Ownership, ownAlone } from './store/sqlite/owner.ts'
import { openSqliteStore } from './store/sqlite/sqlite-store.ts'
import { Log } from './telemetry/log.ts'
import { sinkOf } from './telemetry/log-sink.ts'

const STDOUT = 1
/** Local engines answer at once or not at all; a slow one joins when it answers. */
const FIRST_ROUND_MS = 250
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
  const { server, version, host } = config
  const log = new Log(sinkOf(STDOUT), clock, process.stdout.isTTY ? 'text' : 'json')
  const { store, ownership } = await openStore(config.home)
  await store.migrate()
  const adminKey = await ensureFirstKey(store, { fromEnv: config.adminKey, clock })
  const house = await buildHouse(config, store, log, clock)
  const { door } = house

  giveBack()
  const watch = new AbortController()
  const found = await watched(house, log, watch.signal)
  const port = await listen(door, config)
  house.start()
  const baseUrl = originOf({ publicUrl: null, host }, () => port)()
  process.stderr.write(banner({ baseUrl, version, adminKey: adminKey?.reveal() ?? null, engines: found() }))
  log.event('server_started', { host, port, version, ready_ms: Math.round(clock.tick() - startedTick) })

  stopOn(async (signal) => {
    log.event('server_stopping', { signal, runs_in_flight: door.inFlight })
    watch.abort()
    const runsCut = await door.close(server.shutdownMs)
    const unwritten = await house.close()
    if (unwritten > 0) log.event('ledger_behind', { waiting: unwritten })
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

/** What a start loads and throws away is a third of its memory: given back before anybody is served, where Node lets us (`--expose-gc`). */
function giveBack(): void {
  globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' })
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

/** Starts the watch over the engines, waits a moment for the near ones, and gives what was found, in words. */
async function watched(
  { engines, catalog, metrics }: Pick<House, 'engines' | 'catalog' | 'metrics'>,
  log: Log,
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
      if (!reach.up || id === 'sandbox' || reach.models?.length === 0) return []
      return [reach.models === null ? id : `${id} (${reach.models.length} ${reach.models.length === 1 ? 'model' : 'models'})`]
    })
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
