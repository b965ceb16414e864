/** The composition root: the only file that names every concrete class. Builds the house; opens nothing to the outside. */
import { Accounts } from './accounts/accounts.ts'
import { Audit } from './accounts/audit.ts'
import { Credits } from './accounts/credits.ts'
import { TrialBalances } from './accounts/trial-balance.ts'
import { Catalog } from './catalog/catalog.ts'
import { type Chain, openChain } from './chain/chain.ts'
import type { Config } from './config.ts'
import type { Balance } from './core/call.ts'
import type { Clock } from './core/clock.ts'
import type { Engine } from './core/engine.ts'
import type { Outside } from './core/outside.ts'
import type { Store } from './core/store.ts'
import type { Readiness } from './endpoints/health/health.ts'
import type { EndpointOptions } from './endpoints/index.ts'
import { endpoints } from './endpoints/index.ts'
import { OutsideDoor } from './engines/outside.ts'
import { TOP_UP_BOUNDS } from './funding/funding.ts'
import { STRIPE_URL, Stripe } from './funding/stripe.ts'
import { Till } from './funding/till.ts'
import { WalletEntry } from './funding/wallet-entry.ts'
import { X402 } from './funding/x402.ts'
import { errorBody } from './http/error-reply.ts'
import { Door, type DoorOptions } from './http/server.ts'
import { OPERATOR_ACCOUNT, OPERATOR_PLAN } from './keys/first-key.ts'
import { Keyring } from './keys/keyring.ts'
import { Keys } from './keys/keys.ts'
import { SecretKey } from './keys/secret-key.ts'
import { AbuseGuard } from './limits/abuse-guard.ts'
import { recordedRequests } from './limits/day-records.ts'
import { Limits } from './limits/limits.ts'
import { Load } from './limits/load.ts'
import { RefusalLog } from './limits/refusal-log.ts'
import { Ledger } from './money/ledger.ts'
import { Breakers } from './pipeline/breakers.ts'
import { Desk } from './pipeline/desk.ts'
import { type Wallets, enter } from './pipeline/enter.ts'
import type { ServeRooms } from './pipeline/serve.ts'
import { Retention } from './store/retention.ts'
import type { Log } from './telemetry/log.ts'
import { Metrics } from './telemetry/metrics.ts'
import { openTraces } from './telemetry/traces.ts'
import { type Workshop, openWorkshop } from './workshop.ts'

const PING_STORE_MS = 1_000

export type House = {
  readonly door: Door
  readonly engines: ReadonlyMap<string, Engine>
  readonly catalog: Catalog
  readonly metrics: Metrics
  readonly chain: Chain
  /** Begins what goes on by itself: reading stakes, forgetting what is old. */
  start(): void
  /** Writes what is left and lets go of everything, once the door is closed. Resolves with the settlements that could not be written. */
  close(): Promise<number>
}

