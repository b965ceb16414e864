/** The `openai` engine: any OpenAI-compatible server, local or remote, for chat, embeddings, speech and transcription. */
import type { AudioTools } from '../../core/audio.ts'
import type { Abilities, Engine, Privacy, Reach } from '../../core/engine.ts'
import { Egress } from '../egress.ts'
import { embeddingAbility } from './embedding.ts'
import { probeModels } from './models.ts'
import type { AudioDialect, AudioWords } from './request.ts'
import { speechAbility } from './speech.ts'
import { textAbility } from './text.ts'
import { transcriptionAbility } from './transcription.ts'

export type OpenAiOptions = {
  readonly id: string
  /** Such as `http://127.0.0.1:11434/v1`. */
  readonly baseUrl: string
  readonly apiKey: string | null
  readonly privacy: Privacy
  /** Whether the models it says it has join the catalogue. */
  readonly lists: boolean
  /**
   * Wire names of what the server cannot honour: a request that has such a field is refused by that name. Beyond the
   * fields of a chat there are `dimensions`, `input.tokens` and `encoding_format` for embeddings, `response_format.aac` and
   * the like for speech, and `verbose_json` for transcription, which then has no times. `stream_options`,
   * `prompt_cache_key` and `prompt_cache_retention` are left out instead of refused.
   */
  readonly unsupported: readonly string[]
  readonly maxTokensField: 'max_tokens' | 'max_completion_tokens'
  readonly audioWords?: AudioWords
  /** Measures recordings whose length a server does not say. */
  readonly tools?: AudioTools
  /** Sent with every request, such as an organisation. */
  readonly extraHeaders?: Readonly<Record<string, string>>
  /** Fields that go into every chat, such as `{"store": false}`. What the request itself says wins. */
  readonly extraBody?: Readonly<Record<string, unknown>>
}

export class OpenAiEngine implements Engine {
  readonly id: string
  readonly privacy: Privacy
  readonly lists: boolean
  readonly abilities: Abilities
  readonly #egress: Egress

  /** Throws a TypeError when the base URL is none. */
  constructor(options: OpenAiOptions) {
    this.id = options.id
    this.privacy = options.privacy
    this.lists = options.lists
    const key = options.apiKey === null ? {} : { authorization: `Bearer ${options.apiKey}` }
    this.#egress = new Egress({
      baseUrl: options.baseUrl,
      headers: { ...key, ...options.extraHeaders },
      // Only the operator's configuration names an upstream, and engines live on private addresses as a rule.
      allowPrivateAddresses: true,
    })
    const dialect: AudioDialect = {
      unsupported: new Set(options.unsupported),
      maxTokensField: options.maxTokensField,
      extraBody: options.extraBody ?? {},
      audioWords: options.audioWords ?? 'openai',
    }
    this.abilities = {
      text: textAbility(this.#egress, dialect),
      embedding: embeddingAbility(this.#egress, dialect),
      tts: speechAbility(this.#egress, dialect),
      asr: transcriptionAbility(this.#egress, dialect, options.tools ?? null),
    }
  }

  probe(signal: AbortSignal): Promise<Reach> {
    return probeModels(this.#egress, signal)
  }

  close(): Promise<void> {
    return this.#egress.close()
  }
}
