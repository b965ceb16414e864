/** A request for speech that wishes for nothing in particular, for tests of engines. */
import type { TtsRequest } from '../core/modalities/tts.ts'

export const speechOf = (text: string, more: Partial<TtsRequest> = {}): TtsRequest => ({
  text,
  characters: Array.from(text).length,
  voice: null,
  speed: 1,
  format: 'wav',
  stream: true,
  language: null,
  style: null,
  temperature: null,
  topP: null,
  sandbox: null,
  ...more,
})
