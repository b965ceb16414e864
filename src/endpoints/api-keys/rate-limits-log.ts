/** The latest refusals by a limit: of the account, or of one of its keys, under each path that clients know them by. */
import { z } from 'zod'
import type { RefusalRow } from '../../core/store.ts'
import { apiTierOf } from '../../limits/plan.ts'
import { type AnyEndpoint, endpoint, json } from '../endpoint.ts'
import { type RateLimitSources, keyOf } from './rate-limits-key.ts'
import { EXAMPLE_KEY_ID } from './schema.ts'

/** How many are shown. */
const SHOWN = 50
/** How many of an account are looked through for those of one key. */
const LOOKED_THROUGH = 1_000

const answer = z.object({
  object: z.literal('list'),
  data: z.array(
    z.object({
      apiKeyId: z.string().describe('The key that was refused.'),
      modelId: z.string().describe('The model that it asked for; `*` where it is not about one model.'),
      rateLimitTier: z.string().describe('The plan of the account; the plan `default` is called `paid` here.'),
      rateLimitType: z
        .enum(['RPD', 'RPM', 'TPM', 'FAILED_REQUESTS', 'UNSUPPORTED_FEATURE_REQUESTS'])
        .describe(
          'The limit: of requests or tokens; too many failures within 30 s; or among them too many requests for features that the model lacks. The last two are noted once for each time that the key was blocked.',
        ),
      timestamp: z.iso.datetime().describe('When.'),
    }),
  ),
})

const EXAMPLE: z.infer<typeof answer> = {
  object: 'list',
  data: [
    {
      apiKeyId: EXAMPLE_KEY_ID,
      modelId: 'qwen3-4b',
      rateLimitTier: 'paid',
      rateLimitType: 'RPM',
      timestamp: '2026-10-07T12:00:00.000Z',
    },
  ],
}

export function rateLimitLogEndpoints(sources: RateLimitSources): AnyEndpoint[] {
  const declared = {
    method: 'GET',
    tag: 'API Keys',
    scope: 'INFERENCE',
    answers: { 'application/json': { description: 'The refusals, newest first.', schema: answer } },
  } as const
  const ofAccount = (path: string): AnyEndpoint =>
    endpoint({
      ...declared,
      path,
      summary: 'Refusals of the account',
      description: `The last ${SHOWN} times that a limit refused a key of the account, newest first. They are forgotten after some weeks.`,
      example: { answer: EXAMPLE },
      errors: [],
      handle: async (_input, { caller }) => json(shown(caller.plan, await refusals(sources, caller.accountId, SHOWN))),
    })
  const ofKey = (path: string): AnyEndpoint =>
    endpoint({
      ...declared,
      path,
      summary: 'Refusals of a key',
      description: [
        `The last ${SHOWN} times that a limit refused this key, of the last ${LOOKED_THROUGH.toLocaleString('en')} refusals of its account.`,
        'A key may always ask about itself; asking about another one takes a key of type ADMIN.',
      ].join('\n'),
      example: { params: { id: EXAMPLE_KEY_ID }, answer: EXAMPLE },
      errors: ['NOT_FOUND'],
      async handle({ params: { id = '' } }, { caller }) {
        await keyOf(sources, caller, id)
        const rows = await refusals(sources, caller.accountId, LOOKED_THROUGH)
        return json(
          shown(
            caller.plan,
            rows.filter(({ keyId }) => keyId === id),
          ),
        )
      },
    })
  return [
    ofAccount('/api_keys/rate_limits/log'),
    ofAccount('/api_keys/rate_limit_logs'),
    ofKey('/api_keys/{id}/rate_limits/log'),
    ofKey('/api_keys/{id}/rate_limit_logs'),
  ]
}

async function refusals({ store, flushRefusals }: RateLimitSources, accountId: string, limit: number): Promise<RefusalRow[]> {
  await flushRefusals()
  return store.refusals(accountId, limit)
}

const shown = (plan: string, rows: readonly RefusalRow[]): z.infer<typeof answer> => ({
  object: 'list',
  data: rows.slice(0, SHOWN).map(({ keyId, model, kind, at }) => ({
    apiKeyId: keyId,
    modelId: model,
    rateLimitTier: apiTierOf(plan),
    rateLimitType: kind,
    timestamp: new Date(at).toISOString(),
  })),
})