/** Builds the house over an open store. The door listens when `listen` is called on it. */
export async function buildHouse(config: Config, store: Store, log: Log, clock: Clock): Promise<House> {
  const { server, version, plans } = config
  const workshop = await openWorkshop(config, clock)
  const { engines, models, codecs } = workshop
  const catalog = new Catalog({ entries: config.models, names: config.names, engines: config.engines, clock })
  catalog.addPrices(await store.prices())
  const refusals = new RefusalLog(store)
  const guard = new AbuseGuard({ clock, note: refusals.note })
  const onAlarm = (what: string): void => log.event('ledger_alarm', { what })
  const ledger = new Ledger({ store, clock, onStoreAway: storeChanges(log, clock), onAlarm })
  const keys = new Keys(store, clock)
  const outside = new OutsideDoor()
  const origin = originOf(config, () => door.port)
  const chain = chainOf(config, { store, clock, outside, ledger, log, origin })
  const money = moneyOf(config, { store, clock, outside, ledger, chain, origin })
  const limits = new Limits({ plans, clock, note: refusals.note, requestsOn: recordedRequests(store) })
  const metrics = new Metrics({ version, runsInFlight: () => door.inFlight, ledgerQueue: () => ledger.status.unwritten })
  const traces = await openTraces({ ...config, onExport: collectorChanges(log) })
  const rooms: ServeRooms & { catalog: Catalog } = {
    catalog,
    engines,
    breakers: watchedBreakers(catalog, log, clock),
    limits,
    ledger,
    clock,
    waits: { firstByteMs: server.firstByteMs, stallMs: server.stallMs },
    attempted: (engine, outcome) => metrics.attempt(engine, outcome),
  }
  const keyring = keyringOf({ store, clock, keys, catalog, limits })
  const entrance = { keys, guard, wallets: money.wallets }
  const { systemPrompt, release } = config
  const door: Door = new Door({
    ...server,
    clock,
    version: release,
    load: new Load(server),
    endpoints: endpoints({
      ...money,
      systemPrompt,
      about: { version, plans, errorBody },
      health: { metrics: () => metrics.text(), readiness: () => readiness(door, store, ledger, catalog) },
      audio: codecs,
      keyring,
      web3Keys: chain.web3Keys,
      rateLimits: { plans, clock, store, ledger, flushRefusals: () => refusals.flush() },
      billing: { ledger, store },
      admin: adminOf(config, { store, clock, ledger, keys, keyring, models }),
    }),
    enter: (credentials, address, endpoint) => enter(entrance, credentials, address, endpoint),
    balance: ({ accountId }) => balanceOf(ledger, accountId),
    desk: (envelope, signal) => new Desk(rooms, envelope, signal),
    over: witness({ log, metrics, guard, traces }),
  })
  const retention = new Retention({ store, clock, ...server })
  return {
    door,
    engines,
    catalog,
    metrics,
    chain,
    start() {
      workshop.warm()
      chain.stakes?.start()
      retention.start()
    },
    close: () => close({ chain, retention, ledger, refusals, keys, traces, outside, workshop }),
  }
}

type Closing = {
  readonly chain: Chain
  readonly retention: Retention
  readonly ledger: Ledger
  readonly refusals: RefusalLog
  readonly keys: Keys
  readonly traces: Traces
  readonly outside: OutsideDoor
  readonly workshop: Workshop
}

async function close({ chain, retention, ledger, refusals, keys, traces, outside, workshop }: Closing): Promise<number> {
  await Promise.all([chain.stakes?.stop(), retention.stop()])
  const unwritten = await ledger.close()
  await Promise.all([refusals.flush(), keys.close(), traces.close(), outside.close()])
  await workshop.close()
  return unwritten
}

type Traces = Awaited<ReturnType<typeof openTraces>>

/** For headers only, so a database that is away is no reason to refuse anything. */
async function balanceOf(ledger: Ledger, accountId: string): Promise<Balance | null> {
  try {
    const { USD, BUNDLED_CREDITS, DIEM } = await ledger.balances(accountId)
    return { usd: USD.balance + BUNDLED_CREDITS.balance, diem: DIEM.balance }
  } catch {
    return null
  }
}

type Witnesses = {
  readonly log: Log
  readonly metrics: Metrics
  readonly guard: AbuseGuard
  readonly traces: Traces
}

/** Who hears of every request that is over. */
function witness({ log, metrics, guard, traces }: Witnesses): DoorOptions['over'] {
  return (envelope, durationMs, defect, traceparent) => {
    log.request(envelope, durationMs)
    if (defect !== null) log.unknownError(defect, envelope.requestId)
    metrics.observe(envelope, durationMs)
    if (envelope.caller && envelope.code) guard.count(envelope.caller, envelope.code, envelope)
    if (envelope.modality !== null) traces.record(envelope, durationMs, traceparent ?? null)
  }
}

type Grounds = {
  readonly store: Store
  readonly clock: Clock
  readonly outside: Outside
  readonly ledger: Ledger
  /** Where callers reach this server, without a slash at its end. */
  readonly origin: () => string
}

