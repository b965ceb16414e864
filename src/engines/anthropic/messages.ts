/**
 * Chat messages → the turns of the Messages API: system and developer messages become the system prompt, in their
 * order; neighbours of one role become one turn; tool results stand in the user's turn. Names of participants have no
 * place there and are left out.
 */
import { failField } from '../../core/errors.ts'
import type { ContentPart, Message } from '../../core/modalities/text.ts'
import { thoughtBlocks } from './thoughts.ts'
import { isFields, listIn, readFields, textIn } from '../fields.ts'

/** A block of content; a cache breakpoint may still be added to it. */
export type Block = Record<string, unknown>
export type Turn = { readonly role: 'user' | 'assistant'; readonly content: Block[] }
export type Conversation = { readonly system: Block[]; readonly turns: Turn[] }

const IMAGE_TYPES: ReadonlySet<string> = new Set(['image/jpeg', 'image/png', 'image/gif', 'image/webp'])

/** Throws a 400 that names the message for what cannot be said there; the first `own` of them are not the caller's and do not count. */
export function conversationOf(messages: readonly Message[], own = 0): Conversation {
  const system: Block[] = []
  const turns: Turn[] = []
  for (const [index, message] of messages.entries()) {
    const place = `messages.${index - own}`
    const blocks = blocksOf(message, place)
    carryBreakpoint(message, blocks, place)
    if (message.role === 'system' || message.role === 'developer') {
      system.push(...blocks)
      continue
    }
    const role = message.role === 'assistant' ? 'assistant' : 'user'
    const last = turns.at(-1)
    if (last?.role === role) last.content.push(...blocks)
    else if (blocks.length > 0) turns.push({ role, content: blocks })
  }
  return { system, turns }
}

/** Whether the conversation waits for the answer to tool results, and their call came without the model's thoughts. */
export function isLoose(turns: readonly Turn[]): boolean {
  if (turns.at(-1)?.content[0]?.['type'] !== 'tool_result') return false
  const call = turns.at(-2)?.content[0]?.['type']
  return call !== 'thinking' && call !== 'redacted_thinking'
}

function blocksOf(message: Message, place: string): Block[] {
  switch (message.role) {
    case 'tool':
      return [toolResult(message, place)]
    case 'assistant':
      return [...thoughtBlocks(message), ...contentBlocks(message, place), ...toolUses(message, place)]
    default:
      return contentBlocks(message, place)
  }
}

function toolResult(message: Message, place: string): Block {
  const content = contentBlocks(message, place)
  const id = message['tool_call_id']
  if (typeof id !== 'string') throw failField(`${place}.tool_call_id`, 'is missing')
  return { type: 'tool_result', tool_use_id: callId(id), ...(content.length > 0 && { content }) }
}

function toolUses(message: Message, place: string): Block[] {
  return listIn(message['tool_calls']).map((call, at) => {
    const said = isFields(call) ? call['function'] : null
    if (!isFields(call) || !isFields(said)) throw failField(`${place}.tool_calls.${at}`, 'is no function call')
    const text = textIn(said, 'arguments')
    const input = text.trim() === '' ? {} : readFields(text)
    if (!input) throw failField(`${place}.tool_calls.${at}.function.arguments`, 'is no JSON object')
    return { type: 'tool_use', id: callId(textIn(call, 'id')), name: textIn(said, 'name'), input }
  })
}

/** Texts of white space only are left out: the API takes none. */
function contentBlocks({ content }: Message, place: string): Block[] {
  if (typeof content === 'string') return content.trim() === '' ? [] : [{ type: 'text', text: content }]
  const blocks: Block[] = []
  for (const [at, part] of (content ?? []).entries()) {
    const block = blockOf(part, `${place}.content.${at}`)
    if (block) blocks.push(withBreakpoint(block, part['cache_control'], `${place}.content.${at}`))
  }
  return blocks
}

function blockOf(part: ContentPart, place: string): Block | null {
  switch (part.type) {
    case 'text':
      return textIn(part, 'text').trim() === '' ? null : { type: 'text', text: textIn(part, 'text') }
    case 'refusal':
      return textIn(part, 'refusal').trim() === '' ? null : { type: 'text', text: textIn(part, 'refusal') }
    case 'image_url': {
      const image = part['image_url']
      return { type: 'image', source: imageSource(isFields(image) ? textIn(image, 'url') : '', `${place}.image_url.url`) }
    }
    default:
      throw failField(`${place}.type`, 'parts of this type are not supported by the engine of this model')
  }
}

/** Looks at the head of a data URL only; the image itself is passed on as it came. */
function imageSource(url: string, place: string): Block {
  if (/^https?:\/\//i.test(url.slice(0, 8))) return { type: 'url', url }
  const comma = url.slice(0, 256).indexOf(',')
  const [, mediaType = ''] = /^data:([a-z]+\/[a-z0-9.+-]+)(?:;[^;,]*)*;base64$/i.exec(url.slice(0, Math.max(0, comma))) ?? []
  const known = mediaType.toLowerCase() === 'image/jpg' ? 'image/jpeg' : mediaType.toLowerCase()
  if (!IMAGE_TYPES.has(known)) throw failField(place, 'takes http and https URLs, and base64 data URLs of JPEG, PNG, GIF and WebP images')
  return { type: 'base64', media_type: known, data: url.slice(comma + 1) }
}

/** Some clients mark a message instead of one of its parts: its last block then. */
function carryBreakpoint(message: Message, blocks: Block[], place: string): void {
  const last = blocks.at(-1)
  if (last && last['cache_control'] === undefined) withBreakpoint(last, message['cache_control'], place)
}

export function withBreakpoint(block: Block, control: unknown, place: string): Block {
  if (!isFields(control)) return block
  const ttl = control['ttl'] ?? undefined
  if (control['type'] !== 'ephemeral') throw failField(`${place}.cache_control.type`, 'takes ephemeral')
  if (ttl !== undefined && ttl !== '5m' && ttl !== '1h') throw failField(`${place}.cache_control.ttl`, 'takes 5m and 1h')
  block['cache_control'] = { type: 'ephemeral', ...(ttl !== undefined && { ttl }) }
  return block
}

/** Ids that other engines gave may have characters that this API does not take; a call and its result change alike. */
const callId = (id: string): string => (/[^a-zA-Z0-9_-]/.test(id) ? id.replaceAll(/[^a-zA-Z0-9_-]/g, '_') : id)
