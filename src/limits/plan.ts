/** Plans: how much a caller may ask per minute, by modality and, for text, by the tier of the model. */
import type { Modality } from '../core/modality.ts'
import type { Model, Tier } from '../core/model.ts'

/** The most per minute; null is no limit. */
export type Limit = { readonly rpm: number | null; readonly tpm: number | null }

export type Plan = { readonly [M in Exclude<Modality, 'text'>]?: Limit } & { readonly text?: { readonly [T in Tier]?: Limit } }

/** By the id that accounts name. */
export type Plans = Readonly<Record<string, Plan>>

/** The plan that no limit applies to, whatever its row says. */
const EXEMPT = 'operator'
/** What an account gets whose plan has no row: a misspelt plan must not be one without limits. */
const FALLBACK = 'default'
/** What a text model counts as that has no tier, such as one that a local server brought along. */
const FALLBACK_TIER: Tier = 'M'

export const UNLIMITED: Limit = Object.freeze({ rpm: null, tpm: null })

export const isExempt = (plan: string): boolean => plan === EXEMPT

export function limitFor(plans: Plans, plan: string, model: Pick<Model, 'modality' | 'tier'>): Limit {
  if (isExempt(plan)) return UNLIMITED
  const rows = plans[plan] ?? plans[FALLBACK]
  const limit = model.modality === 'text' ? rows?.text?.[model.tier ?? FALLBACK_TIER] : rows?.[model.modality]
  return limit ?? UNLIMITED
}
