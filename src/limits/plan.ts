/** Plans: how much a caller may ask, by modality and, for text, by the tier of the model; and a few actions that run no model. */
import type { Modality } from '../core/modality.ts'
import type { Model, Tier } from '../core/model.ts'

/** The most requests per minute, tokens per minute and requests per UTC day; null is no limit. */
export type Limit = { readonly rpm: number | null; readonly tpm: number | null; readonly rpd: number | null }

/** What is limited without running a model: fetching the result of a video, and making a key. */
export type Action = 'videoRetrieve' | 'createKey'

export type Plan = { readonly [M in Exclude<Modality, 'text'>]?: Limit } & { readonly text?: { readonly [T in Tier]?: Limit } } & {
  readonly [A in Action]?: Limit
}

/** By the id that accounts name. */
export type Plans = Readonly<Record<string, Plan>>

/** The plan that no limit applies to, whatever its row says. */
const EXEMPT = 'operator'
/** What an account gets whose plan has no row: a misspelt plan must not be one without limits. */
const FALLBACK = 'default'
/** What a text model counts as that has no tier, such as one that a local server brought along. */
const FALLBACK_TIER: Tier = 'M'

export const UNLIMITED: Limit = Object.freeze({ rpm: null, tpm: null, rpd: null })

export const isExempt = (plan: string): boolean => plan === EXEMPT

const rowsOf = (plans: Plans, plan: string): Plan | undefined => (Object.hasOwn(plans, plan) ? plans[plan] : plans[FALLBACK])

export function limitFor(plans: Plans, plan: string, model: Pick<Model, 'modality' | 'tier'>): Limit {
  if (isExempt(plan)) return UNLIMITED
  const rows = rowsOf(plans, plan)
  const limit = model.modality === 'text' ? rows?.text?.[model.tier ?? FALLBACK_TIER] : rows?.[model.modality]
  return limit ?? UNLIMITED
}

export const actionLimit = (plans: Plans, plan: string, action: Action): Limit =>
  isExempt(plan) ? UNLIMITED : (rowsOf(plans, plan)?.[action] ?? UNLIMITED)

/** How the API calls a plan where it speaks of tiers: the one that accounts have unless something else was agreed is `paid`. */
export const apiTierOf = (plan: string): string => (plan === FALLBACK ? 'paid' : plan)
