/**
 * Sums of what an account used, by day, model and key, from the daily sums that the store writes with each charge: as many
 * steps as there are such sums, however many requests there were.
 */
import { type Amount, toUsd } from '../core/money.ts'
import type { Modality } from '../core/modality.ts'
import type { UsageDay } from '../core/store.ts'
import type { Unit } from '../core/usage.ts'

export const DAY_MS = 86_400_000

/** How many models and keys are drawn day by day. */
export const CHARTED_MAX = 8

/** Dollars, of which bundled credits are a kind, and DIEM: never added up but to say who spent more. */
type Spend = { readonly totalUsd: number; readonly totalDiem: number; readonly totalUnits: number }

export type ModelSummary = Spend & {
  readonly modelName: string
  readonly unitType: string
  readonly modelType: string | null
  /** Where several classes of units were used, the dearest first. */
  readonly breakdown?: readonly { readonly type: string; readonly usd: number; readonly diem: number; readonly units: number }[]
}

export type KeySummary = Spend & { readonly apiKeyId: string | null; readonly description: string }

/** A day (ms since 1970 of its start) with what each of the charted names spent on it, in dollars and DIEM together. */
export type ChartDay = Readonly<Record<string, number>>

export type UsageSummary = {
  /** Every day of the period, the latest first. */
  readonly byDate: readonly { readonly date: string; readonly USD: number; readonly DIEM: number }[]
  /** Those who spent most first. */
  readonly byModel: readonly ModelSummary[]
  /** Every day of the period, the earliest first. */
  readonly byModelDaily: readonly ChartDay[]
  readonly topModels: readonly string[]
  readonly byKey: readonly KeySummary[]
  readonly byKeyDaily: readonly ChartDay[]
  readonly topKeyNames: readonly string[]
}

/** What models and keys are called. */
export type SummaryNames = {
  readonly model: (id: string) => string
  /** Null where there is no key of this id: then it was used without one. */
  readonly key: (id: string) => { readonly description: string; readonly last6: string } | null
}

/** Adds up daily sums as they are read. Days outside of the period must not be added. */
export class UsageTally {
  readonly #fromDay: number
  readonly #days: number
  readonly #byDay: { usd: Amount; diem: Amount }[]
  readonly #models = new Map<string, ModelTally>()
  readonly #keys = new Map<string, Tally>()

  /** Days since 1970, both included. */
  constructor(fromDay: number, toDay: number) {
    this.#fromDay = fromDay
    this.#days = toDay - fromDay + 1
    this.#byDay = Array.from({ length: this.#days }, () => ({ usd: 0n, diem: 0n }))
  }

