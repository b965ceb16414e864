/** What the reasons of a sherpa child mean to a caller. Its own words never get here, only one of ours. */
import { type Failure, fail } from '../../core/errors.ts'

export function childFailure(reason: string): Failure {
  switch (reason) {
    case 'no_library':
      return fail('MODEL_OFFLINE', { say: 'The local engine for speech is not installed for this system', internal: 'sherpa_no_library' })
    case 'bad_file':
      return fail('MODEL_OFFLINE', { say: "The model's files cannot be read", internal: 'sherpa_bad_file' })
    case 'wrong_modality':
      return fail('MODEL_OFFLINE', { say: 'The model cannot do this', internal: 'sherpa_wrong_modality' })
    case 'busy':
      return fail('MODEL_AT_CAPACITY', { internal: 'sherpa_full' })
    case 'lost':
      return fail('INFERENCE_FAILED', { internal: 'sherpa_recording_lost' })
    default:
      return fail('INFERENCE_FAILED', { internal: 'sherpa_defect' })
  }
}
