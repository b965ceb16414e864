/** The `anthropic` engine: the Messages API natively, at Anthropic's or at any server that speaks it. */
import type { Abilities, Engine, Privacy, Reach } from '../../core/engine.ts'
import { Egress } from '../egress.ts'
import { probeModels } from './models.ts'
import { textAbility } from './text.ts'

const API_VERSION = '2023-06-01'

export type AnthropicOptions = {
  readonly id: string
  /** Such as `https://api.anthropic.com`; a `/v1` at its end is understood. */
  readonly baseUrl: string
  readonly apiKey: string | null
  readonly privacy: Privacy
  /** Whether the models it says it has join the catalogue. */
  readonly lists: boolean
  /** Sent with every request, such as `anthropic-beta`. */
  readonly extraHeaders?: Readonly<Record<string, string>>
}

export class AnthropicEngine implements Engine {
  readonly id: string
  readonly privacy: Privacy
  readonly lists: boolean
  readonly abilities: Abilities
  readonly #egress: Egress

  /** Throws a TypeError when the base URL is none. */
  constructor(options: AnthropicOptions) {
    this.id = options.id
    this.privacy = options.privacy
    this.lists = options.lists
    const key = options.apiKey === null ? {} : { 'x-api-key': options.apiKey }
    this.#egress = new Egress({
      baseUrl: options.baseUrl.replace(/\/v1\/?$/, ''),
      headers: { 'anthropic-version': API_VERSION, ...key, ...options.extraHeaders },
      // Only the operator's configuration names an upstream, and it may well be on a private address.
      allowPrivateAddresses: true,
    })
    this.abilities = { text: textAbility(this.#egress) }
  }

  probe(signal: AbortSignal): Promise<Reach> {
    return probeModels(this.#egress, signal)
  }

  close(): Promise<void> {
    return this.#egress.close()
  }
}
