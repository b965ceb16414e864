/**
 * What the sandbox says: sentences about the request, tool calls, or an instance of the schema that was asked for.
 * A function of the request alone. The seed picks among a few closing sentences, and so does the choice's index,
 * unless the temperature is 0; the other sampling fields, verbosity and caching have nothing to act on here.
 */
import { failField } from '../../core/errors.ts'
import { EFFORTS } from '../../core/modalities/text.ts'
import type { ContentPart, Message, TextRequest, Tool } from '../../core/modalities/text.ts'
import { hashOf } from './hash.ts'
import { isRule } from './schema-check.ts'
import { instanceOf } from './schema-instance.ts'
import { countTokens, countWords, startOf } from './tokens.ts'

export type Call = { readonly id: string; readonly name: string; readonly arguments: string }

/** What one choice would say if nothing stopped it; of `content` and `calls`, one only. */
export type Answer = { readonly reasoning: string; readonly content: string; readonly calls: readonly Call[] }

const QUOTE_LIMIT = 80
const MOST_CALLS = 3
const OPENING = "This is Rialto's sandbox: no model is behind it."
const CLOSINGS = [
  'The same request gets the same answer.',
  'Connect an engine to get a real answer.',
  'Nothing left this machine, and nothing was kept.',
  'Ask it for tools, a schema or an error, and it gives you one.',
]
const THOUGHTS = [
  'There is no model here, so this is what thinking looks like on the wire.',
  'First the messages are counted.',
  'Then the last one is looked at, but not understood.',
  'If there are tools, one of them gets called.',
  'If there is a schema, something that fits it is made.',
  'Otherwise a few sentences have to do.',
  'That seems to be all there is to it.',
]

/** One answer per choice. Whatever is large or costly is made once for all of them. */
export function answersOf(request: TextRequest): Answer[] {
  const reasoning = reasoningOf(request)
  const filled = toolsToCall(request).map((tool) => ({ name: tool.function.name, arguments: argumentsFor(tool, request) }))
  const content = filled.length > 0 ? '' : request.format ? formatted(request.format) : sentences(request)
  return Array.from({ length: request.choices }, (_, choice) => ({
    reasoning,
    content: filled.length > 0 || request.format ? content : `${content} ${closing(request, choice)}`,
    calls: filled.map((call, index) => ({ id: callId(request, choice, index, call.name), ...call })),
  }))
}

/** Everything that the request makes the sandbox read; a part that is not text counts as one token. */
export function countInput(request: TextRequest): number {
  let tokens = request.tools.length > 0 ? countTokens(JSON.stringify(request.tools)) : 0
  for (const message of request.messages) {
    tokens += 1 + countTokens(textOfMessage(message))
    for (const part of partsOf(message)) if (typeof part['text'] !== 'string') tokens++
    if (message['tool_calls']) tokens += countTokens(JSON.stringify(message['tool_calls']))
  }
  return tokens
}

/** Those named, or the first few at most: in parallel unless that was ruled out. */
function toolsToCall({ tools, toolChoice, parallelToolCalls, messages }: TextRequest): readonly Tool[] {
  if (tools.length === 0 || toolChoice === 'none') return []
  if (typeof toolChoice === 'object' && toolChoice !== null)
    return tools.filter((tool) => tool.function.name === toolChoice.function.name).slice(0, 1)
  if (toolChoice !== 'required' && messages.at(-1)?.role !== 'user') return []
  return tools.slice(0, parallelToolCalls === false ? 1 : MOST_CALLS)
}

function argumentsFor(tool: Tool, { tools }: TextRequest): string {
  const place = `tools.${tools.indexOf(tool)}.function.parameters`
  const value = instance(tool.function.parameters ?? { type: 'object' }, place)
  if (!isRule(value)) throw failField(place, 'describes something else than an object')
  return JSON.stringify(value)
}

/** The number of messages tells the turns of one conversation apart, as clients keep calls by their ids. */
function callId({ messages }: TextRequest, choice: number, index: number, name: string): string {
  return `call_sandbox${index}${hashOf(`${messages.length} ${choice} ${index} ${name}`).toString(16).padStart(8, '0')}`
}

function formatted(format: NonNullable<TextRequest['format']>): string {
  if (format.type === 'json_object') return JSON.stringify({ sandbox: true, message: OPENING })
  return JSON.stringify(instance(format.schema, 'response_format'))
}

function instance(schema: Readonly<Record<string, unknown>>, place: string): unknown {
  const made = instanceOf(schema)
  if (!made)
    throw failField(
      place,
      'the sandbox finds nothing that fits this schema; it may contradict itself, be too large, or use keywords that the sandbox does not know',
    )
  return made.value
}

function reasoningOf({ effort }: TextRequest): string {
  if (effort === null || effort === 'none') return ''
  return THOUGHTS.slice(0, EFFORTS.indexOf(effort) + 1).join(' ')
}

function sentences({ messages }: TextRequest): string {
  return [OPENING, ...results(messages), ...asked(messages), ...media(messages)].join(' ')
}

function closing({ sampling: { seed = 0, temperature } }: TextRequest, choice: number): string {
  const variant = temperature === 0 ? seed : seed + choice
  return CLOSINGS[hashOf(String(variant)) % CLOSINGS.length] ?? OPENING
}

function asked(messages: readonly Message[]): string[] {
  const last = messages.findLast((message) => message.role === 'user')
  if (!last) return []
  const text = textOfMessage(last)
  return [
    text === ''
      ? 'The last message holds no text.'
      : `You wrote ${count(countWords(text), 'word')}; the last message begins "${quote(text)}".`,
  ]
}

/** What the tools answered to the last turn's calls. */
function results(messages: readonly Message[]): string[] {
  const out: string[] = []
  for (const message of messages.slice(messages.findLastIndex(({ role }) => role !== 'tool') + 1)) {
    const text = textOfMessage(message)
    const name = nameOfResult(message, messages)
    out.push(`The tool${name === null ? '' : ` ${name}`} answered ${count(countWords(text), 'word')}, beginning "${quote(text)}".`)
  }
  return out
}

/** Tool results carry the id of a call; its name stands in the assistant's message that made it. */
function nameOfResult(result: Message, messages: readonly Message[]): string | null {
  if (typeof result['name'] === 'string') return result['name']
  for (const { tool_calls: calls } of messages) {
    const call: unknown = Array.isArray(calls) ? calls.find((made) => isRule(made) && made['id'] === result['tool_call_id']) : null
    const made = isRule(call) ? call['function'] : null
    if (isRule(made) && typeof made['name'] === 'string') return made['name']
  }
  return null
}

/** How many parts of which kind came; they are never looked into. */
function media(messages: readonly Message[]): string[] {
  const kinds = new Map<string, number>()
  for (const { type } of messages.flatMap(partsOf)) if (type !== 'text') kinds.set(type, (kinds.get(type) ?? 0) + 1)
  if (kinds.size === 0) return []
  return [`With it came ${[...kinds].map(([kind, number]) => count(number, `${kind} part`)).join(' and ')}.`]
}

function textOfMessage(message: Message): string {
  if (typeof message.content === 'string') return message.content
  const texts = partsOf(message).map(({ text }) => (typeof text === 'string' ? text : ''))
  return texts.join(' ').trim()
}

const partsOf = ({ content }: Message): readonly ContentPart[] => (typeof content === 'object' && content !== null ? content : [])

const quote = (text: string): string => startOf(text, QUOTE_LIMIT)

const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? '' : 's'}`
