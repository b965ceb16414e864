/** All endpoints: the one list that router, documentation and tests read. */
import { chatCompletions } from './chat/completions.ts'
import type { About } from './docs/about.ts'
import { docsEndpoints } from './docs/docs.ts'
import { embeddings } from './embeddings/embeddings.ts'
import type { AnyEndpoint } from './endpoint.ts'
import { type HealthSources, healthEndpoints } from './health/health.ts'
import { modelCompatibility } from './models/compatibility.ts'
import { getModel } from './models/get.ts'
import { listModels } from './models/list.ts'
import { modelTraits } from './models/traits.ts'

export type EndpointOptions = {
  /** What goes in front of every chat unless its caller switches it off; empty for nothing. */
  readonly systemPrompt: string
  readonly health: HealthSources
  readonly about: About
}

export function endpoints(options: EndpointOptions): readonly AnyEndpoint[] {
  const all: AnyEndpoint[] = [
    chatCompletions(options.systemPrompt),
    embeddings,
    listModels,
    modelTraits,
    modelCompatibility,
    getModel,
    ...healthEndpoints(options.health),
  ]
  all.push(...docsEndpoints(() => all, options.about))
  return all
}
