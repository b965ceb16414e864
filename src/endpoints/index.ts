/** All endpoints: the one list that router, documentation and tests read. */
import { type AdminSources, adminEndpoints } from './admin/admin.ts'
import { apiKeyEndpoints } from './api-keys/api-keys.ts'
import { rateLimitEndpoints } from './api-keys/rate-limits.ts'
import type { RateLimitSources } from './api-keys/rate-limits-key.ts'
import { keyShapes } from './api-keys/shapes.ts'
import { web3KeyEndpoints } from './api-keys/web3.ts'
import { audioEndpoints } from './audio/audio.ts'
import { type BillingSources, billingEndpoints } from './billing/billing.ts'
import { chatCompletions } from './chat/completions.ts'
import type { About } from './docs/about.ts'
import { docsEndpoints } from './docs/docs.ts'
import { embeddings } from './embeddings/embeddings.ts'
import type { AnyEndpoint } from './endpoint.ts'
import { type CardSources, fundingEndpoints } from './funding/funding.ts'
import { type HealthSources, healthEndpoints } from './health/health.ts'
import { modelCompatibility } from './models/compatibility.ts'
import { getModel } from './models/get.ts'
import { listModels } from './models/list.ts'
import { modelTraits } from './models/traits.ts'
import { type X402Sources, x402Endpoints } from './x402/x402.ts'
import type { AudioTools } from '../core/audio.ts'
import type { Web3Keys } from '../chain/web3-keys.ts'
import type { Keyring } from '../keys/keyring.ts'

export type EndpointOptions = {
  /** What goes in front of every chat unless its caller switches it off; empty for nothing. */
  readonly systemPrompt: string
  readonly health: HealthSources
  readonly about: About
  readonly audio: AudioTools
  readonly keyring: Keyring
  readonly web3Keys: Web3Keys
  readonly rateLimits: RateLimitSources
  readonly billing: BillingSources
  readonly cards: CardSources
  /** Null where x402 is not set up. */
  readonly x402: X402Sources | null
  readonly admin: AdminSources
}

export function endpoints(options: EndpointOptions): readonly AnyEndpoint[] {
  const all: AnyEndpoint[] = [
    chatCompletions(options.systemPrompt),
    embeddings,
    ...audioEndpoints(options.audio),
    listModels,
    modelTraits,
    modelCompatibility,
    getModel,
    ...apiKeyEndpoints(options.keyring),
    ...web3KeyEndpoints(options.web3Keys, options.keyring),
    ...rateLimitEndpoints(options.rateLimits),
    ...billingEndpoints(options.billing),
    ...fundingEndpoints(options.cards),
    ...x402Endpoints(options.x402),
    ...adminEndpoints(options.admin, keyShapes),
    ...healthEndpoints(options.health),
  ]
  all.push(...docsEndpoints(() => all, options.about))
  return all
}
