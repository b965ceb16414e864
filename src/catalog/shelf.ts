/** Every model there is, configured or found, and which of its deployments can be reached at the moment. */
import type { Clock } from '../core/clock.ts'
import type { EngineModel, Privacy, Reach } from '../core/engine.ts'
import { GAUGES } from '../core/modality.ts'
import type { Deployment, Model } from '../core/model.ts'
import { SANDBOX, fileOf } from './build.ts'
import { foundModel, listable } from './found.ts'
import { problem } from './problem.ts'
import { hasEquals } from './turns.ts'

/** What the catalogue must know of an engine. */
export type KnownEngine = {
  readonly id: string
  readonly privacy: Privacy
  /** Whether the models that it says it has join the catalogue. */
  readonly lists: boolean
  /** Whether it has what it needs (a key, an address) to be used at all. */
  readonly configured: boolean
  readonly remedy: string
}

/** A model and what was last worked out about it. */
export type Item = {
  /** As the files or its engine have it. */
  readonly listed: Model
  /** The same at the prices of the moment. Replaced, never changed: who began with one goes on with it. */
  model: Model
  /** Nobody configured it: an engine says it has it. */
  readonly found: boolean
  readonly sandbox: boolean
  /** Which state of the shelf the rest belongs to. */
  version: number
  /** Deployments on engines that are up, sorted by order. Those whose breaker is open stay: it lets its probes through. */
  ready: readonly Deployment[]
  /** Whether some of them stand in the same place and take turns by weight. */
  spread: boolean
  /** Whether at least one of them has no open breaker. */
  online: boolean
}

type EngineState = {
  readonly engine: KnownEngine
  up: boolean
  why: string
  /** Null where the engine does not say. */
  models: ReadonlyMap<string, EngineModel> | null
}

/**
 * For how long an open breaker keeps its deployment out of listings and names, in milliseconds. A breaker closes by
 * requests; a deployment that no name led to any more would never get one.
 */
export const TRIP_LAPSE_MS = 60_000
/** Trips are of configured or found deployments, so there are not many; this is the bound should that ever break. */
const MAX_TRIPS = 10_000

const NOTHING: readonly Deployment[] = []
/** How many ways to bring a model online are told. */
const MAX_REMEDIES = 4

export class Shelf {
  /** Counts up with every change, so that whoever keeps a conclusion knows when it is out of date. */
  version = 1
  readonly byId = new Map<string, Item>()
  /** Other names of found models: `engine/name`, and `name` for `name:latest`. */
  readonly aliases = new Map<string, Item>()
  readonly #configured: readonly Item[]
  readonly #engines = new Map<string, EngineState>()
  readonly #covered = new Set<string>()
  /** Deployments with an open breaker, and until which tick that counts here. */
  readonly #trips = new Map<string, number>()
  #lapsesAt = Infinity
  #found: readonly Item[] = []
  readonly #clock: Clock
  /** What a model is sold at now. */
  #priced: (model: Model) => Model = (model) => model

