/** From the wire body of a chat to the typed request: what was asked for, or a 400 that names what cannot be had. */
import { failField } from '../../core/errors.ts'
import {
  type ContentPart,
  type Effort,
  type Format,
  type Message,
  type SandboxOrders,
  type TextRequest,
  type Tool,
  type ToolChoice,
  partsOf,
} from '../../core/modalities/text.ts'
import type { Model } from '../../core/model.ts'
import { ordersOf } from '../../engines/sandbox/orders.ts'
import { withSystemPrompt } from '../../extras/system-prompt.ts'
import { UNSUPPORTED_FEATURE } from '../../limits/abuse-guard.ts'
import type { ChatBody } from './schema.ts'
import type { Extras } from './venice.ts'

/** The request for the engine. `bodyBytes` is the size of the whole body as it came; `orders` come with the model's suffix. */
export function toTextRequest(
  body: ChatBody,
  extras: Extras,
  model: Model,
  systemPrompt: string,
  bodyBytes: number,
  orders: SandboxOrders | null,
): TextRequest {
  // The schema has checked every field that the vocabulary names; the others pass through as they came.
  const messages = body.messages as readonly Message[]
  const media = weighMedia(messages)
  const effort = effortOf(body, extras)
  const format = formatOf(body)
  const tools = toolsOf(body)
  checkAbilities(model, { body, tools, format, effort, messages })
  const prompt = extras.includeSystemPrompt ? systemPrompt : ''
  const all = withSystemPrompt(messages, prompt)
  return {
    messages: all,
    ownMessages: all.length - messages.length,
    stream: body.stream === true,
    choices: body.n ?? 1,
    maxTokens: maxTokensOf(body),
    sampling: samplingOf(body, model),
    stop: typeof body.stop === 'string' ? [body.stop] : (body.stop ?? []),
    tools,
    toolChoice: tools.length > 0 ? toolChoiceOf(body, tools) : null,
    parallelToolCalls: tools.length > 0 ? (body.parallel_tool_calls ?? null) : null,
    format,
    logprobs: body.logprobs === true ? (body.top_logprobs ?? 0) : null,
    // A model that does not think needs not be told not to.
    effort: effort === 'none' && model.capabilities?.reasoning === false ? null : effort,
    reasoningSummary: body.reasoning?.summary ?? null,
    cacheKey: body.prompt_cache_key ?? null,
    cacheRetention: body.prompt_cache_retention ?? null,
    verbosity: verbosityOf(body),
    sandbox: body.sandbox ? ordersOf(body.sandbox) : orders,
    sizeBytes: Math.max(0, bodyBytes - media.bytes) + prompt.length,
    media: media.count,
  }
}

/** The sampling fields by their wire names: those the request has, then the model's defaults for those it has not. */
const SAMPLING_FIELDS = [
  'temperature',
  'top_p',
  'top_k',
  'min_p',
  'min_temp',
  'max_temp',
  'frequency_penalty',
  'presence_penalty',
  'repetition_penalty',
  'seed',
] as const

function samplingOf(body: ChatBody, model: Model): TextRequest['sampling'] {
  const sampling: Record<string, number | readonly number[]> = {}
  for (const field of SAMPLING_FIELDS) {
    const value = body[field] ?? model.defaults[field]
    if (value !== undefined) sampling[field] = value
  }
  if (body.stop_token_ids && body.stop_token_ids.length > 0) sampling['stop_token_ids'] = body.stop_token_ids
  return sampling
}

/** `max_completion_tokens` wins; 0 or less counts as not given. */
function maxTokensOf(body: ChatBody): number | null {
  const given = body.max_completion_tokens ?? body.max_tokens ?? 0
  return given > 0 ? given : null
}

function effortOf(body: ChatBody, extras: Extras): Effort | null {
  if (extras.disableThinking || body.reasoning?.enabled === false) return 'none'
  return body.reasoning_effort ?? body.reasoning?.effort ?? null
}

function verbosityOf(body: ChatBody): 'low' | 'medium' | 'high' | null {
  const verbosity = body.verbosity ?? body.text?.verbosity ?? null
  return verbosity === 'auto' ? null : verbosity
}

