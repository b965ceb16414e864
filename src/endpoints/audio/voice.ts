/** Which voice, and which format, a model speaks in: what its listing says, held against what was asked for. */
import { SPEECH_FORMATS, type SpeechFormat } from '../../core/audio.ts'
import { fail } from '../../core/errors.ts'
import type { Model } from '../../core/model.ts'

/** The default of the API where the model has it; models say theirs as `default_voice`. */
const DEFAULT_VOICE = 'af_sky'
const DEFAULT_FORMAT: SpeechFormat = 'mp3'

/**
 * The model's name of the voice, or null where it has none to choose from. OpenAI's bare names (`nova`) stand for the one voice
 * that ends in them (`af_nova`). Throws a 400 that lists the voices.
 */
export function voiceOf(model: Model, asked: string | undefined): string | null {
  const voices = wordsIn(model.spec['voices'])
  if (voices.length === 0) return asked ?? null
  if (asked === undefined) return voices.find((voice) => voice === (model.spec['default_voice'] ?? DEFAULT_VOICE)) ?? voices[0] ?? null
  if (voices.includes(asked) || model.spec['supports_custom_voice_id'] === true) return asked
  const meant = voices.filter((voice) => voice.endsWith(`_${asked.toLowerCase()}`))
  if (meant.length === 1 && meant[0] !== undefined) return meant[0]
  // Which one was asked for is not repeated: whatever a caller writes is content.
  const message = `Voice is not supported by model "${model.id}". Try using a supported voice: ${voices.join(', ')}`
  throw refusal('voice', message)
}

/** Throws a 400 that lists the formats of a model that does not have them all. */
export function formatOf(model: Model, asked: SpeechFormat | undefined): SpeechFormat {
  const formats = wordsIn(model.spec['supported_formats'])
  const own = SPEECH_FORMATS.find((format) => format === model.spec['default_format'])
  const format = asked ?? own ?? DEFAULT_FORMAT
  if (formats.length === 0 || formats.includes(format)) return format
  throw refusal(
    'response_format',
    `response_format "${format}" is not supported by model "${model.id}". Supported formats: ${formats.join(', ')}.`,
  )
}

const refusal = (param: string, message: string): Error =>
  fail('INVALID_REQUEST', { say: message, param, issues: [{ code: 'custom', path: [param], message }] })

const wordsIn = (value: unknown): readonly string[] =>
  Array.isArray(value) ? value.filter((word): word is string => typeof word === 'string') : []
