/** What a server's model is for: by what the server declares, in the many words that servers have for it, else by its name. */
import type { EngineModel } from '../../core/engine.ts'
import { type Fields, isFields, listIn } from '../fields.ts'

/** `other`: of a kind that Rialto does not run. Null: nobody says. */
type Kind = EngineModel['modality'] | 'other'

/** A model that can do several of these is listed as the first of them. */
const WORDS = {
  text: ['llm', 'vlm', 'chat', 'text', 'language', 'code', 'text-generation', 'completion', 'base'],
  embedding: ['embedding', 'embeddings', 'embed', 'feature-extraction', 'text-embeddings'],
  asr: ['asr', 'stt', 'automatic-speech-recognition', 'speech-to-text', 'transcript', 'transcription', 'transcribe', 'audio2text'],
  tts: ['tts', 'text-to-speech', 'text2audio'],
} as const
const MODALITIES = ['text', 'embedding', 'asr', 'tts'] as const
const KINDS: ReadonlyMap<string, (typeof MODALITIES)[number]> = new Map(
  MODALITIES.flatMap((kind) => WORDS[kind].map((word) => [word, kind] as const)),
)
/** It hears or it speaks. */
const SOUND = 'audio'
const VAGUE: ReadonlySet<string> = new Set(['', 'model', SOUND])
/** Abilities that a model without any of the above has: of a list, unlike of a single word, the unknown ones mean nothing. */
const OTHER_ABILITIES: ReadonlySet<string> = new Set([
  'image',
  'video',
  'rerank',
  'classify',
  'vad',
  'sound_generation',
  'diarization',
  'detection',
])

const OTHER_NAME = /rerank|(^|[/_-])(dall-e|stable-diffusion|flux|moderation|speaker-embedding|vad)([.:_-]|\d|$)/
const ASR_NAME = /whisper(?!er)|parakeet|transcribe|moonshine|sense-?voice|canary-\d|(^|[/_.-])(asr|stt)([.:_-]|\d|$)/
const TTS_NAME = /kokoro|chatterbox|(^|[/_.-])(tts|xtts|piper|speecht5)([.:_-]|\d|$)/
const EMBEDDING_NAME = /embed|(^|[/_-])(bge|e5|gte|minilm|gritlm|arctic-embed|jina-clip)([.:_-]|$)/

export function kindOf(entry: Fields, name: string): Kind {
  const lower = name.toLowerCase()
  const [said = ''] = wordsOf([entry['type'] ?? entry['task'] ?? entry['model_type']])
  const declared = declaredKind(said, entry)
  // Some call all that they read text.
  if (said === 'text' && EMBEDDING_NAME.test(lower)) return 'embedding'
  return declared ?? namedKind(lower) ?? (said === SOUND ? 'other' : null)
}

function declaredKind(said: string, entry: Fields): Kind {
  const able = [...wordsOf(entry['capabilities']), ...wordsOf(entry['model_ability'])]
  const kinds = new Set([said, ...able].map((word) => KINDS.get(word)))
  const first = MODALITIES.find((kind) => kinds.has(kind))
  if (first) return first
  if (!VAGUE.has(said) || able.some((word) => OTHER_ABILITIES.has(word))) return 'other'
  // Older Ollama: the family of the architecture.
  const [family] = isFields(entry['details']) ? wordsOf([entry['details']['family']]) : []
  return family?.includes('bert') ? 'embedding' : null
}

const wordsOf = (value: unknown): string[] => listIn(value).flatMap((word) => (typeof word === 'string' ? word.toLowerCase() : []))

function namedKind(lower: string): Kind {
  if (OTHER_NAME.test(lower)) return 'other'
  if (ASR_NAME.test(lower)) return 'asr'
  if (TTS_NAME.test(lower)) return 'tts'
  return EMBEDDING_NAME.test(lower) ? 'embedding' : null
}