  /** Throws a `CatalogProblem` for an id that is there twice, an engine that is not, and a broken promise of privacy. */
  constructor(models: readonly Model[], engines: readonly KnownEngine[], clock: Clock) {
    this.#clock = clock
    for (const engine of engines) {
      const lists = engine.lists && engine.id !== SANDBOX
      this.#engines.set(engine.id, { engine: { ...engine, lists }, up: engine.configured && !lists, why: 'not probed yet', models: null })
    }
    this.#configured = models.map((model) => {
      this.#check(model)
      const item = itemOf(model, model, false)
      this.byId.set(model.id, item)
      for (const deployment of model.deployments) this.#covered.add(keyOf(deployment))
      return item
    })
  }

  /** In the order of listings: configured, found, and the sandbox's at the end. */
  *items(): Generator<Item> {
    for (const item of this.#configured) if (!item.sandbox) yield item
    yield* this.#found
    for (const item of this.#configured) if (item.sandbox) yield item
  }

  /** What was last heard of an engine. Nothing changes while it says the same. */
  reach(engineId: string, reach: Reach): void {
    const state = this.#engines.get(engineId)
    if (!state) return
    if (!reach.up) {
      state.why = reach.why
      if (!state.up) return
      state.up = false
      this.version++
      return
    }
    const models = state.engine.lists && reach.models ? listable(reach.models) : null
    const same = sameModels(models, state.models)
    if (state.up && same) return
    state.up = true
    state.models = models
    if (!same) this.#restock()
    this.version++
  }

  /** Prices have changed: `priced` gives each model as it is sold from now on. */
  reprice(priced: (model: Model) => Model): void {
    this.#priced = priced
    for (const item of this.items()) item.model = priced(item.listed)
    this.version++
  }

  trip(deployment: Deployment, open: boolean): void {
    const key = keyOf(deployment)
    if (!open) {
      if (this.#trips.delete(key)) this.version++
      return
    }
    if (this.#trips.size >= MAX_TRIPS && !this.#trips.has(key)) return
    const until = this.#clock.tick() + TRIP_LAPSE_MS
    this.#trips.set(key, until)
    this.#lapsesAt = Math.min(this.#lapsesAt, until)
    this.version++
  }

  /** Forgets trips that have lapsed. Called before conclusions are drawn from `version`. */
  refresh(): void {
    if (this.#lapsesAt === Infinity || this.#clock.tick() < this.#lapsesAt) return
    this.#lapsesAt = Infinity
    for (const [key, until] of this.#trips) {
      if (until <= this.#clock.tick()) this.#trips.delete(key)
      else this.#lapsesAt = Math.min(this.#lapsesAt, until)
    }
    this.version++
  }

  /** The item with its `ready`, `spread` and `online` up to date. */
  current(item: Item): Item {
    if (item.version === this.version) return item
    item.version = this.version
    item.ready = Object.hasOwn(GAUGES, item.model.modality) ? item.model.deployments.filter((deployment) => this.#has(deployment)) : NOTHING
    item.spread = hasEquals(item.ready)
    item.online = item.ready.some((deployment) => !this.#trips.has(keyOf(deployment)))
    return item
  }

  online(item: Item): boolean {
    return this.current(item).online
  }

  /** A found model stays known while its engine is down, so that asking for it says so; it is only not listed. */
  listed(item: Item): boolean {
    return !item.found || this.current(item).ready.length > 0
  }

  /** What the operator can do to bring a model online, in sentences. */
  remedy(model: Model): string {
    if (!Object.hasOwn(GAUGES, model.modality)) return `This version does not run models of type ${model.modality} yet.`
    const ways: string[] = []
    for (const deployment of model.deployments) {
      const state = this.#engines.get(deployment.engine)
      if (!state || this.#has(deployment)) continue
      const way = wayOf(state, deployment)
      if (!ways.includes(way) && ways.length < MAX_REMEDIES) ways.push(way)
    }
    if (ways.length > 0) return ways.join(' Or: ')
    if (model.deployments.length > 0) return 'It has failed several times in a row and is tried again shortly.'
    return `It has no deployment; give it one in ${fileOf(model.modality)} of the configuration folder.`
  }

  #has({ engine, model }: Deployment): boolean {
    const state = this.#engines.get(engine)
    return state !== undefined && state.engine.configured && state.up && (state.models === null || state.models.has(model))
  }

  #check(model: Model): void {
    const where = `${fileOf(model.modality)}: ${model.id}`
    if (this.byId.has(model.id)) throw problem(`${where}: there are two models with this id`)
    for (const deployment of model.deployments) {
      const state = this.#engines.get(deployment.engine)
      if (!state) throw problem(`${where}: deployments: there is no engine ${deployment.engine} in engines.json`)
      if (model.privacy === 'private' && state.engine.privacy !== 'private') {
        throw problem(`${where}: a private model may not run on ${deployment.engine}, which is ${state.engine.privacy}`)
      }
    }
  }

  /** Works out the found models anew, in the order of the engines, so that ids do not depend on who answered first. */
  #restock(): void {
    for (const item of this.#found) this.byId.delete(item.model.id)
    this.aliases.clear()
    const found: Item[] = []
    for (const { engine, models } of this.#engines.values()) {
      for (const model of models?.values() ?? []) {
        const long = `${engine.id}/${model.name}`
        // A configured model has a deployment for it: it is that model already.
        if (this.#covered.has(keyOf({ engine: engine.id, model: model.name }))) continue
        const id = this.byId.has(model.name) ? long : model.name
        if (this.byId.has(id)) continue
        const listed = foundModel(id, engine, model)
        const item = itemOf(listed, this.#priced(listed), true)
        this.byId.set(id, item)
        this.#alias(long, item)
        if (id.endsWith(LATEST)) this.#alias(id.slice(0, -LATEST.length), item)
        found.push(item)
      }
    }
    this.#found = found
  }

  #alias(name: string, item: Item): void {
    if (!this.aliases.has(name)) this.aliases.set(name, item)
  }
}

/** Stands for the model's name in the words of an engine of this machine. */
const MODEL = '{model}'

const LATEST = ':latest'

const itemOf = (listed: Model, model: Model, found: boolean): Item => ({
  listed,
  model,
  found,
  sandbox: model.deployments.some(({ engine }) => engine === SANDBOX),
  version: 0,
  ready: NOTHING,
  spread: false,
  online: false,
})

const keyOf = ({ engine, model }: { readonly engine: string; readonly model: string }): string => `${engine} ${model}`

function wayOf({ engine, up, why }: EngineState, deployment: Deployment): string {
  if (!engine.configured) return engine.remedy
  // What brings one model is another thing than what brings the engine, where its words name the model.
  if (up && engine.remedy.includes(MODEL)) return engine.remedy.replaceAll(MODEL, deployment.model)
  if (up) return `Load ${deployment.model} into ${engine.id}, which does not have it.`
  return `${engine.id} cannot be reached (${why}). ${engine.remedy}`
}

function sameModels(a: ReadonlyMap<string, EngineModel> | null, b: ReadonlyMap<string, EngineModel> | null): boolean {
  if (a === null || b === null || a.size !== b.size) return a === b
  for (const [name, model] of a) {
    const other = b.get(name)
    if (!other || other.modality !== model.modality || other.contextTokens !== model.contextTokens || other.vision !== model.vision)
      return false
  }
  return true
}
