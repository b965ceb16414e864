/**
 * How much the model is to think, and by which sampling.
 *
 * The mapping: `none` turns thinking off as the model wants it; every other effort turns it on, as an effort where the
 * model takes one (`minimal` is `low`; `xhigh` is `high` before Claude 4.7) and as a budget of tokens before Claude
 * 4.6, at most four fifths of the output. Without an effort the model does as it is used to, but shows its thoughts. A
 * tool that is forced is called without thinking, because the two exclude each other.
 *
 * A temperature above 1 is 1, the most there is. With thinking on, and on models that take no sampling at all, the
 * model's own sampling is used; with both a temperature and a top_p, from Claude 4.1 on the temperature counts.
 */
import type { Effort, TextRequest } from '../../core/modalities/text.ts'
import type { Traits } from './traits.ts'
import type { Fields } from '../fields.ts'

const MIN_BUDGET = 1_024
const BUDGETS: Readonly<Record<Exclude<Effort, 'none'>, number>> = {
  minimal: MIN_BUDGET,
  low: 4_096,
  medium: 8_192,
  high: 16_384,
  xhigh: 24_576,
  max: 31_000,
}

export type Thinking = {
  /** The fields of the body that say so. */
  readonly thinking: Fields | undefined
  readonly effort: string | undefined
  /** Whether the model thinks, by what the request or the model itself says. */
  readonly on: boolean
}

/** `loose`: the history ends in a tool call without its thoughts, after which a model with a budget may not think. */
export function thinkingOf(request: TextRequest, traits: Traits, maxTokens: number, loose: boolean): Thinking {
  const { effort } = request
  if (effort === 'none' || forcesTool(request)) return turnedOff(traits)
  if (traits.thinking === 'adaptive') {
    if (effort === null && !traits.thinksByDefault) return NOT_SAID
    const thinking = traits.hidesThoughts ? { type: 'adaptive', display: 'summarized' } : { type: 'adaptive' }
    return { thinking, effort: effort === null ? undefined : effortOf(effort, traits), on: true }
  }
  if (effort === null || traits.thinking === 'none' || loose) return NOT_SAID
  const budget = Math.min(BUDGETS[effort], Math.floor(maxTokens * 0.8))
  const room = Math.max(MIN_BUDGET, budget)
  // The budget must leave something for the answer.
  return room < maxTokens ? { thinking: { type: 'enabled', budget_tokens: room }, effort: undefined, on: true } : NOT_SAID
}

export const forcesTool = ({ tools, toolChoice }: TextRequest): boolean =>
  tools.length > 0 && (toolChoice === 'required' || (typeof toolChoice === 'object' && toolChoice !== null))

const NOT_SAID: Thinking = { thinking: undefined, effort: undefined, on: false }

function turnedOff({ off }: Traits): Thinking {
  return off === 'omit' || off === 'never' ? NOT_SAID : { thinking: { type: off }, effort: undefined, on: false }
}

function effortOf(effort: Exclude<Effort, 'none'>, { xhigh }: Traits): string {
  if (effort === 'minimal') return 'low'
  return effort === 'xhigh' && !xhigh ? 'high' : effort
}

export function samplingOf({ sampling }: TextRequest, { samples, oneSampler }: Traits, thinks: boolean): Fields {
  if (!samples || thinks) return {}
  const { temperature, top_p: topP, top_k: topK } = sampling
  return {
    temperature: temperature === undefined ? undefined : Math.min(1, temperature),
    top_p: oneSampler && temperature !== undefined ? undefined : topP,
    // 0 is none here, and not allowed there.
    top_k: topK || undefined,
  }
}
