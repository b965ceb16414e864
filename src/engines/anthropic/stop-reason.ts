/** Why a message ended, in the words of a chat. */
import type { FinishReason } from '../../core/modalities/text.ts'

/** A turn that was paused is one that the caller may go on with: it has stopped. Unknown words are told from the calls. */
export function finishReason(said: unknown, hasCalls: boolean): FinishReason {
  switch (said) {
    case 'end_turn':
    case 'stop_sequence':
    case 'pause_turn':
      return 'stop'
    case 'max_tokens':
    case 'model_context_window_exceeded':
      return 'length'
    case 'tool_use':
      return 'tool_calls'
    case 'refusal':
      return 'content_filter'
    default:
      return hasCalls ? 'tool_calls' : 'stop'
  }
}
