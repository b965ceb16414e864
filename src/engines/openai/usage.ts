/** What an engine says it used, in disjoint classes whose sum is the engine's own total. */
import type { Finish } from '../../core/call.ts'
import { type Fields, isFields } from '../fields.ts'

/** Null where the engine does not count both sides of a chat. */
export function chatUsage(raw: unknown): Finish | null {
  if (!isFields(raw)) return null
  const prompt = count(raw['prompt_tokens'])
  const completion = count(raw['completion_tokens'])
  if (prompt === null || completion === null) return null

  const details = fieldsOf(raw['prompt_tokens_details'])
  // OpenAI and most others; DeepSeek; Moonshot.
  const read = count(details['cached_tokens']) ?? count(raw['prompt_cache_hit_tokens']) ?? count(raw['cached_tokens']) ?? 0
  // Anthropic's name, which Venice and gateways use too; OpenRouter's.
  const written =
    count(details['cache_creation_input_tokens']) ?? count(details['cache_write_tokens']) ?? count(raw['cache_creation_input_tokens']) ?? 0
  const cacheReadToken = Math.min(read, prompt)
  const cacheWriteToken = Math.min(written, prompt - cacheReadToken)

  const reasoning = count(fieldsOf(raw['completion_tokens_details'])['reasoning_tokens']) ?? count(raw['reasoning_tokens']) ?? 0
  // xAI leaves the reasoning tokens out of the completion and counts them in the total only.
  const apart = reasoning > 0 && count(raw['total_tokens']) === prompt + completion + reasoning
  return {
    usage: {
      inputToken: prompt - cacheReadToken - cacheWriteToken,
      ...(cacheReadToken > 0 && { cacheReadToken }),
      ...(cacheWriteToken > 0 && { cacheWriteToken }),
      outputToken: apart ? completion + reasoning : completion,
    },
    ...(reasoning > 0 && { reasoningTokens: reasoning }),
  }
}

export function embeddingUsage(raw: unknown): Finish {
  const fields = fieldsOf(raw)
  const inputToken = count(fields['prompt_tokens']) ?? count(fields['total_tokens'])
  return { usage: inputToken === null ? null : { inputToken } }
}

/** A whole number, never below 0; null where it is none. */
function count(value: unknown): number | null {
  return typeof value === 'number' && Number.isSafeInteger(value) ? Math.max(0, value) : null
}

const fieldsOf = (value: unknown): Fields => (isFields(value) ? value : {})
