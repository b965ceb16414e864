/** What a model of this machine cannot be asked, by which of the two ways it is run. */
import type { Failure } from '../../core/errors.ts'
import type { TextRequest } from '../../core/modalities/text.ts'
import { forcedTools, schemaProblem } from './grammar.ts'
import { noProgram, sightless, unseen } from './pictures.ts'

const MOST_CHOICES = 128
const MOST_ALTERNATIVES = 20

/** How a model is run, as far as that decides what it can be asked. */
export type Run = {
  readonly model: string
  /** `library` by node-llama-cpp, `server` by llama.cpp's own program. */
  readonly by: 'library' | 'server'
  /** Whether it has a projector. */
  readonly sees: boolean
}

/** The wire name of the field, or a failure where more is to be said; null where there is nothing. */
export function refusalOf(request: TextRequest, run: Run): string | Failure | null {
  const { choices, logprobs, sampling, toolChoice, tools } = request
  if (choices > MOST_CHOICES) return 'n'
  if (sampling.min_temp !== undefined) return 'min_temp'
  if (sampling.max_temp !== undefined) return 'max_temp'
  if (request.verbosity !== null) return 'verbosity'
  if (request.reasoningSummary !== null) return 'reasoning.summary'
  const forces = toolChoice === 'required' || (typeof toolChoice === 'object' && toolChoice !== null)
  if (forces && forcedTools({ tools, toolChoice }).length === 0) return 'tool_choice'
  if (logprobs !== null && logprobs > MOST_ALTERNATIVES) return 'top_logprobs'
  // Either scores tokens before a grammar takes most of them away, or chooses by the grammar, not both.
  if (logprobs !== null && (forces || request.format !== null)) return 'logprobs'
  return ofTheServer(request, run) ?? schemaProblem(request) ?? (request.media > 0 ? blindness(request, run) : null)
}

function ofTheServer({ sampling, logprobs, tools }: TextRequest, { by }: Run): string | null {
  if (by === 'library') return null
  if (sampling.stop_token_ids !== undefined) return 'stop_token_ids'
  // It has none for a streamed answer that may be calls.
  return logprobs !== null && tools.length > 0 ? 'logprobs' : null
}

function blindness(request: TextRequest, { model, by, sees }: Run): Failure | null {
  if (!sees) return sightless(model)
  return by === 'library' ? noProgram(model) : unseen(request)
}
