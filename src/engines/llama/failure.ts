/** What the reasons of the llama children mean to a caller. A library's own words never get here, only ours and numbers. */
import { ERRORS, type ErrorCode, fail, failField } from '../../core/errors.ts'
import type { Failure } from '../../core/errors.ts'
import { type Fields, isFields } from '../fields.ts'

export function childFailure(reason: string, details: unknown): Failure {
  const number = (name: string): number => (isFields(details) && typeof details[name] === 'number' ? details[name] : 0)
  switch (reason) {
    case 'no_library':
      return fail('MODEL_OFFLINE', { say: 'The local engine is not installed for this system', internal: 'llama_no_library' })
    case 'no_server':
      return fail('MODEL_OFFLINE', { say: "llama.cpp's program llama-server cannot be started", internal: 'llama_no_server' })
    case 'server_ended':
      return fail('MODEL_OFFLINE', {
        say: 'llama-server ended before the model was loaded: its files cannot be read, there is not enough memory, or the program is too old',
        internal: 'llama_server_ended',
      })
    case 'failed':
      return failed(isFields(details) ? details : {})
    case 'bad_file':
      return fail('MODEL_OFFLINE', { say: "The model's file cannot be read", internal: 'llama_bad_file' })
    case 'no_memory':
      return fail('MODEL_OFFLINE', { say: 'There is not enough memory for the model', internal: 'llama_no_memory' })
    case 'wrong_modality':
      return fail('MODEL_OFFLINE', { say: 'The model cannot do this', internal: 'llama_wrong_modality' })
    case 'too_many_tokens':
      return fail('TOO_MANY_TOKENS', {
        say: `The request has ${number('asked')} tokens; the model takes ${number('limit')}`,
        internal: 'llama_context',
      })
    case 'bad_messages':
      return failField('messages', "the model's chat template does not take messages in this order")
    case 'bad_schema':
      return failField('response_format', 'the model cannot be held to this schema')
    case 'dimensions':
      return failField(
        'dimensions',
        `the model's vectors have ${number('own')} dimensions${number('fixed') ? ' and cannot be shortened' : ''}`,
      )
    case 'empty_input':
      return failField('input', 'must not be empty')
    default:
      return fail('INFERENCE_FAILED', { internal: 'llama_defect' })
  }
}

/** What the dialect made of a refusal, which is ours already: a child loads the same code as the gateway. */
function failed({ code, say, internal, retryAfterMs }: Fields): Failure {
  return fail(isCode(code) ? code : 'INFERENCE_FAILED', {
    ...(typeof say === 'string' && { say }),
    ...(typeof retryAfterMs === 'number' && { retryAfterMs }),
    internal: typeof internal === 'string' && OUR_WORD.test(internal) ? internal : 'llama_defect',
  })
}

/** It goes into the log, where a child that has lost its mind must not write. */
const OUR_WORD = /^[a-z0-9_]{1,64}$/

const isCode = (code: unknown): code is ErrorCode => typeof code === 'string' && Object.hasOwn(ERRORS, code)