function chainOf(config: Config, { store, clock, outside, ledger, log, origin }: Grounds & { readonly log: Log }): Chain {
  return openChain({
    file: config.chain,
    secrets: config,
    outside,
    store,
    clock,
    // Never what a request says in its Host header: a signature for another server must not open this one.
    hosts: () => [new URL(origin()).host.toLowerCase()],
    setAllowance: (accountId, nano) => ledger.setAllowance(accountId, nano),
    stakesChanged: ({ state, why, wallets, unread }) => log.event('stakes', { state, why, wallets, unread }),
  })
}

/** What takes payments, as far as it is set up. */
function moneyOf(
  { stripe, publicUrl }: Config,
  { store, clock, outside, ledger, chain, origin }: Grounds & { readonly chain: Chain },
): Pick<EndpointOptions, 'cards' | 'x402'> & { readonly wallets: Wallets | null } {
  const bounds = TOP_UP_BOUNDS
  const till = new Till({ store, ledger, clock })
  const cards =
    stripe &&
    new Stripe({
      secretKey: new SecretKey(stripe.secretKey),
      webhookSecrets: stripe.webhookSecrets.map((secret) => new SecretKey(secret)),
      url: stripe.url ?? STRIPE_URL,
      outside,
      bounds,
      clock,
      homeUrl: publicUrl,
    })
  const { payments, signIn, accounts } = chain
  if (!payments || !signIn) return { cards: { cards, till, bounds }, x402: null, wallets: null }
  const wallets = new WalletEntry({ signIn, accounts, ledger, rails: payments.rails, bounds, baseUrl: () => `${origin()}/api/v1` })
  return { cards: { cards, till, bounds }, x402: { x402: new X402({ payments, accounts, store, bounds }), till, wallets, store }, wallets }
}

type KeyRooms = Pick<Grounds, 'store' | 'clock'> & { readonly keys: Keys; readonly catalog: Catalog; readonly limits: Limits }

function keyringOf({ store, clock, keys, catalog, limits }: KeyRooms): Keyring {
  return new Keyring({
    store,
    clock,
    keys,
    knowsModel: (id) => catalog.model(id) !== null,
    async admit(accountId) {
      const plan = (await store.account(accountId))?.plan ?? ''
      const admission = limits.admitAction({ accountId, keyId: accountId, plan }, 'createKey')
      if (!admission.ok) throw admission.failure
    },
  })
}

type AdminRooms = Pick<Grounds, 'store' | 'clock' | 'ledger'> & {
  readonly keys: Keys
  readonly keyring: Keyring
  readonly models: Workshop['models']
}

function adminOf({ plans }: Config, { store, clock, ledger, keys, keyring, models }: AdminRooms): EndpointOptions['admin'] {
  const audit = new Audit(store, clock)
  const accounts = new Accounts({
    store,
    audit,
    clock,
    plans: new Set([...Object.keys(plans), OPERATOR_PLAN]),
    operatorId: OPERATOR_ACCOUNT,
    async changed(accountId) {
      keys.invalidate({ accountId })
      await ledger.reload(accountId)
    },
  })
  return {
    accounts,
    audit,
    store,
    clock,
    keyring,
    models,
    credits: new Credits({ store, ledger, audit }),
    trialBalances: new TrialBalances(store, () => ledger.status, clock.now),
    balances: (id) => ledger.balances(id),
    flush: () => ledger.flush(),
  }
}

/** The public address where it is set; else where the server listens. */
export function originOf({ publicUrl, host }: Pick<Config, 'publicUrl' | 'host'>, port: () => number): () => string {
  return () => publicUrl ?? `http://${host.includes(':') ? `[${host}]` : host}:${port()}`
}

/** Breakers whose openings and closings are listed and logged. */
function watchedBreakers(catalog: Catalog, log: Log, clock: Clock): Breakers {
  return new Breakers(clock, (deployment, open) => {
    catalog.trip(deployment, open)
    log.event(open ? 'breaker_open' : 'breaker_closed', { engine: deployment.engine, model: deployment.model })
  })
}

/** One line when the database goes away, one when it is back. */
function storeChanges(log: Log, clock: Clock): (away: boolean) => void {
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
