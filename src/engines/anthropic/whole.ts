/** A whole message → its one choice. */
import type { Finish } from '../../core/call.ts'
import type { Choice, Delta, TextPart } from '../../core/modalities/text.ts'
import { errorInBody } from '../upstream-error.ts'
import { finishReason } from './stop-reason.ts'
import { encryptedDetail, thoughtDetail } from './thoughts.ts'
import { Counts } from './usage.ts'
import { isFields, listIn, malformed, readFields, textIn } from '../fields.ts'
import type { Fields } from '../fields.ts'

export type Whole = { readonly choice: Choice; readonly finish: Finish }

/** Throws a `Failure` for an answer that is none. */
export function wholeOf(body: Buffer): Whole {
  const answer = readFields(body.toString('utf8'))
  if (!answer) throw malformed()
  if (answer['type'] === 'error' || isFields(answer['error'])) throw errorInBody(answer['error'])
  if (!Array.isArray(answer['content'])) throw malformed()
  const counts = new Counts()
  counts.take(answer['usage'])
  const message = messageOf(listIn(answer['content']).filter(isFields))
  const reason = finishReason(answer['stop_reason'], message['tool_calls'] !== undefined)
  return { choice: { index: 0, message, finishReason: reason, logprobs: null }, finish: counts.finish() }
}

/** The same as the parts of a stream, for a server that was asked to stream and did not. */
export function streamedParts({ choice }: Whole): TextPart[] {
  const { role: _role, tool_calls: calls, ...rest } = choice.message
  const indexed = listIn(calls).map((call, index) => ({ ...(isFields(call) ? call : {}), index }))
  // `messageOf` made it: a delta has the fields of a message, and its calls are indexed here.
  const delta = (indexed.length > 0 ? { ...rest, tool_calls: indexed } : rest) as Delta
  return [
    { type: 'delta', choice: 0, delta, logprobs: null },
    { type: 'end', choice: 0, reason: choice.finishReason },
  ]
}

function messageOf(blocks: readonly Fields[]): Fields {
  let content = ''
  let reasoning = ''
  const details: Fields[] = []
  const calls: Fields[] = []
  for (const block of blocks) {
    switch (block['type']) {
      case 'text':
        content += textIn(block, 'text')
        break
      case 'thinking':
        reasoning += textIn(block, 'thinking')
        details.push(thoughtDetail(textIn(block, 'thinking'), textIn(block, 'signature'), details.length))
        break
      case 'redacted_thinking':
        details.push(encryptedDetail(textIn(block, 'data'), details.length))
        break
      case 'tool_use':
        calls.push({
          id: textIn(block, 'id'),
          type: 'function',
          function: { name: textIn(block, 'name'), arguments: JSON.stringify(isFields(block['input']) ? block['input'] : {}) },
        })
        break
      default:
        // Blocks of tools that run at Anthropic's, which nobody asked for.
        break
    }
  }
  return {
    role: 'assistant',
    content: content === '' && calls.length > 0 ? null : content,
    ...(reasoning !== '' && { reasoning_content: reasoning }),
    ...(details.length > 0 && { reasoning_details: details }),
    ...(calls.length > 0 && { tool_calls: calls }),
  }
}
