/** Messages for a template that takes user and assistant in turns only. Runs in children only. */
import type { Told } from './child-told-tools.ts'

/**
 * User and assistant in turns, beginning with the user; what the system says stands before what the user says first. Contents are texts
 * or lists of parts; two texts become one.
 */
export function inTurns(messages: readonly Told[]): Told[] {
  const out: Told[] = []
  for (const message of messages) {
    const turn = { ...message, role: message.role === 'assistant' ? 'assistant' : 'user' }
    const last = out.at(-1)
    if (last?.role === turn.role) out[out.length - 1] = { ...last, content: joined(last.content, turn.content) }
    else out.push(turn)
  }
  return out
}

function joined(first: unknown, second: unknown): unknown {
  if (!Array.isArray(first) && !Array.isArray(second)) return `${String(first)}\n\n${String(second)}`
  return [...partsOf(first), ...partsOf(second)]
}

const partsOf = (content: unknown): readonly unknown[] => (Array.isArray(content) ? content : [{ type: 'text', text: content }])
