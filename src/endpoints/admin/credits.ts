/** `/admin/accounts/{id}/credits`: credit given, and taken back. */
import { z } from 'zod'
import { MAX_REASON_CHARS } from '../../accounts/audit.ts'
import { type AccountBalances, CREDIT_CURRENCIES, type Credit, type Credited, type Credits } from '../../accounts/credits.ts'
import { failField } from '../../core/errors.ts'
import { formatUsd } from '../../core/money.ts'
import { type AnyEndpoint, type Input, type Reply, endpoint, json } from '../endpoint.ts'
import { decimal, positiveOf } from './amount.ts'
import { EXAMPLE_ACCOUNT, EXAMPLE_BALANCES, TAG, amount, balancesSchema, showBalances } from './wire.ts'

export type CreditSources = { readonly credits: Credits; readonly balances: (accountId: string) => Promise<AccountBalances> }

/** What is there and not held. */
const ALL = 'all'
const ID = /^[\x21-\x7e]{1,100}$/
const body = {
  currency: z.enum(CREDIT_CURRENCIES).describe('Dollars, or bundled credits, which are spent before them.'),
  reason: z
    .string()
    .trim()
    .min(1)
    .max(MAX_REASON_CHARS)
    .describe(`Why, for the audit: ${MAX_REASON_CHARS} characters at most. Kept as it is written.`),
  id: z
    .string()
    .regex(ID, 'must be 1 to 100 visible ASCII characters')
    .optional()
    .describe('The same id again moves nothing. May stand in the header `Idempotency-Key` instead.'),
}
const grantBody = z.strictObject({ amountUsd: decimal.describe('How much: a decimal string (or a number), more than 0.'), ...body })
const takeBackBody = z.strictObject({
  amountUsd: z.union([z.literal(ALL), decimal]).describe('How much, or `all` for what is there and not held.'),
  ...body,
})

const answer = z.object({
  data: z.object({
    id: z.string(),
    accountId: z.string(),
    currency: z.enum(CREDIT_CURRENCIES),
    amountUsd: amount.describe('What was moved.'),
    repeated: z.boolean().describe('Whether the id had been used already: then nothing was moved now.'),
    balances: balancesSchema,
  }),
})
const EXAMPLE = { currency: 'USD', reason: 'Invoice 17', id: 'invoice-17' } as const
const shown = (id: string, amountUsd: string) => ({
  data: { id, accountId: EXAMPLE_ACCOUNT, currency: 'USD', amountUsd, repeated: false, balances: EXAMPLE_BALANCES },
})

export const creditEndpoints = (of: CreditSources): AnyEndpoint[] => [grant(of), takeBack(of)]

const grant = (of: CreditSources): AnyEndpoint =>
  endpoint({
    method: 'POST',
    path: '/admin/accounts/{id}/credits',
    tag: TAG,
    summary: 'Give credit',
    description: [
      'Puts money on an account that did not come through a payment of this server. It is written and safe when the answer comes.',
      'With the same `id` the same request can be sent again: it moves nothing, and answers as the first time.',
    ].join('\n'),
    scope: 'OPERATOR',
    body: grantBody,
    answers: { 'application/json': { description: 'What was moved, and what the account has now.', schema: answer } },
    example: { params: { id: EXAMPLE_ACCOUNT }, body: { amountUsd: '12.50', ...EXAMPLE }, answer: shown('invoice-17', '12.5') },
    errors: ['NOT_FOUND', 'MODEL_AT_CAPACITY'],
    async handle(input, { caller }) {
      const { amountUsd, currency, reason } = input.body
      const credit = { accountId: input.params['id'] ?? '', currency, reason, id: idOf(input), amount: positiveOf(amountUsd, 'amountUsd') }
      return reply(of, credit, await of.credits.grant(caller, credit))
    },
  })

const takeBack = (of: CreditSources): AnyEndpoint =>
  endpoint({
    method: 'POST',
    path: '/admin/accounts/{id}/credits/take-back',
    tag: TAG,
    summary: 'Take credit back',
    description: [
      'Takes no more than is there and not held by runs under way: more is a 400 that says what is there. `all` takes just that.',
      'Idempotent by its `id`, as giving is.',
    ].join('\n'),
    scope: 'OPERATOR',
    body: takeBackBody,
    answers: { 'application/json': { description: 'What was moved, and what the account has now.', schema: answer } },
    example: {
      params: { id: EXAMPLE_ACCOUNT },
      body: { amountUsd: 'all', ...EXAMPLE, reason: 'Invoice 17 was cancelled' },
      answer: shown('invoice-17', '12.5'),
    },
    errors: ['NOT_FOUND', 'MODEL_AT_CAPACITY'],
    async handle(input, { caller }) {
      const { amountUsd, currency, reason } = input.body
      const wanted: Credit['amount'] = amountUsd === ALL ? ALL : positiveOf(amountUsd, 'amountUsd')
      const credit = { accountId: input.params['id'] ?? '', currency, reason, id: idOf(input), amount: wanted }
      return reply(of, credit, await of.credits.takeBack(caller, credit))
    },
  })

async function reply(
  of: CreditSources,
  { accountId, id, currency }: { readonly accountId: string; readonly id: string; readonly currency: string },
  { amount: moved, repeated }: Credited,
): Promise<Reply> {
  const balances = showBalances(await of.balances(accountId))
  return json({ data: { id, accountId, currency, amountUsd: formatUsd(moved), repeated, balances } })
}

/** From the body or the header; where both are there they must be the same. */
function idOf({ body: { id }, headers }: Input<unknown, { readonly id?: string | undefined }>): string {
  const header = headers['idempotency-key']
  if (header === undefined) {
    if (id === undefined) throw failField('id', 'is needed (or the header Idempotency-Key), so that a repeated request moves nothing')
    return id
  }
  if (typeof header !== 'string' || !ID.test(header))
    throw failField('id', 'the header Idempotency-Key must be 1 to 100 visible ASCII characters')
  if (id !== undefined && id !== header) throw failField('id', 'differs from the header Idempotency-Key')
  return header
}
