/** `venice_parameters` and the feature suffix: one resolved set of extras, its refusals, and its echo in the answer. */
import { failField } from '../../core/errors.ts'
import type { ChatBody } from './schema.ts'

export type Extras = {
  readonly includeSystemPrompt: boolean
  readonly stripThinking: boolean
  readonly disableThinking: boolean
  /** What the answer repeats of the parameters, by wire name, as JSON. */
  readonly echo: string
}

type Parameters = NonNullable<ChatBody['venice_parameters']>

/** What is not there yet, and the values that ask for it. Each is refused by name; none is ignored. */
const ABSENT: { readonly [Field in keyof Parameters]?: { readonly asks: (value: unknown) => boolean; readonly what: string } } = {
  character_slug: { asks: (value) => typeof value === 'string', what: 'characters are' },
  enable_web_search: { asks: (value) => value === 'on' || value === 'auto', what: 'web search is' },
  enable_web_scraping: { asks: (value) => value === true, what: 'web scraping is' },
  enable_web_citations: { asks: (value) => value === true, what: 'web citations are' },
  include_search_results_in_stream: { asks: (value) => value === true, what: 'search results in the stream are' },
  return_search_results_as_documents: { asks: (value) => value === true, what: 'search results as documents are' },
  enable_x_search: { asks: (value) => value === true, what: 'X search is' },
}

/** Headers with which a client asks for end-to-end encryption. */
const E2EE_HEADERS = ['x-venice-tee-client-pub-key', 'x-venice-tee-model-pub-key', 'x-venice-tee-signing-algo'] as const

/** The parameters of body and suffix together; the body wins, because it is the more explicit of the two. */
export function resolveExtras(body: Parameters | null | undefined, flags: ReadonlyMap<string, string>): Extras {
  if (!body && flags.size === 0) return PLAIN
  const given: Record<string, unknown> = {}
  for (const [name, value] of flags) given[name] = value === 'true' ? true : value === 'false' ? false : value
  for (const [name, value] of Object.entries(body ?? {})) if (value !== null && value !== undefined) given[name] = value
  for (const [name, absent] of Object.entries(ABSENT)) {
    if (absent.asks(given[name])) throw failField(`venice_parameters.${name}`, `${absent.what} not available on this server`)
  }
  const includeSystemPrompt = given['include_venice_system_prompt'] !== false
  const disableThinking = given['disable_thinking'] === true
  const stripThinking = given['strip_thinking_response'] === true
  return {
    includeSystemPrompt,
    disableThinking,
    stripThinking: stripThinking || disableThinking,
    echo: JSON.stringify({
      ...ECHO,
      include_venice_system_prompt: includeSystemPrompt,
      strip_thinking_response: stripThinking,
      disable_thinking: disableThinking,
    }),
  }
}

/** Refuses end-to-end encryption by the header that asks for it: ciphertext must never reach a model as a prompt. */
export function refuseEncryption(headers: Readonly<Record<string, unknown>>): void {
  for (const name of E2EE_HEADERS) {
    if (headers[name] !== undefined) throw failField(name, 'end-to-end encryption is not available on this server')
  }
}

const ECHO = {
  // Nothing is end-to-end encrypted here, whatever was asked: the echo says what is, not what was wished.
  enable_e2ee: false,
  enable_web_search: 'off',
  enable_web_citations: false,
  enable_web_scraping: false,
  include_venice_system_prompt: true,
  include_search_results_in_stream: false,
  return_search_results_as_documents: false,
  strip_thinking_response: false,
  disable_thinking: false,
  enable_x_search: false,
}

const PLAIN: Extras = {
  includeSystemPrompt: true,
  stripThinking: false,
  disableThinking: false,
  echo: JSON.stringify(ECHO),
}
