/**
 * What a model takes, told from its name: the Messages API refuses settings that a model does not know, and each
 * generation knows others. The facts are those of Anthropic's migration guides as of Claude 5.5.
 */

export type Traits = {
  /** Whether it takes temperature, top_p and top_k; from Claude 4.7 on none does. */
  readonly samples: boolean
  /** From Claude 4.1 on temperature and top_p exclude each other. */
  readonly oneSampler: boolean
  /** How it is told to think: not at all, with a budget of tokens, or with an effort. */
  readonly thinking: 'none' | 'budget' | 'adaptive'
  readonly thinksByDefault: boolean
  /** What turns thinking off: leaving it out, a setting of this type, or nothing. */
  readonly off: 'omit' | 'disabled' | 'between_tools' | 'never'
  /** Whether it hides its thoughts unless it is asked for them. */
  readonly hidesThoughts: boolean
  readonly xhigh: boolean
  /** Whether a tool can be forced. */
  readonly forcedTools: boolean
  /** Whether the answer may go on from a last message of the assistant's. */
  readonly prefill: boolean
  /** Whether it keeps to a JSON schema. */
  readonly schemas: boolean
  /** `max_tokens` where the request says none: the API wants one. Below every model's own limit of that generation. */
  readonly maxTokens: number
}

type Version = { readonly family: string; readonly number: number }

/** New models behave as the newest that is known. */
const NEWEST = 55

export function traitsOf(model: string): Traits {
  const name = model.toLowerCase()
  if (!name.includes('claude')) return OTHERS
  const { family, number } = versionOf(name)
  const fable = family === 'fable' || family === 'mythos'
  return {
    samples: number < 47,
    oneSampler: number >= 41,
    thinking: number >= 46 ? 'adaptive' : number >= 37 ? 'budget' : 'none',
    thinksByDefault: number >= 50,
    off: offOf(family, number),
    hidesThoughts: number >= 47,
    xhigh: number >= 47,
    forcedTools: !((fable && number >= 51) || ((family === 'opus' || family === 'sonnet') && number >= 55)),
    prefill: number < 46,
    schemas: number >= 45,
    maxTokens: number >= 37 ? 32_000 : number >= 35 ? 8_192 : 4_096,
  }
}

/** Other makers' models behind the same API: what nearly all of them take. */
const OTHERS: Traits = {
  samples: true,
  oneSampler: false,
  thinking: 'budget',
  thinksByDefault: false,
  off: 'disabled',
  hidesThoughts: false,
  xhigh: false,
  forcedTools: true,
  prefill: true,
  schemas: false,
  maxTokens: 8_192,
}

function offOf(family: string, number: number): Traits['off'] {
  if (family === 'fable' || family === 'mythos') return 'never'
  if (number < 50) return 'omit'
  if (number >= 55 && family === 'opus') return 'never'
  return number >= 55 && family === 'sonnet' ? 'between_tools' : 'disabled'
}

/** `claude-opus-4-5-20251101`, `claude-sonnet-5`, `claude-3-7-sonnet-latest`, `anthropic/claude-opus-4.5`, … */
function versionOf(name: string): Version {
  const named = /claude-([a-z]+)-(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)/.exec(name)
  if (named) return { family: named[1] ?? '', number: numberOf(named[2], named[3]) }
  const legacy = /claude-(\d)(?:[-.](\d))?-([a-z]+)/.exec(name)
  if (legacy) return { family: legacy[3] ?? '', number: numberOf(legacy[1], legacy[2]) }
  if (name.includes('mythos-preview')) return { family: 'mythos', number: 47 }
  if (/claude-(v|instant)/.test(name)) return { family: '', number: 20 }
  return { family: /claude-([a-z]+)/.exec(name)?.[1] ?? '', number: NEWEST }
}

const numberOf = (major = '0', minor = '0'): number => Number(major) * 10 + Math.min(9, Number(minor))
