/** `include_venice_system_prompt`: the server's own short prompt first, the caller's appended to it. */
import type { Message } from '../core/modalities/text.ts'

/**
 * The messages with `prompt` in front. A system message that comes first is continued rather than preceded, because
 * many models take only one. An empty prompt changes nothing.
 */
export function withSystemPrompt(messages: readonly Message[], prompt: string): readonly Message[] {
  if (prompt === '') return messages
  const [first, ...rest] = messages
  if (!first || (first.role !== 'system' && first.role !== 'developer')) return [{ role: 'system', content: prompt }, ...messages]
  if (typeof first.content === 'string') return [{ ...first, content: `${prompt}\n\n${first.content}` }, ...rest]
  return [{ ...first, content: [{ type: 'text', text: prompt }, ...(first.content ?? [])] }, ...rest]
}
