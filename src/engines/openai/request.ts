/** The typed chat request → the body that OpenAI-compatible servers take. */
import type { Message, TextRequest } from '../../core/modalities/text.ts'

/** How one server differs from the others; from the configuration. */
export type Dialect = {
  /** Wire names of fields that it cannot honour. */
  readonly unsupported: ReadonlySet<string>
  readonly maxTokensField: 'max_tokens' | 'max_completion_tokens'
  /** Fields of the operator's that go into every chat, such as `{"store": false}`. */
  readonly extraBody: Readonly<Record<string, unknown>>
}

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

export function chatBody(model: string, request: TextRequest, { unsupported, maxTokensField, extraBody }: Dialect): string {
  const { stop, tools, choices, logprobs } = request
  return JSON.stringify({
    ...extraBody,
    model,
    messages: withoutDevelopers(request.messages),
    ...request.sampling,
    stream: request.stream,
    stream_options: request.stream && !unsupported.has('stream_options') ? { include_usage: true } : undefined,
    [maxTokensField]: request.maxTokens ?? undefined,
    n: choices > 1 ? choices : undefined,
    stop: stop.length > 0 ? stop : undefined,
    tools: tools.length > 0 ? tools : undefined,
    tool_choice: tools.length > 0 ? (request.toolChoice ?? undefined) : undefined,
    parallel_tool_calls: tools.length > 0 ? (request.parallelToolCalls ?? undefined) : undefined,
    response_format: formatOf(request),
    logprobs: logprobs === null ? undefined : true,
    top_logprobs: logprobs ? logprobs : undefined,
    reasoning_effort: request.effort ?? undefined,
    reasoning: request.reasoningSummary === null ? undefined : { summary: request.reasoningSummary },
    prompt_cache_key: unsupported.has('prompt_cache_key') ? undefined : (request.cacheKey ?? undefined),
    prompt_cache_retention: unsupported.has('prompt_cache_retention') ? undefined : (request.cacheRetention ?? undefined),
    verbosity: request.verbosity ?? undefined,
  })
}

function formatOf({ format }: TextRequest): unknown {
  if (format === null) return undefined
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
