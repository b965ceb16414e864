/** A choice of a chat as llama.cpp's own server wants to be asked for it. Runs in the child only. */
import { randomInt } from 'node:crypto'
import { type ContentPart, type Effort, type Message, type TextRequest, type Tool, partsOf } from '../../core/modalities/text.ts'
import { type Told, withTools } from './child-told-tools.ts'
import { DEFAULTS, MAX_SEED, PUNISHED_TOKENS } from './choose.ts'
import { type CallStyle, callsGrammar, forcedTools } from './grammar.ts'
import { isPicture } from './pictures.ts'
import { styleOf } from './style.ts'
import type { ChatBody } from './wire.ts'

/** How a model writes calls that was told of its tools in words. */
const TOLD = styleOf(null).calls

/**
 * The request for the dialect. It is always streamed, so that each token shows that the work goes on. `knowsTools`: whether the model's
 * template does; where it does not, the server would drop them without a word, and the model is told of them in words.
 */
export function requestOf(body: ChatBody, knowsTools: boolean): TextRequest {
  const { choice, sampling, logprobs, effort } = body
  const { repetition_penalty: _otherName, seed, ...rest } = sampling
  return {
    ...body,
    ...(knowsTools ? toolsOf(body) : wordsOf(body)),
    stream: true,
    choices: 1,
    sampling: {
      temperature: DEFAULTS.temperature,
      top_k: DEFAULTS.topK,
      top_p: DEFAULTS.topP,
      min_p: DEFAULTS.minP,
      ...rest,
      seed: seed === undefined ? randomInt(MAX_SEED) : (Math.abs(seed) + choice) % MAX_SEED,
    },
    // None at all would mean no log probabilities to this server.
    logprobs: logprobs === null ? null : Math.max(1, logprobs),
    effort: effort === null ? null : effortOf(effort),
    reasoningSummary: null,
    cacheRetention: null,
    verbosity: null,
    sandbox: null,
    sizeBytes: 0,
    media: 0,
  }
}

/** Fields that this server alone has, or calls otherwise. */
export function serverFields(body: ChatBody, knowsTools: boolean): Readonly<Record<string, unknown>> {
  const { sampling, parallelToolCalls, tools } = body
  const grammar = knowsTools ? null : callsOnly(body)
  // A grammar leaves no room for thoughts.
  const effort = grammar === null ? body.effort : 'none'
  return {
    ...(grammar !== null && { grammar }),
    cache_prompt: true,
    repeat_last_n: PUNISHED_TOKENS,
    repeat_penalty: sampling.repetition_penalty ?? 1,
    ...(effort !== null && {
      chat_template_kwargs: effort === 'none' ? { enable_thinking: false } : { reasoning_effort: effortOf(effort) },
    }),
    ...(tools.length > 0 && parallelToolCalls === null && { parallel_tool_calls: true }),
  }
}

/** The tools that the model is told of. */
function offered(body: ChatBody): readonly Tool[] {
  const forced = forcedTools(body)
  return body.toolChoice === 'none' ? [] : forced.length > 0 ? forced : body.tools
}

/** How what a model writes is read that was told of its tools in words; null where it was told of none. */
export const readingOf = (body: ChatBody): Reading | null =>
  offered(body).length === 0 ? null : { calls: TOLD, calling: forcedTools(body).length > 0 }

export type Reading = { readonly calls: CallStyle; readonly calling: boolean }

type Asked = Pick<TextRequest, 'messages' | 'tools' | 'toolChoice'>

/** The server forces a call of any tool, but not one by its name: so it is told of that one only. */
function toolsOf(body: ChatBody): Asked {
  const forced = forcedTools(body).length > 0
  const tools = offered(body)
  const toolChoice = tools.length === 0 ? null : forced ? 'required' : body.toolChoice
  return { messages: body.messages.map(plainOf), tools, toolChoice }
}

function wordsOf(body: ChatBody): Asked {
  const messages = body.messages.map(plainOf)
  const tools = offered(body)
  const speaks = tools.length > 0 || messages.some(({ role, tool_calls }) => role === 'tool' || tool_calls !== undefined)
  // What was a message stays one.
  return { messages: speaks ? (withTools(messages, tools) as Message[]) : messages, tools: [], toolChoice: null }
}

/** Holds a model to calls that was told of its tools in words; null where it may decide. */
function callsOnly(body: ChatBody): string | null {
  const forced = forcedTools(body)
  const parallel = body.toolChoice === 'required' && body.parallelToolCalls !== false
  return forced.length === 0 ? null : callsGrammar(forced, TOLD, parallel)
}

/**
 * Only what the server is meant to see: it would fetch what a part of another type names. A message without pictures is a text, which
 * every template takes.
 */
function plainOf(message: Message): Told & Message {
  const { role, content, name, tool_calls, tool_call_id, reasoning_content } = message
  const parts = partsOf(message)
  const text = typeof content === 'string' ? content : parts.map(textOf).join('\n')
  const seen = parts.some(isPicture) ? parts.filter((part) => isPicture(part) || textOf(part) !== '').map(partOf) : text
  return {
    role: role === 'developer' ? 'system' : role,
    content: seen,
    ...Object.fromEntries(Object.entries({ name, tool_calls, tool_call_id, reasoning_content }).filter(([, value]) => value != null)),
  }
}

const textOf = ({ text }: ContentPart): string => (typeof text === 'string' ? text : '')

function partOf(part: ContentPart): ContentPart {
  return isPicture(part) ? { type: 'image_url', image_url: { url: part.image_url.url } } : { type: 'text', text: textOf(part) }
}

/** Templates know three. */
function effortOf(effort: Effort): Effort {
  if (effort === 'none' || effort === 'medium') return effort
  return effort === 'minimal' || effort === 'low' ? 'low' : 'high'
}
