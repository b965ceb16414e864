/** The typed chat request → the body that OpenAI-compatible servers take. */
import type { Format, Message, TextRequest } from '../../core/modalities/text.ts'

/** How one server differs from the others; from the configuration. */
export type Dialect = {
  /** Wire names of fields that it cannot honour. */
  readonly unsupported: ReadonlySet<string>
  readonly maxTokensField: 'max_tokens' | 'max_completion_tokens'
  /** Fields of the operator's that go into every chat, such as `{"store": false}`. */
  readonly extraBody: Readonly<Record<string, unknown>>
}

/** Which words a server has for what the two APIs name differently: OpenAI's, or those of the API that Rialto serves. */
export type AudioWords = 'openai' | 'venice'

export type AudioDialect = Dialect & { readonly audioWords: AudioWords }

/**
 * Fields that change nothing about the answer. Where a server does not take them they are left out, not refused:
 * OpenAI clients send the cache's on their own account, and the last is ours.
 */
const HINTS: ReadonlySet<string> = new Set(['prompt_cache_key', 'prompt_cache_retention', 'stream_options'])

/** The wire name of a field that the request has and the server cannot honour. */
export function refusedField(request: TextRequest, { unsupported, maxTokensField }: Dialect): string | null {
  for (const name of unsupported) {
    if (!HINTS.has(name) && isSet(request, name, maxTokensField)) return name
  }
  return null
}

/** The body as JSON. Only fields that are set are put in: an object full of `undefined` takes twice as long to write. */
export function chatBody(model: string, request: TextRequest, { unsupported, maxTokensField, extraBody }: Dialect): string {
  const { sampling, tools } = request
  const body: Record<string, unknown> = { ...extraBody, model, messages: withoutDevelopers(request.messages), stream: request.stream }
  // The fields of a Sampling have their wire names.
  for (const field in sampling) body[field] = sampling[field as keyof typeof sampling]
  if (request.stream && !unsupported.has('stream_options')) body['stream_options'] = INCLUDE_USAGE
  if (request.maxTokens !== null) body[maxTokensField] = request.maxTokens
  if (request.choices > 1) body['n'] = request.choices
  if (request.stop.length > 0) body['stop'] = request.stop
  if (tools.length > 0) {
    body['tools'] = tools
    if (request.toolChoice !== null) body['tool_choice'] = request.toolChoice
    if (request.parallelToolCalls !== null) body['parallel_tool_calls'] = request.parallelToolCalls
  }
  if (request.format !== null) body['response_format'] = formatOf(request.format)
  if (request.logprobs !== null) {
    body['logprobs'] = true
    if (request.logprobs > 0) body['top_logprobs'] = request.logprobs
  }
  if (request.effort !== null) body['reasoning_effort'] = request.effort
  if (request.reasoningSummary !== null) body['reasoning'] = { summary: request.reasoningSummary }
  if (request.verbosity !== null) body['verbosity'] = request.verbosity
  if (request.cacheKey !== null && !unsupported.has('prompt_cache_key')) body['prompt_cache_key'] = request.cacheKey
  if (request.cacheRetention !== null && !unsupported.has('prompt_cache_retention')) {
    body['prompt_cache_retention'] = request.cacheRetention
  }
  return JSON.stringify(body)
}

const INCLUDE_USAGE = { include_usage: true } as const

function formatOf(format: Format): unknown {
  if (format.type === 'json_object') return format
  const { name, strict, schema } = format
  return { type: 'json_schema', json_schema: { name, strict, schema } }
}

/** Many servers know no `developer`, and those that do take `system` for the same. */
function withoutDevelopers(messages: readonly Message[]): readonly Message[] {
  if (!messages.some((message) => message.role === 'developer')) return messages
  return messages.map((message) => (message.role === 'developer' ? { ...message, role: 'system' } : message))
}

function isSet(request: TextRequest, name: string, maxTokensField: string): boolean {
  switch (name) {
    case 'n':
      return request.choices > 1
    case 'stop':
      return request.stop.length > 0
    case 'tools':
      return request.tools.length > 0
    case 'tool_choice':
      return request.toolChoice !== null && request.toolChoice !== 'auto'
    case 'parallel_tool_calls':
      return request.parallelToolCalls !== null
    case 'response_format':
      return request.format !== null
    case 'response_format.json_schema':
      return request.format?.type === 'json_schema'
    case 'logprobs':
      return request.logprobs !== null
    case 'top_logprobs':
      return request.logprobs !== null && request.logprobs > 0
    case 'reasoning_effort':
      return request.effort !== null
    case 'reasoning.summary':
      return request.reasoningSummary !== null
    case 'verbosity':
      return request.verbosity !== null
    default:
      return name === maxTokensField ? request.maxTokens !== null : name in request.sampling
  }
}
