/** The answer of a chat in its wire shapes: the whole one, and the chunks of a stream. */
import { toUsd } from '../../core/money.ts'
import { type Choice, type FinishReason, type TextPart, bytesOf } from '../../core/modalities/text.ts'
import type { Outcome } from '../../pipeline/serve.ts'

export type Heading = { readonly id: string; readonly created: number; readonly model: string }

/**
 * `usage` with its details, as JSON: put together from numbers, which is cheaper than building objects to take them apart.
 * The classes are disjoint inside and nested on the wire.
 */
function usageText({ usage, reasoningTokens }: Outcome): string {
  const cached = usage.cacheReadToken ?? 0
  const written = usage.cacheWriteToken ?? 0
  const prompt = (usage.inputToken ?? 0) + cached + written
  const completion = usage.outputToken ?? 0
  return (
    `{"prompt_tokens":${prompt},"completion_tokens":${completion},"total_tokens":${prompt + completion},` +
    `"prompt_tokens_details":{"cached_tokens":${cached},"cache_creation_input_tokens":${written}},` +
    `"completion_tokens_details":{"reasoning_tokens":${reasoningTokens}}}`
  )
}

/** What every answer ends with. Bundled credits count as dollars. `echo` is JSON. */
const endText = (outcome: Outcome, echo: string): string =>
  `"usage":${usageText(outcome)},"cost":{"usd":${toUsd(outcome.cost.usd)},"diem":${toUsd(outcome.cost.diem)}},"venice_parameters":${echo}}`

/** The whole answer as JSON; `echo` is the resolved parameters, as JSON. */
export function completion({ id, created, model }: Heading, choices: readonly Choice[], outcome: Outcome, echo: string): string {
  const shown = choices.map((choice) => ({
    index: choice.index,
    message: choice.message,
    logprobs: choice.logprobs ?? null,
    finish_reason: choice.finishReason,
    stop_reason: null,
  }))
  const head = `{"id":"${id}","object":"chat.completion","created":${created},"model":${JSON.stringify(model)}`
  return `${head},"choices":${JSON.stringify(shown)},${endText(outcome, echo)}`
}

/**
 * Writes the chunks of one stream, as bytes held in latin1.
 * What never changes within a stream is put together once; a plain piece of text is then three concatenations.
 */
export class ChunkWriter {
  readonly #open: string
  readonly #tail: string
  /** Choices whose role has been told: the first chunk of each says it. */
  readonly #begun = new Set<number>()
  /** Why the choices ended, as far as they have. */
  readonly reasons: FinishReason[] = []

  constructor(heading: Heading) {
    const { id, created, model } = heading
    const head = JSON.stringify({ id, object: 'chat.completion.chunk', created, model })
    this.#open = bytesOf(`data: ${head.slice(0, -1)},"choices":[`)
    this.#tail = ']}\n\n'
  }

  /** All chunks for the parts that arrived together. */
  chunks(parts: readonly TextPart[]): string {
    let out = ''
    for (const part of parts) out += this.#chunk(part)
    return out
  }

  /** The chunk that clients ask for by `include_usage`: no choices, what was used, what it cost. */
  usage(outcome: Outcome, echo: string): string {
    return `${this.#open}],${bytesOf(endText(outcome, echo))}\n\n`
  }

  #chunk(part: TextPart): string {
    switch (part.type) {
      case 'text': {
        const role = this.#role(part.choice)
        return `${this.#open}{"index":${part.choice},"delta":{${role}"content":"${part.json}"},"logprobs":null,"finish_reason":null}${this.#tail}`
      }
      case 'delta': {
        const begin = this.#begun.has(part.choice) ? part.delta : { role: 'assistant', ...part.delta }
        this.#begun.add(part.choice)
        return this.#full(part.choice, begin, part.logprobs ?? null, null)
      }
      case 'end':
        this.reasons.push(part.reason)
        return this.#full(part.choice, this.#begun.has(part.choice) ? {} : { role: 'assistant', content: '' }, null, part.reason)
      case 'whole':
        return part.choices.map((choice) => this.#full(choice.index, choice.message, choice.logprobs, choice.finishReason)).join('')
    }
  }

  #full(index: number, delta: unknown, logprobs: unknown, finishReason: string | null): string {
    const choice = { index, delta, logprobs, finish_reason: finishReason }
    return this.#open + bytesOf(JSON.stringify(choice)) + this.#tail
  }

  #role(choice: number): string {
    if (this.#begun.has(choice)) return ''
    this.#begun.add(choice)
    return '"role":"assistant",'
  }
}
