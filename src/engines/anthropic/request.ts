/**
 * The typed chat request → the body of the Messages API, and the fields that it has no place for.
 *
 * Documented mappings, beside those of messages, thinking and schema: `json_object` is asked for in words; `strict`
 * tools are strict where model and schema can be; `prompt_cache_key` has nothing to act on; the cache's breakpoints are the
 * caller's (`cache_control`), or else two of ours, for five minutes, with a longer retention for an hour.
 */
import { failField } from '../../core/errors.ts'
import type { Message, TextRequest, Tool } from '../../core/modalities/text.ts'
import { conversationOf, isLoose, withBreakpoint } from './messages.ts'
import type { Block, Conversation } from './messages.ts'
import { closedSchema } from './schema.ts'
import { forcesTool, samplingOf, thinkingOf } from './thinking.ts'
import { traitsOf } from './traits.ts'
import type { Traits } from './traits.ts'
import type { Fields } from '../fields.ts'

/** As many cache breakpoints as the API takes. */
const MOST_BREAKPOINTS = 4
const JSON_PROMPT = 'Answer with a single JSON object and nothing else: no words around it, no code fence.'

/** Sampling fields that there is nothing for, each with the value that means nothing. */
const NEUTRAL: Readonly<Partial<Record<keyof TextRequest['sampling'], number>>> = {
  frequency_penalty: 0,
  presence_penalty: 0,
  repetition_penalty: 1,
  min_p: 0,
}

/** The wire name of the first field that cannot be honoured, or null. */
export function refusedField(request: TextRequest, model: string): string | null {
  const { sampling, choices, logprobs, effort, verbosity, stop, format, messages } = request
  const traits = traitsOf(model)
  for (const field of [
    'frequency_penalty',
    'presence_penalty',
    'repetition_penalty',
    'min_p',
    'seed',
    'min_temp',
    'max_temp',
    'stop_token_ids',
  ] as const) {
    if (sampling[field] !== undefined && sampling[field] !== NEUTRAL[field]) return field
  }
  if (choices > 1) return 'n'
  if (logprobs !== null) return 'logprobs'
  if (verbosity === 'low' || verbosity === 'high') return 'verbosity'
  // A sequence must have something other than white space in it.
  if (stop.some((sequence) => sequence.trim() === '')) return 'stop'
  if (effort === 'none' ? traits.off === 'never' : effort !== null && traits.thinking === 'none') return 'reasoning_effort'
  if (format?.type === 'json_schema' && !traits.schemas) return 'response_format'
  if (!traits.forcedTools && forcesTool(request)) return 'tool_choice'
  const last = messages.at(-1)
  if (last?.role === 'assistant' && !traits.prefill) return 'messages'
  return messages.some(hasSoundOrFilm) ? 'messages' : null
}

function hasSoundOrFilm({ content }: Message): boolean {
  return typeof content === 'object' && content !== null && content.some(({ type }) => type === 'input_audio' || type === 'video_url')
}

/** Throws a 400 that names the place for what cannot be said. */
export function messagesBody(model: string, request: TextRequest): string {
  const traits = traitsOf(model)
  const conversation = conversationOf(request.messages, request.ownMessages)
  const { system, turns } = conversation
  if (turns.length === 0) throw failField('messages', 'the engine of this model needs a message that is not of the system')
  if (request.format?.type === 'json_object') system.push({ type: 'text', text: JSON_PROMPT })
  const tools = request.tools.map((tool, at) => toolOf(tool, traits, at))
  setBreakpoints(conversation, tools, request)

  const maxTokens = request.maxTokens ?? traits.maxTokens
  const { thinking, effort, on } = thinkingOf(request, traits, maxTokens, isLoose(turns))
  return JSON.stringify({
    model,
    max_tokens: maxTokens,
    system: system.length > 0 ? system : undefined,
    messages: turns,
    ...samplingOf(request, traits, on),
    stop_sequences: request.stop.length > 0 ? request.stop : undefined,
    stream: request.stream,
    tools: tools.length > 0 ? tools : undefined,
    tool_choice: toolChoiceOf(request),
    thinking,
    output_config: outputConfig(request, effort),
  })
}

function toolOf(tool: Tool, { schemas }: Traits, at: number): Block {
  const { name, description, parameters, strict } = tool.function
  const schema = { type: 'object', properties: {}, ...parameters }
  const enforced = strict === true && schemas ? closedSchema(schema) : null
  const block: Block = { name, description, input_schema: enforced ?? schema, ...(enforced !== null && { strict: true }) }
  return withBreakpoint(block, tool['cache_control'], `tools.${at}`)
}

function toolChoiceOf({ tools, toolChoice, parallelToolCalls }: TextRequest): Fields | undefined {
  if (tools.length === 0) return undefined
  if (toolChoice === 'none') return { type: 'none' }
  const single = parallelToolCalls === false && { disable_parallel_tool_use: true }
  if (toolChoice === 'required') return { type: 'any', ...single }
  if (typeof toolChoice === 'object' && toolChoice !== null) return { type: 'tool', name: toolChoice.function.name, ...single }
  return toolChoice === 'auto' || single ? { type: 'auto', ...single } : undefined
}

function outputConfig({ format }: TextRequest, effort: string | undefined): Fields | undefined {
  if (format?.type !== 'json_schema') return effort === undefined ? undefined : { effort }
  const schema = closedSchema(format.schema)
  if (schema === null)
    throw failField('response_format', 'the engine of this model needs every object of the schema to name its properties')
  return { effort, format: { type: 'json_schema', schema } }
}

/** The caller's, or else after the system prompt (or the tools) and after the last turn but one of the user's. */
function setBreakpoints({ system, turns }: Conversation, tools: readonly Block[], { cacheRetention }: TextRequest): void {
  const blocks = [...tools, ...system, ...turns.flatMap(({ content }) => content)]
  const own = blocks.reduce((count, block) => count + (block['cache_control'] === undefined ? 0 : 1), 0)
  if (own > MOST_BREAKPOINTS) throw failField('messages', `the engine of this model takes ${MOST_BREAKPOINTS} cache_control at most`)
  if (own > 0) return
  const control = { type: 'ephemeral', ...(cacheRetention !== null && cacheRetention !== 'default' && { ttl: '1h' }) }
  const before = turns.filter(({ role }) => role === 'user').at(-2)
  for (const block of [system.at(-1) ?? tools.at(-1), before?.content.at(-1)]) if (block) block['cache_control'] = control
}
