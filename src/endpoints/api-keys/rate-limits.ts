/** What a key may use: its limits per model, under each path that clients know them by, with the balances of its account. */
import { z } from 'zod'
import type { Catalog } from '../../catalog/catalog.ts'
import type { Caller } from '../../core/call.ts'
import { fail } from '../../core/errors.ts'
import { toUsd } from '../../core/money.ts'
import { DAY_MS } from '../../limits/day.ts'
import { apiTierOf, limitFor } from '../../limits/plan.ts'
import { type AnyEndpoint, endpoint, json } from '../endpoint.ts'
import { type RateLimitSources, isOver, keyOf } from './rate-limits-key.ts'
import { rateLimitLogEndpoints } from './rate-limits-log.ts'
import { EXAMPLE_KEY_ID } from './schema.ts'

const limit = z.object({
  amount: z.number().describe('How many.'),
  type: z.enum(['RPM', 'TPM', 'RPD']).describe('Requests per minute, tokens per minute, or requests per UTC day.'),
})

const answer = z.object({
  data: z.object({
    accessPermitted: z.boolean().describe('Whether the key may run models: it has not expired, and its account is open.'),
    apiTier: z.object({
      id: z.string().describe('The plan of the account; the plan `default` is called `paid` here, as clients know it.'),
      isCharged: z.boolean().describe("Whether requests are paid for. Not those of the operator's own account, which has no lower bound."),
    }),
    balances: z.object({
      USD: z.number().describe('Dollars, bundled credits among them.'),
      DIEM: z.number().describe('What is left of the DIEM of this UTC day.'),
    }),
    keyExpiration: z.iso.datetime().nullable().describe('When the key expires; null for never.'),
    nextEpochBegins: z.iso.datetime().describe('The next 00:00 UTC, when requests per day and DIEM begin again.'),
    rateLimits: z
      .array(z.object({ apiModelId: z.string().describe('The id of a model.'), rateLimits: z.array(limit) }))
      .describe('Every model of the catalogue with its limits; an empty list for one that this plan does not limit.'),
  }),
})

const EXAMPLE: z.infer<typeof answer> = {
  data: {
    accessPermitted: true,
    apiTier: { id: 'paid', isCharged: true },
    balances: { USD: 50.23, DIEM: 100.023 },
    keyExpiration: '2026-12-01T00:00:00.000Z',
    nextEpochBegins: '2026-10-08T00:00:00.000Z',
    rateLimits: [
      {
        apiModelId: 'qwen3-4b',
        rateLimits: [
          { amount: 500, type: 'RPM' },
          { amount: 1_000_000, type: 'TPM' },
        ],
      },
    ],
  },
}

const DESCRIPTION = [
  'Limits hold for each key and model on its own. In any 60 seconds as many requests are admitted as RPM says, however they are',
  'spread; RPD begins again at 00:00 UTC. Refusals are a 429 `RATE_LIMIT_EXCEEDED` whose `Retry-After` is how long to wait.',
  '',
  'Answers of limited models have `x-ratelimit-limit-requests`, `-remaining-requests` and `-reset-requests` (a Unix time in seconds, by',
  'which all of the limit is free again), `x-ratelimit-limit-tokens`, `-remaining-tokens` and `-reset-tokens` (seconds from now), and',
  '`x-ratelimit-type: api_key`. A limit that the plan does not have has no headers. The requests are those of the minute or of the day,',
  'whichever leaves less.',
].join('\n')

/** To be listed before `GET /api_keys/{id}`, whose `{id}` would take the rest of these paths. */
export function rateLimitEndpoints(sources: RateLimitSources): AnyEndpoint[] {
  const own = endpoint({
    method: 'GET',
    path: '/api_keys/rate_limits',
    tag: 'API Keys',
    summary: 'Limits and balances of this key',
    description: `What the key that asks may use, or with \`id\` another key of its account, which takes a key of type ADMIN.\n\n${DESCRIPTION}`,
    scope: 'INFERENCE',
    query: z.object({ id: z.string().min(1).max(128).optional().describe('Another key of the account.') }),
    answers: { 'application/json': { description: 'Limits and balances.', schema: answer } },
    example: { answer: EXAMPLE },
    errors: ['NOT_FOUND'],
    async handle({ query }, { caller, catalog }) {
      return json(await rateLimits(sources, catalog, caller, query.id ?? caller.keyId))
    },
  })
  const ofKey = endpoint({
    method: 'GET',
    path: '/api_keys/{id}/rate_limits',
    tag: 'API Keys',
    summary: 'Limits and balances of a key',
    description: `The same as \`GET /api_keys/rate_limits?id=\`. A key may always ask about itself.\n\n${DESCRIPTION}`,
    scope: 'INFERENCE',
    answers: { 'application/json': { description: 'Limits and balances.', schema: answer } },
    example: { params: { id: EXAMPLE_KEY_ID }, answer: EXAMPLE },
    errors: ['NOT_FOUND'],
    async handle({ params: { id = '' } }, { caller, catalog }) {
      return json(await rateLimits(sources, catalog, caller, id))
    },
  })
  return [own, ofKey, ...rateLimitLogEndpoints(sources)]
}

async function rateLimits(sources: RateLimitSources, catalog: Catalog, caller: Caller, id: string): Promise<z.infer<typeof answer>> {
  const row = await keyOf(sources, caller, id)
  const [balances, account] = await Promise.all([sources.ledger.balances(caller.accountId), sources.store.account(caller.accountId)])
  if (!account) throw fail('AUTHENTICATION_FAILED', { internal: 'the account of a key is not there' })
  const now = sources.clock.now()
  const expiresAt = row?.expiresAt ?? null
  return {
    data: {
      accessPermitted: !isOver(expiresAt, now) && !isOver(account.closedAt, now),
      apiTier: { id: apiTierOf(account.plan), isCharged: account.creditNano !== null },
      balances: { USD: toUsd(balances.USD.balance + balances.BUNDLED_CREDITS.balance), DIEM: toUsd(balances.DIEM.balance) },
      keyExpiration: expiresAt === null ? null : new Date(expiresAt).toISOString(),
      nextEpochBegins: new Date((Math.floor(now / DAY_MS) + 1) * DAY_MS).toISOString(),
      rateLimits: catalog.list('all').map(({ id: apiModelId, type }) => {
        const { model } = catalog.resolve(apiModelId, type)
        return { apiModelId, rateLimits: shownLimits(limitFor(sources.plans, account.plan, model)) }
      }),
    },
  }
}

function shownLimits({ rpm, tpm, rpd }: ReturnType<typeof limitFor>): z.infer<typeof limit>[] {
  const all = [
    { amount: rpm, type: 'RPM' },
    { amount: tpm, type: 'TPM' },
    { amount: rpd, type: 'RPD' },
  ] as const
  return all.flatMap(({ amount, type }) => (amount === null ? [] : [{ amount, type }]))
}
