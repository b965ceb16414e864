/** The sandbox's chat: composes the whole answer, cuts it where the request says, and sends it piece by piece. */
import type { Ability, Task } from '../../core/engine.ts'
import type { Finish, Sink } from '../../core/call.ts'
import { fail } from '../../core/errors.ts'
import { escaped } from '../../core/modalities/text.ts'
import type { Choice, FinishReason, TextPart, TextRequest } from '../../core/modalities/text.ts'
import { answersOf, countInput } from './answer.ts'
import type { Answer, Call } from './answer.ts'
import { Course, failureOf, stopIfAborted } from './course.ts'
import { logprobsOf, MOST_ALTERNATIVES } from './logprobs.ts'
import { ORDERED } from './orders.ts'
import { tokensOf } from './tokens.ts'

const MOST_CHOICES = 128

/** The tokens of one choice, in the order they are sent: thoughts, then content or calls. */
type Script = {
  readonly reasoning: readonly string[]
  readonly content: readonly string[]
  readonly calls: readonly (Omit<Call, 'arguments'> & { readonly pieces: readonly string[] })[]
  readonly reason: FinishReason
}

export const sandboxText: Ability<'text'> = {
  refuses({ choices, logprobs, toolChoice, tools }) {
    if (choices > MOST_CHOICES) return 'n'
    if (logprobs !== null && logprobs > MOST_ALTERNATIVES) return 'top_logprobs'
    if (toolChoice === 'required') return tools.length === 0 ? 'tool_choice' : null
    if (typeof toolChoice !== 'object' || toolChoice === null) return null
    return tools.some((tool) => tool.function.name === toolChoice.function.name) ? null : 'tool_choice'
  },

  run,
}

/**
 * Without orders the parts follow each other at once, each in a push of its own. A run that does not stream goes
 * through the same parts in the same time and hands over the whole at the end, so orders mean the same to both.
 */
async function run(task: Task<TextRequest>, sink: Sink<TextPart>): Promise<Finish> {
  const { request, signal } = task
  const orders = request.sandbox ?? {}
  const course = new Course(task)
  stopIfAborted(signal)
  const scripts = answersOf(request).map((answer) => cut(answer, request))
  const parts = interleaved(scripts.map((script, choice) => partsOf(script, choice, request)))

  await course.rest(orders.delayMs ?? 0)
  if (orders.status !== undefined) throw failureOf(orders.status)
  for (let sent = 0; ; sent++) {
    if (orders.dieAfter === sent) throw fail('INFERENCE_FAILED', { internal: ORDERED })
    if (orders.stallAfter === sent) await course.stall()
    const part = parts[sent]
    if (!part) break
    if (sent > 0 && orders.intervalMs) await course.rest(orders.intervalMs)
    stopIfAborted(signal)
    if (!request.stream) continue
    const slow = sink([part])
    if (slow) await slow
    course.heard()
  }
  if (!request.stream) await sink([{ type: 'whole', choices: scripts.map((script, index) => wholeOf(script, index, request)) }])
  return finishOf(scripts, request)
}

/** Ends the content before the first stop sequence, and everything where the output tokens run out. */
function cut({ reasoning, content, calls }: Answer, { stop, maxTokens }: TextRequest): Script {
  let end = content.length
  for (const sequence of stop) {
    const at = sequence === '' ? -1 : content.indexOf(sequence)
    if (at !== -1 && at < end) end = at
  }

  const wanted = {
    reasoning: tokensOf(reasoning),
    content: tokensOf(content.slice(0, end)),
    calls: calls.map(({ arguments: text, ...call }) => ({ ...call, pieces: tokensOf(text) })),
  }
  const most = maxTokens ?? Infinity
  if (countOf(wanted) <= most) return { ...wanted, reason: calls.length > 0 ? 'tool_calls' : 'stop' }

  let left = most
  const take = (tokens: readonly string[]): readonly string[] => {
    const taken = tokens.slice(0, left)
    left -= taken.length
    return taken
  }
  return {
    reasoning: take(wanted.reasoning),
    content: take(wanted.content),
    // A call for which no token is left is not even begun.
    calls: wanted.calls.flatMap((call) => (left > 0 ? [{ ...call, pieces: take(call.pieces) }] : [])),
    reason: 'length',
  }
}

function partsOf(script: Script, choice: number, request: TextRequest): TextPart[] {
  const parts: TextPart[] = []
  for (const token of script.reasoning) parts.push({ type: 'delta', choice, delta: { reasoning_content: token }, logprobs: null })
  for (const token of script.content) {
    if (request.logprobs === null) parts.push({ type: 'text', choice, json: escaped(token) })
    else parts.push({ type: 'delta', choice, delta: { content: token }, logprobs: logprobsOf([token], request.logprobs) })
  }
  // Call after call, as nearly all engines do: official clients take a new index to mean that the call before is whole.
  parts.push(...script.calls.flatMap((call, index) => callParts(call, choice, index)))
  parts.push({ type: 'end', choice, reason: script.reason })
  return parts
}

function callParts({ id, name, pieces }: Script['calls'][number], choice: number, index: number): TextPart[] {
  const opening = { index, id, type: 'function', function: { name, arguments: '' } } as const
  const deltas = [opening, ...pieces.map((piece) => ({ index, function: { arguments: piece } }))]
  return deltas.map((call) => ({ type: 'delta', choice, delta: { tool_calls: [call] }, logprobs: null }))
}

/** One of each in turn, as engines that compute several things at once send them. */
function interleaved<T>(lists: readonly (readonly T[])[]): T[] {
  const out: T[] = []
  const longest = Math.max(0, ...lists.map((list) => list.length))
  for (let i = 0; i < longest; i++) for (const list of lists) out.push(...list.slice(i, i + 1))
  return out
}

function wholeOf({ reasoning, content, calls, reason }: Script, index: number, { logprobs }: TextRequest): Choice {
  const made = calls.map(({ id, name, pieces }) => ({ id, type: 'function', function: { name, arguments: pieces.join('') } }))
  return {
    index,
    message: {
      role: 'assistant',
      content: made.length > 0 ? null : content.join(''),
      ...(reasoning.length > 0 && { reasoning_content: reasoning.join('') }),
      ...(made.length > 0 && { tool_calls: made }),
    },
    finishReason: reason,
    logprobs: logprobs === null || made.length > 0 ? null : logprobsOf(content, logprobs),
  }
}

function finishOf(scripts: readonly Script[], request: TextRequest): Finish {
  let reasoningTokens = 0
  let outputToken = 0
  for (const script of scripts) {
    reasoningTokens += script.reasoning.length
    outputToken += countOf(script)
  }
  return { usage: { inputToken: countInput(request), outputToken }, ...(reasoningTokens > 0 && { reasoningTokens }) }
}

const countOf = ({ reasoning, content, calls }: Omit<Script, 'reason'>): number =>
  calls.reduce((sum, call) => sum + call.pieces.length, reasoning.length + content.length)
