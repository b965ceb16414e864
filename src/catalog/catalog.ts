/** The catalogue: which models there are, what a name stands for, and where a model can be run at the moment. */
import type { Deprecation } from '../core/call.ts'
import type { Clock } from '../core/clock.ts'
import type { Reach } from '../core/engine.ts'
import { fail } from '../core/errors.ts'
import { MODALITIES } from '../core/modality.ts'
import type { Modality } from '../core/modality.ts'
import type { Deployment, Model } from '../core/model.ts'
import type { PriceRow } from '../core/store.ts'
import { buildModel } from './build.ts'
import type { ModelEntry, NamesFile } from './entry.ts'
import { Names } from './names.ts'
import { publicModel } from './public.ts'
import type { PublicModel } from './public.ts'
import { Shelf } from './shelf.ts'
import type { Item, KnownEngine } from './shelf.ts'
import { NO_FLAGS, readSuffix } from './suffix.ts'
import { Sunsets } from './sunsets.ts'
import { shuffled } from './turns.ts'
import { PriceVersions } from './versions.ts'

export type CatalogOptions = {
  readonly entries: readonly ModelEntry[]
  readonly names: NamesFile
  readonly engines: readonly KnownEngine[]
  readonly clock: Clock
  /** In [0, 1): draws among deployments of the same order. */
  readonly random?: () => number
}

/** What the name of a request stands for. */
export type Resolved = {
  readonly model: Model
  /** The feature suffix of the name, flag → value, checked; empty for most. */
  readonly flags: ReadonlyMap<string, string>
  /** What the caller is told about a model that goes away. */
  readonly deprecation: Deprecation | null
}

/** Longer names are not looked up. */
const MAX_NAME = 512
/** One client writes this in front of every model's name. */
const PREFIX = 'venice-'

export class Catalog {
  readonly #shelf: Shelf
  readonly #names: Names
  readonly #sunsets: Sunsets
  readonly #clock: Clock
  readonly #random: () => number
  /** The answers for names without a suffix that need no thought: made once per model, so that resolving allocates nothing. */
  readonly #plain = new WeakMap<Item, Resolved>()
  /** What listings were last made of; all of it belongs to this version of the shelf and ends when the next model goes. */
  readonly #public = new Map<Item, PublicModel>()
  readonly #lists = new Map<string, readonly PublicModel[]>()
  #version = 0
  #endsAt = -Infinity
  readonly #prices = new PriceVersions()
  /** When the next prices begin: until then those of the shelf are right. */
  #pricesAt = Infinity

  /** Throws a `CatalogProblem`, one sentence for the operator, where the data cannot be served as it is. */
  constructor(options: CatalogOptions) {
    const models = options.entries.map(buildModel)
    this.#clock = options.clock
    this.#random = options.random ?? Math.random
    this.#shelf = new Shelf(models, options.engines, options.clock)
    this.#sunsets = new Sunsets(options.entries, new Map(models.map((model) => [model.id, model])), options.clock)
    this.#names = new Names(options.names, this.#shelf, this.#sunsets)
  }