/** Both spellings of a schema: OpenAI's `{name, strict, schema}` and the bare schema. */
function formatOf(body: ChatBody): Format | null {
  const given = body.response_format
  if (!given || given.type === 'text') return null
  if (given.type === 'json_object') return { type: 'json_object' }
  const wrapped = given.json_schema['schema']
  if (isRecord(wrapped)) {
    const { name, strict } = given.json_schema
    return {
      type: 'json_schema',
      name: typeof name === 'string' && name !== '' ? name : 'answer',
      strict: typeof strict === 'boolean' ? strict : undefined,
      schema: wrapped,
    }
  }
  if (Object.keys(given.json_schema).length === 0) throw failField('response_format.json_schema', 'the schema is empty')
  return { type: 'json_schema', name: 'answer', strict: undefined, schema: given.json_schema }
}

function toolsOf(body: ChatBody): readonly Tool[] {
  const tools: Tool[] = []
  for (const [index, tool] of (body.tools ?? []).entries()) {
    if (!('function' in tool)) throw failField(`tools.${index}.type`, `the built-in tool ${tool.type} is not available on this server`)
    // The schema has checked the shape of a function tool; fields beyond it pass through.
    tools.push(tool as Tool)
  }
  return tools
}

function toolChoiceOf(body: ChatBody, tools: readonly Tool[]): ToolChoice | null {
  const choice = body.tool_choice ?? null
  if (choice === null || typeof choice === 'string') return choice
  const { name } = choice.function
  if (!tools.some((tool) => tool.function.name === name)) throw failField('tool_choice.function.name', 'no tool of this name is given')
  return { type: 'function', function: { name } }
}

const MEDIA_FIELDS = { image_url: 'url', video_url: 'url', input_audio: 'data' } as const

/** How many media parts there are and how long their strings; they are never looked into. */
function weighMedia(messages: readonly Message[]): { count: number; bytes: number } {
  let count = 0
  let bytes = 0
  for (const [index, message] of messages.entries()) {
    for (const [at, part] of partsOf(message).entries()) {
      if (part.type === 'file') throw failField(`messages.${index}.content.${at}.type`, 'file parts are not available on this server')
      const length = mediaLength(part)
      if (length === null) continue
      count++
      bytes += length
    }
  }
  return { count, bytes }
}

function mediaLength(part: ContentPart): number | null {
  if (part.type !== 'image_url' && part.type !== 'video_url' && part.type !== 'input_audio') return null
  const media = part[part.type]
  const value = isRecord(media) ? media[MEDIA_FIELDS[part.type]] : undefined
  return typeof value === 'string' ? value.length : 0
}

type Asked = {
  readonly body: ChatBody
  readonly tools: readonly Tool[]
  readonly format: Format | null
  readonly effort: Effort | null
  readonly messages: readonly Message[]
}

/** Refuses by name what the model says it cannot do. A model that says nothing is taken at its engine's word. */
function checkAbilities(model: Model, asked: Asked): void {
  const can = model.capabilities
  if (!can) return
  const lacks = (field: string, what: string): Error =>
    failField(field, `the model ${model.id} does not support ${what}`, UNSUPPORTED_FEATURE)
  if (asked.tools.length > 0 && !can.functionCalling) throw lacks('tools', 'function calling')
  if (asked.format?.type === 'json_schema' && !can.responseSchema) throw lacks('response_format', 'response schemas')
  if (asked.body.logprobs === true && !can.logProbs) throw lacks('logprobs', 'log probabilities')
  if (asked.effort !== null && asked.effort !== 'none') {
    if (!can.reasoning) throw lacks('reasoning_effort', 'reasoning')
    if (can.reasoningEfforts && !can.reasoningEfforts.includes(asked.effort)) {
      throw failField('reasoning_effort', `the model ${model.id} takes ${can.reasoningEfforts.join(', ')}`)
    }
  }
  let images = 0
  for (const [index, message] of asked.messages.entries()) {
    for (const part of partsOf(message)) {
      if (part.type === 'image_url' && !can.vision) throw lacks(`messages.${index}.content`, 'images')
      if (part.type === 'input_audio' && !can.audioInput) throw lacks(`messages.${index}.content`, 'audio')
      if (part.type === 'video_url' && !can.videoInput) throw lacks(`messages.${index}.content`, 'video')
      if (part.type === 'image_url') images++
    }
  }
  if (can.maxImages !== null && images > can.maxImages)
    throw failField('messages', `the model ${model.id} takes ${can.maxImages} images at most`)
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
