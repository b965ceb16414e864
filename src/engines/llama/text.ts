/** Chats of local models: each choice is one call of the model's child, and its pieces become parts. */
import { Cancel } from '../../core/cancel.ts'
import type { Finish, Sink } from '../../core/call.ts'
import type { Ability, Task } from '../../core/engine.ts'
import { fail } from '../../core/errors.ts'
import { escaped } from '../../core/modalities/text.ts'
import type { Choice, TextPart, TextRequest } from '../../core/modalities/text.ts'
import { isFields, listIn } from '../fields.ts'
import { Feed } from './feed.ts'
import { type Run, refusalOf } from './refusal.ts'
import type { Loaded } from '../loaded.ts'
import type { ChatBody, ChatEnd, Piece } from './wire.ts'

/** `loaded` gives the model's child, or throws a `Failure` where there is no such model; `runOf` says how the model is run. */
export const textAbility = (loaded: (model: string) => Loaded, runOf: (model: string) => Run): Ability<'text'> => ({
  refuses: (request, model) => refusalOf(request, runOf(model)),

  async run(task, sink) {
    return runChoices(task, loaded(task.model), sink)
  },
})

async function runChoices(task: Task<TextRequest>, model: Loaded, sink: Sink<TextPart>): Promise<Finish> {
  const { request, firstByteMs, stallMs } = task
  const cancel = new Cancel()
  const leave = (): void => cancel.abort(task.signal.reason)
  if (task.signal.aborted) leave()
  task.signal.addEventListener('abort', leave, { once: true })
  const feed = new Feed(sink, () => cancel.abort(fail('INFERENCE_FAILED', { internal: 'sink_failed' })))
  const waits = { signal: cancel, firstByteMs, stallMs }
  try {
    const one = async (choice: number): Promise<ChatEnd> => {
      const parts = new Parts(choice)
      const { value } = await model.call('chat', bodyOf(request, choice), {
        ...waits,
        choice,
        onPart: (piece) => {
          if (isPiece(piece)) feed.push(parts.of(piece))
        },
      })
      const end = endOf(value)
      if (request.stream) feed.push({ type: 'end', choice, reason: end.reason })
      return end
    }
    const ends = await Promise.all(Array.from({ length: request.choices }, (_, choice) => one(choice)))
    if (!request.stream) feed.push({ type: 'whole', choices: ends.map(wholeOf) })
    await feed.end()
    return finishOf(ends)
  } catch (error) {
    // One that fails ends the others; a sink that wants no more has a reason of its own.
    cancel.abort(error)
    throw feed.failed ? feed.reason : error
  } finally {
    task.signal.removeEventListener('abort', leave)
  }
}

function bodyOf(request: TextRequest, choice: number): ChatBody {
  const { messages, stream, maxTokens, stop, tools, toolChoice, parallelToolCalls, format, logprobs, effort, cacheKey, sampling } = request
  return { messages, stream, maxTokens, stop, tools, toolChoice, parallelToolCalls, format, logprobs, effort, cacheKey, sampling, choice }
}

/** The pieces of one choice as parts. */
class Parts {
  readonly #choice: number
  #calls = 0

  constructor(choice: number) {
    this.#choice = choice
  }

  of(piece: Piece): TextPart {
    const choice = this.#choice
    switch (piece[0]) {
      case 'text':
        return { type: 'text', choice, json: escaped(piece[1]) }
      case 'thought':
        return { type: 'delta', choice, delta: { reasoning_content: piece[1] }, logprobs: null }
      case 'scored':
        return { type: 'delta', choice, delta: { content: piece[1] }, logprobs: { content: piece[2], refusal: null } }
      case 'call': {
        const { id, name, arguments: args } = piece[1]
        const call = { index: this.#calls++, id, type: 'function', function: { name, arguments: args } } as const
        return { type: 'delta', choice, delta: { tool_calls: [call] }, logprobs: null }
      }
    }
  }
}

function wholeOf({ pieces, reason }: ChatEnd, index: number): Choice {
  let [content, thought] = ['', '']
  const calls: unknown[] = []
  const scores: unknown[] = []
  for (const piece of pieces) {
    if (piece[0] === 'text' || piece[0] === 'scored') content += piece[1]
    if (piece[0] === 'scored') scores.push(...piece[2])
    if (piece[0] === 'thought') thought += piece[1]
    if (piece[0] === 'call') {
      const { id, name, arguments: args } = piece[1]
      calls.push({ id, type: 'function', function: { name, arguments: args } })
    }
  }
  return {
    index,
    message: {
      role: 'assistant',
      content: calls.length > 0 && content.trim() === '' ? null : content,
      ...(thought !== '' && { reasoning_content: thought }),
      ...(calls.length > 0 && { tool_calls: calls }),
    },
    finishReason: reason,
    logprobs: scores.length > 0 ? { content: scores, refusal: null } : null,
  }
}

/** The prompt is counted once, as it is sent once; each choice has an output of its own. */
function finishOf(ends: readonly ChatEnd[]): Finish {
  const [first] = ends
  const sum = (count: (end: ChatEnd) => number): number => ends.reduce((total, end) => total + count(end), 0)
  const cached = first?.cachedTokens ?? 0
  const reasoningTokens = sum((end) => end.reasoningTokens)
  return {
    usage: {
      inputToken: (first?.promptTokens ?? 0) - cached,
      ...(cached > 0 && { cacheReadToken: cached }),
      outputToken: sum((end) => end.outputTokens),
    },
    ...(reasoningTokens > 0 && { reasoningTokens }),
  }
}

/** A child that has lost its mind must not take the gateway along. */
const isPiece = (value: unknown): value is Piece => {
  const [kind, what, scores] = listIn(value)
  if (kind === 'call') return isFields(what) && typeof what['name'] === 'string' && typeof what['arguments'] === 'string'
  return typeof what === 'string' && (kind === 'text' || kind === 'thought' || (kind === 'scored' && Array.isArray(scores)))
}

function endOf(value: unknown): ChatEnd {
  const counts = ['promptTokens', 'cachedTokens', 'outputTokens', 'reasoningTokens'] as const
  const whole =
    isFields(value) &&
    counts.every((name) => Number.isSafeInteger(value[name])) &&
    Array.isArray(value['pieces']) &&
    value['pieces'].every(isPiece) &&
    ['stop', 'length', 'tool_calls'].includes(String(value['reason']))
  if (!whole) throw fail('INFERENCE_FAILED', { internal: 'llama_malformed' })
  // Every field was just looked at.
  return value as unknown as ChatEnd
}