  add(rows: readonly UsageDay[]): void {
    for (const row of rows) {
      const at = row.day - this.#fromDay
      const day = this.#byDay[at]
      if (day) addTo(day, row)
      const model = this.#models.get(row.model) ?? this.#newModel(row)
      record(model, row, at)
      const part = model.parts.get(row.unit) ?? newPart(model, row.unit)
      addTo(part, row)
      part.units += row.count
      record(this.#keys.get(row.keyId) ?? this.#newKey(row.keyId), row, at)
    }
  }

  /** The ids of the keys, those who spent most first. */
  keyIds(): string[] {
    return ranked(this.#keys)
  }

  finish(names: SummaryNames): UsageSummary {
    const modelIds = ranked(this.#models)
    const modelNames = distinct(modelIds.map((id) => ({ id, name: names.model(id), mark: id })))
    const { keys, keyNames } = this.#named(names)
    const keyIds = ranked(keys)
    return {
      byDate: this.#byDay
        .map(({ usd, diem }, at) => ({ date: dateOf(this.#fromDay + at), USD: toUsd(usd), DIEM: toUsd(diem) }))
        .toReversed(),
      byModel: summarised(modelIds, this.#models, modelNames),
      byModelDaily: this.#chart(modelIds, this.#models, modelNames),
      topModels: topOf(modelIds, modelNames),
      byKey: keyIds.map((id) => keySummary(id, keys, keyNames)),
      byKeyDaily: this.#chart(keyIds, keys, keyNames),
      topKeyNames: topOf(keyIds, keyNames),
    }
  }

  /** All usage without a key is one entry, under the id `WITHOUT_KEY`. */
  #named({ key }: SummaryNames): { keys: ReadonlyMap<string, Tally>; keyNames: ReadonlyMap<string, string> } {
    const keys = new Map<string, Tally>()
    const called: Called[] = []
    for (const [id, tally] of this.#keys) {
      const known = key(id)
      if (known) {
        keys.set(id, tally)
        called.push({ id, name: known.description === '' ? `…${known.last6}` : known.description, mark: `…${known.last6}` })
        continue
      }
      const others = keys.get(WITHOUT_KEY)
      if (!others) called.push({ id: WITHOUT_KEY, name: WEB_APP, mark: 'without a key' })
      keys.set(WITHOUT_KEY, others ? merged(others, tally) : tally)
    }
    return { keys, keyNames: distinct(called) }
  }

  #chart(ids: readonly string[], tallies: ReadonlyMap<string, Tally>, names: ReadonlyMap<string, string>): ChartDay[] {
    const top = ids.slice(0, CHARTED_MAX)
    return Array.from({ length: this.#days }, (_, at) =>
      Object.fromEntries([
        [DATE, (this.#fromDay + at) * DAY_MS],
        ...top.map((id) => [names.get(id) ?? id, toUsd(tallies.get(id)?.daily[at] ?? 0n)] as const),
      ]),
    )
  }

  #newModel({ model, modality }: UsageDay): ModelTally {
    const tally = { ...newTally(this.#days), modality, parts: new Map<Unit, Part>() }
    this.#models.set(model, tally)
    return tally
  }

  #newKey(id: string): Tally {
    const tally = newTally(this.#days)
    this.#keys.set(id, tally)
    return tally
  }
}

/** What the dashboards that know this API show for usage without a key. */
const WEB_APP = 'Web App'
/** No key has this id. */
const WITHOUT_KEY = ''
/** The field of a chart's day that is no name. */
const DATE = 'date'

type Paid = { usd: Amount; diem: Amount }
type Part = Paid & { units: number }
type Tally = Part & { readonly daily: Amount[] }
type ModelTally = Tally & { readonly modality: Modality; readonly parts: Map<Unit, Part> }

const newTally = (days: number): Tally => ({ usd: 0n, diem: 0n, units: 0, daily: Array.from({ length: days }, () => 0n) })

function newPart({ parts }: ModelTally, unit: Unit): Part {
  const part = { usd: 0n, diem: 0n, units: 0 }
  parts.set(unit, part)
  return part
}

function addTo(paid: Paid, { currency, amount }: UsageDay): void {
  if (currency === 'DIEM') paid.diem += amount
  else paid.usd += amount
}

function record(tally: Tally, row: UsageDay, at: number): void {
  addTo(tally, row)
  tally.units += row.count
  tally.daily[at] = (tally.daily[at] ?? 0n) + row.amount
}

const merged = (a: Tally, b: Tally): Tally => ({
  usd: a.usd + b.usd,
  diem: a.diem + b.diem,
  units: a.units + b.units,
  daily: a.daily.map((amount, at) => amount + (b.daily[at] ?? 0n)),
})

/** By what was spent, a DIEM being worth a dollar; where that is the same, by what was used, and then by id. */
function bySpend([idA, a]: readonly [string, Part], [idB, b]: readonly [string, Part]): number {
  const more = b.usd + b.diem - (a.usd + a.diem)
  if (more !== 0n) return more > 0n ? 1 : -1
  if (a.units !== b.units) return b.units - a.units
  return idA < idB ? -1 : 1
}

const ranked = (tallies: ReadonlyMap<string, Tally>): string[] => [...tallies].toSorted(bySpend).map(([id]) => id)

const topOf = (ids: readonly string[], names: ReadonlyMap<string, string>): string[] =>
  ids.slice(0, CHARTED_MAX).map((id) => names.get(id) ?? id)

type Called = { readonly id: string; readonly name: string /** What tells it from others of its name. */; readonly mark: string }

/** Names are fields of the charts, so no two are the same: those that would be get their mark, and at worst their id. */
function distinct(called: readonly Called[]): Map<string, string> {
  const times = new Map<string, number>([[DATE, 1]])
  for (const { name } of called) times.set(name, (times.get(name) ?? 0) + 1)
  const taken = new Set<string>([DATE])
  const names = new Map<string, string>()
  for (const { id, name, mark } of called) {
    let unique = times.get(name) === 1 ? name : `${name} (${mark})`
    while (taken.has(unique)) unique = `${unique} (${id})`
    taken.add(unique)
    names.set(id, unique)
  }
  return names
}

const dateOf = (day: number): string => new Date(day * DAY_MS).toISOString().slice(0, 'YYYY-MM-DD'.length)

function keySummary(id: string, keys: ReadonlyMap<string, Tally>, names: ReadonlyMap<string, string>): KeySummary {
  const { usd, diem, units } = keys.get(id) ?? NOTHING
  return {
    apiKeyId: id === WITHOUT_KEY ? null : id,
    description: names.get(id) ?? id,
    totalUsd: toUsd(usd),
    totalDiem: toUsd(diem),
    totalUnits: units,
  }
}

const NOTHING: Part = { usd: 0n, diem: 0n, units: 0 }

/** An entry per model and type of unit: tokens and calls are not added up. */
function summarised(ids: readonly string[], models: ReadonlyMap<string, ModelTally>, names: ReadonlyMap<string, string>): ModelSummary[] {
  const all: [string, Part & { summary: ModelSummary }][] = []
  for (const id of ids) {
    const model = models.get(id)
    if (!model) continue
    for (const [unitType, parts] of Map.groupBy(model.parts, ([unit]) => CLASSES[unit].unitType)) {
      const sum = parts.reduce((a, [, b]) => ({ usd: a.usd + b.usd, diem: a.diem + b.diem, units: a.units + b.units }), NOTHING)
      const summary: ModelSummary = {
        modelName: names.get(id) ?? id,
        unitType,
        modelType: MODEL_TYPES[model.modality],
        totalUsd: toUsd(sum.usd),
        totalDiem: toUsd(sum.diem),
        totalUnits: sum.units,
        ...(parts.length > 1 && { breakdown: parts.toSorted(bySpend).map(breakdownOf) }),
      }
      all.push([`${id} ${unitType}`, { ...sum, summary }])
    }
  }
  return all.toSorted(bySpend).map(([, { summary }]) => summary)
}

const breakdownOf = ([unit, { usd, diem, units }]: readonly [Unit, Part]) => ({
  type: CLASSES[unit].type,
  usd: toUsd(usd),
  diem: toUsd(diem),
  units,
})

const CLASSES: Readonly<Record<Unit, { readonly unitType: string; readonly type: string }>> = {
  inputToken: { unitType: 'tokens', type: 'Input' },
  outputToken: { unitType: 'tokens', type: 'Output' },
  cacheReadToken: { unitType: 'tokens', type: 'Cache Read' },
  cacheWriteToken: { unitType: 'tokens', type: 'Cache Write' },
  image: { unitType: 'images', type: 'Images' },
  character: { unitType: 'chars', type: 'Characters' },
  audioSecond: { unitType: 'seconds', type: 'Audio' },
  videoSecond: { unitType: 'seconds', type: 'Video' },
  call: { unitType: 'calls', type: 'Calls' },
}

/** The documented types; a model of another kind has none. */
const MODEL_TYPES: Readonly<Record<Modality, string | null>> = {
  text: 'LLM',
  image: 'IMAGE',
  inpaint: 'IMAGE',
  upscale: 'IMAGE',
  tts: 'TTS',
  asr: 'ASR',
  video: 'VIDEO',
  embedding: null,
  music: null,
}
