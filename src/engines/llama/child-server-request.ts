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

/** How what a model writes is read that was told of its tools in words. */
export type Reading = { readonly calls: CallStyle; readonly calling: boolean }

export type Asked = {
  /** For the dialect. It is always streamed, so that each token shows that the work goes on. */
  readonly request: TextRequest
  /** Fields that this server alone has, or calls otherwise. */
  readonly fields: Readonly<Record<string, unknown>>
  /** Null where the server takes calls out of the text, and where there are none. */
  readonly reading: Reading | null
}

/**
 * `knowsTools`: whether the model's template does. Where it does not, the server would drop them without a word; and a call that it is to
 * force may come after any text, or never where it is forced by its name. In both cases the model is told of its tools in words, and held
 * to calls by a grammar of ours.
 */
export function askedOf(body: ChatBody, knowsTools: boolean): Asked {
  const { sampling, toolChoice, parallelToolCalls } = body
  const forced = forcedTools(body)
  const offered = toolChoice === 'none' ? [] : forced.length > 0 ? forced : body.tools
  const native = knowsTools && forced.length === 0
  const plain = body.messages.map(plainOf)
  // A grammar leaves no room for thoughts.
  const effort = forced.length > 0 ? 'none' : body.effort && effortOf(body.effort)
  return {
    request: {
      ...requestOf(body),
      effort,
      // What was a message stays one.
      messages: native || !speaks(plain, offered) ? plain : (withTools(plain, offered) as Message[]),
      tools: native ? offered : [],
      toolChoice: native && offered.length > 0 ? toolChoice : null,
    },
    fields: {
      cache_prompt: true,
      repeat_last_n: PUNISHED_TOKENS,
      repeat_penalty: sampling.repetition_penalty ?? 1,
      ...(effort !== null && { chat_template_kwargs: effort === 'none' ? { enable_thinking: false } : { reasoning_effort: effort } }),
      ...(native && offered.length > 0 && parallelToolCalls === null && { parallel_tool_calls: true }),
      ...(forced.length > 0 && { grammar: callsGrammar(forced, TOLD, toolChoice === 'required' && parallelToolCalls !== false) }),
    },
    reading: native || offered.length === 0 ? null : { calls: TOLD, calling: forced.length > 0 },
  }
}

function requestOf(body: ChatBody): TextRequest {
  const { choice, sampling, logprobs } = body
  const { repetition_penalty: _otherName, seed, ...rest } = sampling
  return {
    ...body,
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
    reasoningSummary: null,
    cacheRetention: null,
    verbosity: null,
    sandbox: null,
    sizeBytes: 0,
    media: 0,
  }
}

/** Whether there is a word of tools in what is said. */
const speaks = (messages: readonly Message[], offered: readonly Tool[]): boolean =>
  offered.length > 0 || messages.some(({ role, tool_calls }) => role === 'tool' || tool_calls !== undefined)

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
