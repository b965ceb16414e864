/** The feature suffix of a model's name: `id:enable_web_search=on&disable_thinking=true`, or short `id:web`. */
import { failField } from '../core/errors.ts'

/** What each flag takes. */
const SWITCH = ['true', 'false'] as const
const FLAGS: Readonly<Record<string, readonly string[] | RegExp>> = {
  enable_web_search: ['on', 'off', 'auto'],
  enable_web_citations: SWITCH,
  enable_web_scraping: SWITCH,
  include_venice_system_prompt: SWITCH,
  include_search_results_in_stream: SWITCH,
  strip_thinking_response: SWITCH,
  disable_thinking: SWITCH,
  character_slug: /^[\w.~-]{1,128}$/,
}

/** The sandbox's own: how it is told to misbehave. */
const NUMBER = /^\d{1,9}$/
const SANDBOX_FLAGS: Readonly<Record<string, RegExp>> = { delay: NUMBER, interval: NUMBER, status: NUMBER, die: NUMBER, stall: NUMBER }

/** What `:web` is short for. */
const WEB: readonly [string, string] = ['enable_web_search', 'on']

export const NO_FLAGS: ReadonlyMap<string, string> = new Map()

/**
 * Reads what follows the colon: flags joined by `&`, each at most once, percent-decoded.
 * Throws a 400 for `model` that names the flag at fault and says what it takes.
 */
export function readSuffix(suffix: string, sandbox: boolean): ReadonlyMap<string, string> {
  const flags = new Map<string, string>()
  for (const pair of suffix.split('&')) {
    const [flag, value] = pair === 'web' ? WEB : split(pair)
    const takes = takesOf(flag, sandbox)
    if (!takes) throw failField('model', `the suffix has an unknown feature; it takes ${knownFlags(sandbox).join(', ')}`)
    if (flags.has(flag)) throw failField('model', `${flag} is given twice in the suffix`)
    if (takes instanceof RegExp ? !takes.test(value) : !takes.includes(value)) throw failField('model', `${flag} ${wants(takes)}`)
    flags.set(flag, value)
  }
  return flags
}

function split(pair: string): [string, string] {
  const equals = pair.indexOf('=')
  if (equals < 1) throw failField('model', 'the suffix must be feature=value, joined by &, or web')
  return [decode(pair.slice(0, equals)), decode(pair.slice(equals + 1))]
}

function decode(text: string): string {
  if (!text.includes('%')) return text
  try {
    return decodeURIComponent(text)
  } catch {
    throw failField('model', 'the suffix is not percent-encoded properly')
  }
}

function takesOf(flag: string, sandbox: boolean): readonly string[] | RegExp | undefined {
  if (Object.hasOwn(FLAGS, flag)) return FLAGS[flag]
  return sandbox && Object.hasOwn(SANDBOX_FLAGS, flag) ? SANDBOX_FLAGS[flag] : undefined
}

function wants(takes: readonly string[] | RegExp): string {
  if (!(takes instanceof RegExp)) return `takes ${takes.join(', ')}`
  return takes === NUMBER ? 'takes a whole number' : 'takes a public id'
}

const knownFlags = (sandbox: boolean): string[] => [...Object.keys(FLAGS), ...(sandbox ? Object.keys(SANDBOX_FLAGS) : [])]
