/** Why a choice ended, out of the many words that servers have for it. */
import { fail } from '../../core/errors.ts'
import type { FinishReason } from '../../core/modalities/text.ts'

const REASONS: Readonly<Record<string, FinishReason>> = {
  stop: 'stop',
  end_turn: 'stop',
  eos: 'stop',
  eos_token: 'stop',
  stop_sequence: 'stop',
  complete: 'stop',
  completed: 'stop',
  length: 'length',
  max_tokens: 'length',
  max_output_tokens: 'length',
  model_length: 'length',
  model_context_window_exceeded: 'length',
  tool_calls: 'tool_calls',
  tool_call: 'tool_calls',
  tool_use: 'tool_calls',
  function_call: 'tool_calls',
  content_filter: 'content_filter',
  content_filtered: 'content_filter',
  safety: 'content_filter',
  recitation: 'content_filter',
  refusal: 'content_filter',
  sensitive: 'content_filter',
}

/** Words by which an answer that was cut off by a fault calls itself finished (OpenRouter, vLLM, DeepSeek, Zhipu). */
const FAULTS: ReadonlySet<string> = new Set(['error', 'abort', 'aborted', 'cancelled', 'network_error', 'insufficient_system_resource'])

/** Throws where the word means that the engine failed. An unknown or missing word is told from what the choice has. */
export function finishReason(said: unknown, hasCalls: boolean): FinishReason {
  const word = typeof said === 'string' && said.length <= 64 ? said.toLowerCase() : ''
  if (FAULTS.has(word)) throw fail('INFERENCE_FAILED', { internal: 'upstream_died' })
  return REASONS[word] ?? (hasCalls ? 'tool_calls' : 'stop')
}