  /** In the order of the files, found models after the configured ones, the sandbox's last; `code`: text models for code. */
  list(type: Modality | 'all' | 'code'): readonly PublicModel[] {
    this.#settle()
    const known = this.#lists.get(type)
    if (known) return known
    const list: PublicModel[] = []
    for (const item of this.#shelf.items()) {
      if (isOf(item.model, type) && this.#shelf.listed(item) && !this.#sunsets.gone(item.model)) list.push(this.#show(item))
    }
    this.#lists.set(type, list)
    return list
  }

  /** By anything that `resolve` takes, of whatever type; null where there is no such model. */
  get(name: string): PublicModel | null {
    this.#settle()
    const item = this.#anywhere(name) ?? this.#anywhere(beforeSuffix(name))
    if (!item || !this.#shelf.listed(item)) return null
    if (!this.#sunsets.gone(item.model)) return this.#show(item)
    const { sunset } = item.model
    return sunset?.autoRemap && sunset.replacement !== null ? this.get(sunset.replacement) : null
  }

  traits(type: Modality): Record<string, string> {
    this.#settle()
    return this.#names.traits(type)
  }

  compatibility(type: Modality): Record<string, string> {
    this.#settle()
    return this.#names.compatibility(type)
  }

  /**
   * Exact id, trait, compatibility name, then the same without a `venice-` in front, then the same for what stands
   * before a colon, with the flags after it.
   * Throws for `model`: 404 for a name of nothing, 410 for a retired model, 400 for a model of another modality and for
   * a suffix that is not one.
   */
  resolve(name: string, modality: Modality): Resolved {
    // One comparison where no price is planned, which is nearly always.
    if (this.#pricesAt !== Infinity) this.#reprice()
    const exact = this.#shelf.byId.get(name)
    if (exact !== undefined && exact.model.modality === modality && exact.model.sunset === null) return this.#plainOf(exact)
    return this.#resolveName(name, modality)
  }

  /**
   * Where to try, in turn: by order, and by weight among equals; the sandbox only for its own models. Those with an
   * open breaker are among them, since it is the breaker that lets its probes through.
   */
  deployments(model: Model): readonly Deployment[] {
    const item = this.#shelf.byId.get(model.id)
    if (!item) return []
    const { ready, spread } = this.#shelf.current(item)
    return spread ? shuffled(ready, this.#random) : ready
  }

  /** A configured or found model by its id, at the prices of the moment; null where there is none. */
  model(id: string): Model | null {
    this.#settle()
    return this.#shelf.byId.get(id)?.model ?? null
  }

  /**
   * Prices that an operator set, in the order that they were: those of the store at the start, and each new one once it is
   * written. From the moment they begin, and at once for those that have begun, names lead to models at these prices.
   */
  addPrices(rows: readonly PriceRow[]): void {
    if (rows.length === 0) return
    this.#prices.add(rows)
    this.#pricesAt = -Infinity
  }

  /** How many prices were ever set. */
  get pricesSet(): number {
    return this.#prices.size
  }

  /** What an engine answered when it was asked whether it is there. */
  reach(engineId: string, reach: Reach): void {
    this.#shelf.reach(engineId, reach)
  }

  /** A breaker opened or closed: models with no other deployment are listed as offline, and names pass them over. */
  trip(deployment: Deployment, open: boolean): void {
    this.#shelf.trip(deployment, open)
  }

  /** What the operator can do to bring a model online. */
  remedy(model: Model): string {
    return this.#shelf.remedy(model)
  }

  #resolveName(name: string, modality: Modality): Resolved {
    if (name.length > MAX_NAME) throw unknown()
    this.#settle()
    const whole = this.#named(name, modality)
    if (whole) return this.#answer(whole, modality, NO_FLAGS)
    // A model's own name may have colons in it, so the longest one wins; flags have none.
    for (let colon = name.lastIndexOf(':'); colon > 0; colon = name.lastIndexOf(':', colon - 1)) {
      const base = this.#named(name.slice(0, colon), modality)
      if (base) return this.#answer(base, modality, readSuffix(name.slice(colon + 1), base.sandbox))
    }
    const elsewhere = this.#anywhere(name) ?? this.#anywhere(beforeSuffix(name))
    throw elsewhere ? wrongType(elsewhere.model, modality) : unknown()
  }

  #answer(item: Item, modality: Modality, flags: ReadonlyMap<string, string>): Resolved {
    if (item.model.modality !== modality) throw wrongType(item.model, modality)
    const model = this.#sunsets.successor(item.model, (id) => this.#shelf.byId.get(id)?.model)
    const deprecation = this.#sunsets.notice(item.model)
    return flags === NO_FLAGS && deprecation === null ? this.#plainOf(item) : { model, flags, deprecation }
  }

  #plainOf(item: Item): Resolved {
    let plain = this.#plain.get(item)
    if (!plain || plain.model !== item.model) {
      plain = { model: item.model, flags: NO_FLAGS, deprecation: null }
      this.#plain.set(item, plain)
    }
    return plain
  }

  /** An id beats every other name, whatever its type; the caller checks that. */
  #named(name: string, modality: Modality): Item | null {
    return this.#called(name, modality) ?? (name.startsWith(PREFIX) ? this.#called(name.slice(PREFIX.length), modality) : null)
  }

  #called(name: string, modality: Modality): Item | null {
    return this.#shelf.byId.get(name) ?? this.#shelf.aliases.get(name) ?? this.#names.find(modality, name)
  }

  #anywhere(name: string): Item | null {
    if (name.length > MAX_NAME) return null
    const text = this.#named(name, 'text')
    if (text) return text
    for (const modality of MODALITIES) {
      const item = this.#named(name, modality)
      if (item) return item
    }
    return null
  }

  #show(item: Item): PublicModel {
    let shown = this.#public.get(item)
    if (!shown) {
      const { model } = item
      const traits = Object.entries(this.#names.traits(model.modality)).filter(([, id]) => id === model.id)
      shown = publicModel(
        model,
        !this.#shelf.online(item),
        traits.map(([trait]) => trait),
      )
      this.#public.set(item, shown)
    }
    return shown
  }

  #reprice(): void {
    const now = this.#clock.now()
    if (now < this.#pricesAt) return
    this.#pricesAt = this.#prices.next(now)
    this.#shelf.reprice((model) => this.#prices.at(model, this.#clock.now()))
  }

  /** Drops what was worked out before the engines, the breakers, the prices or the date changed. */
  #settle(): void {
    if (this.#pricesAt !== Infinity) this.#reprice()
    this.#shelf.refresh()
    if (this.#version === this.#shelf.version && this.#clock.now() < this.#endsAt) return
    this.#version = this.#shelf.version
    this.#endsAt = this.#sunsets.next()
    this.#names.clear()
    this.#public.clear()
    this.#lists.clear()
  }
}

function isOf(model: Model, type: Modality | 'all' | 'code'): boolean {
  if (type === 'all') return true
  return type === 'code' ? model.modality === 'text' && isForCode(model.spec['capabilities']) : model.modality === type
}

const isForCode = (capabilities: unknown): boolean =>
  typeof capabilities === 'object' && capabilities !== null && 'optimizedForCode' in capabilities && capabilities.optimizedForCode === true

function beforeSuffix(name: string): string {
  const colon = name.lastIndexOf(':')
  return colon > 0 ? name.slice(0, colon) : name
}

const unknown = () =>
  fail('MODEL_NOT_FOUND', { say: 'Specified model not found: GET /models lists the names that `model` takes', param: 'model' })

const wrongType = (model: Model, wanted: Modality) =>
  fail('INVALID_MODEL', {
    say: `The model ${model.id} is of type ${model.modality}; \`model\` must name one of type ${wanted} here`,
    param: 'model',
  })
