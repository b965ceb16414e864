/** A whole chat answer → its choices. */
import type { Finish } from '../../core/call.ts'
import type { Choice, Delta, TextPart } from '../../core/modalities/text.ts'
import { errorInBody } from '../upstream-error.ts'
import { messageOf } from './delta.ts'
import { finishReason } from './finish-reason.ts'
import { chatUsage } from './usage.ts'
import { isFields, listIn, malformed, parseFields } from '../fields.ts'

export type Whole = { readonly choices: readonly Choice[]; readonly finish: Finish }

/** Throws a `Failure` for an answer that is none; some servers send their errors with a status of 200. */
export function wholeOf(body: Buffer): Whole {
  const answer = parseFields(body.toString('utf8'))
  const error = answer['error'] ?? (answer['object'] === 'error' ? answer : null)
  if (error !== null) throw errorInBody(error)
  const raw = listIn(answer['choices'])
  if (raw.length === 0) throw malformed()
  return { choices: raw.map(choiceOf), finish: chatUsage(answer['usage']) ?? { usage: null } }
}

/** The same as the parts of a stream, for a server that was asked to stream and did not. */
export function streamedParts({ choices }: Whole): TextPart[] {
  const parts: TextPart[] = []
  for (const { index, message, logprobs, finishReason: reason } of choices) {
    const { role: _role, tool_calls, ...rest } = message
    const calls = listIn(tool_calls).map((call, at) => ({ ...(isFields(call) ? call : {}), index: at }))
    // `messageOf` made it: a delta has the fields of a message, and its calls are indexed here.
    const delta = (calls.length > 0 ? { ...rest, tool_calls: calls } : rest) as Delta
    parts.push({ type: 'delta', choice: index, delta, logprobs }, { type: 'end', choice: index, reason })
  }
  return parts
}

function choiceOf(raw: unknown, at: number): Choice {
  if (!isFields(raw) || !isFields(raw['message'])) throw malformed()
  const message = messageOf(raw['message'])
  return {
    index: at,
    message,
    finishReason: finishReason(raw['finish_reason'], message['tool_calls'] !== undefined),
    logprobs: raw['logprobs'] ?? null,
  }
}
