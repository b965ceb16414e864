/** Everything under `/audio` that answers at once. */
import type { AudioTools } from '../../core/audio.ts'
import type { AnyEndpoint } from '../endpoint.ts'
import { speech } from './speech.ts'
import { transcriptions } from './transcriptions.ts'

export const audioEndpoints = (tools: AudioTools): readonly AnyEndpoint[] => [speech(tools), transcriptions()]
