/** What a choice gained, out of the many shapes that servers give it. */
import type { Delta } from '../../core/modalities/text.ts'
import { type ToolCalls, wholeCalls } from './tool-calls.ts'
import { type Fields, isFields, listIn } from '../fields.ts'

/**
 * The delta for the caller, or null where nothing of it is left: roles and empty texts say nothing (the endpoint tells
 * the role), `function_call` is long gone. `reasoning` (OpenRouter, Ollama, vLLM) is `reasoning_content`; fields that
 * are the vendor's own (`reasoning_details`, `thought_signature`, `extra_content`, …) pass through untouched.
 */
export function deltaOf(raw: Fields, calls: ToolCalls): Delta | null {
  const out: Record<string, unknown> = {}
  let any = false
  for (const field in raw) {
    const value = valueOf(field, raw, calls)
    if (value === undefined) continue
    out[field === 'reasoning' ? 'reasoning_content' : field] = value
    any = true
  }
  if (Array.isArray(raw['content'])) any = spread(raw['content'], out) || any
  return any ? out : null
}

/** A whole message in the shape of a chat message: complete calls, reasoning under its one name, never without role. */
export function messageOf(raw: Fields): Fields {
  const { reasoning, function_call: _legacy, ...message } = raw
  const out: Record<string, unknown> = { ...message, role: 'assistant', content: raw['content'] ?? null }
  if (out['reasoning_content'] === undefined && typeof reasoning === 'string') out['reasoning_content'] = reasoning
  if (Array.isArray(raw['content'])) {
    out['content'] = ''
    spread(raw['content'], out)
  }
  const calls = wholeCalls(listIn(raw['tool_calls']))
  if (calls.length > 0) out['tool_calls'] = calls
  else delete out['tool_calls']
  return out
}

/** The value of one field as it goes on, or undefined where it does not. */
function valueOf(field: string, raw: Fields, calls: ToolCalls): unknown {
  const value = raw[field]
  if (value === null) return undefined
  switch (field) {
    case 'role':
    case 'function_call':
      return undefined
    case 'content':
    case 'reasoning_content':
    case 'refusal':
      return typeof value === 'string' && value !== '' ? value : undefined
    case 'reasoning':
      // vLLM sent both names for a while.
      return typeof value === 'string' && value !== '' && !raw['reasoning_content'] ? value : undefined
    case 'tool_calls': {
      const told = calls.take(listIn(value))
      return told.length > 0 ? told : undefined
    }
    default:
      return value === '' || (Array.isArray(value) && value.length === 0) ? undefined : value
  }
}

/** Content in parts (Mistral): the texts are content, what is thought is reasoning. */
function spread(parts: readonly unknown[], out: Record<string, unknown>): boolean {
  let content = ''
  let thought = ''
  for (const part of parts) {
    if (!isFields(part)) continue
    if (typeof part['text'] === 'string') content += part['text']
    for (const piece of listIn(part['thinking'])) if (isFields(piece) && typeof piece['text'] === 'string') thought += piece['text']
  }
  if (content !== '') out['content'] = content
  if (thought !== '') out['reasoning_content'] = thought
  return content !== '' || thought !== ''
}
