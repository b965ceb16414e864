/** Models that go away: when their callers are warned, and what happens to a request after that. */
import type { Clock } from '../core/clock.ts'
import type { Deprecation } from '../core/call.ts'
import { fail } from '../core/errors.ts'
import type { Model } from '../core/model.ts'
import { fileOf } from './build.ts'
import type { ModelEntry } from './entry.ts'
import { problem } from './problem.ts'

type Times = { readonly startsAt: number; readonly removesAt: number; readonly notice: Deprecation }

export class Sunsets {
  readonly #times = new Map<string, Times>()
  readonly #clock: Clock

  /** Throws a `CatalogProblem` for a replacement that is not there, is of another type, or goes round in a circle. */
  constructor(entries: readonly ModelEntry[], models: ReadonlyMap<string, Model>, clock: Clock) {
    this.#clock = clock
    for (const { id, deprecation } of entries) {
      if (!deprecation) continue
      this.#times.set(id, {
        startsAt: deprecation.startsAt === undefined ? -Infinity : Date.parse(deprecation.startsAt),
        removesAt: Date.parse(deprecation.removesAt),
        notice: { date: deprecation.date, replacement: deprecation.replacementModelId ?? null },
      })
      const model = models.get(id)
      if (model) check(model, models)
    }
  }

  /** Whether the model is no longer there. */
  gone(model: Model): boolean {
    if (model.sunset === null) return false
    const times = this.#times.get(model.id)
    return times !== undefined && this.#clock.now() >= times.removesAt
  }

  /** What callers are told of a model that still answers, or that was replaced. */
  notice(model: Model): Deprecation | null {
    const times = model.sunset === null ? undefined : this.#times.get(model.id)
    return times !== undefined && this.#clock.now() >= times.startsAt ? times.notice : null
  }

  /** When the next model goes, in milliseconds since 1970: until then the listings stay as they are. */
  next(): number {
    const now = this.#clock.now()
    let next = Infinity
    for (const { removesAt } of this.#times.values()) if (removesAt > now && removesAt < next) next = removesAt
    return next
  }

  /** The model that answers for one that is gone. Throws 410 where there is none. */
  successor(model: Model, find: (id: string) => Model | undefined): Model {
    let last = model
    // The catalogue has checked that this ends.
    while (this.gone(last)) {
      const next: Model | undefined = last.sunset?.autoRemap && last.sunset.replacement !== null ? find(last.sunset.replacement) : undefined
      if (!next) throw retired(last)
      last = next
    }
    return last
  }
}

function retired(model: Model) {
  const instead = model.sunset?.replacement ? `; use ${model.sunset.replacement} instead` : ''
  return fail('MODEL_SUNSET', { say: `The model ${model.id} has been retired${instead}`, param: 'model', internal: 'sunset' })
}

function check(model: Model, models: ReadonlyMap<string, Model>): void {
  const where = `${fileOf(model.modality)}: ${model.id}: deprecation`
  if (model.sunset?.autoRemap && model.sunset.replacement === null) throw problem(`${where}: autoRemap needs a replacementModelId`)
  const seen = new Set<string>()
  for (let at: Model | undefined = model; at; ) {
    if (seen.has(at.id)) throw problem(`${where}: the replacements go round in a circle`)
    seen.add(at.id)
    const replacement: string | null = at.sunset?.replacement ?? null
    if (replacement === null) return
    const next: Model | undefined = models.get(replacement)
    if (!next) throw problem(`${where}: there is no model ${replacement}`)
    if (next.modality !== model.modality) throw problem(`${where}: ${replacement} is of type ${next.modality}, not ${model.modality}`)
    at = next
  }
}
