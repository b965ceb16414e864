/** What Anthropic says it used. Its input classes are disjoint already; later events tell more and count from the start. */
import type { Finish } from '../../core/call.ts'
import { isFields } from '../fields.ts'

export class Counts {
  #input: number | null = null
  #read: number | null = null
  #written: number | null = null
  #output: number | null = null
  #thinking: number | null = null

  /** Takes a `usage`; what it does not say stays as it was said before. */
  take(raw: unknown): void {
    if (!isFields(raw)) return
    this.#input = count(raw['input_tokens']) ?? this.#input
    this.#read = count(raw['cache_read_input_tokens']) ?? this.#read
    this.#written = count(raw['cache_creation_input_tokens']) ?? this.#written
    this.#output = count(raw['output_tokens']) ?? this.#output
    const details = raw['output_tokens_details']
    if (isFields(details)) this.#thinking = count(details['thinking_tokens']) ?? this.#thinking
  }

  /** Without usage where either side was never counted. */
  finish(): Finish {
    if (this.#input === null || this.#output === null) return { usage: null }
    return {
      usage: {
        inputToken: this.#input,
        ...(this.#read && { cacheReadToken: this.#read }),
        ...(this.#written && { cacheWriteToken: this.#written }),
        outputToken: this.#output,
      },
      ...(this.#thinking && { reasoningTokens: this.#thinking }),
    }
  }
}

/** A whole number, never below 0; null where it is none. */
const count = (value: unknown): number | null => (typeof value === 'number' && Number.isSafeInteger(value) ? Math.max(0, value) : null)
