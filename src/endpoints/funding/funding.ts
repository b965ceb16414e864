/** `/billing/top-up` and `/billing/stripe/webhook`: money from cards. */
import { z } from 'zod'
import { fail, failField } from '../../core/errors.ts'
import { type Funding, TOP_UP_BOUNDS, type TopUpBounds } from '../../funding/funding.ts'
import type { Till } from '../../funding/till.ts'
import { formatUsd, toUsd } from '../../core/money.ts'
import { type AnyEndpoint, endpoint, json } from '../endpoint.ts'

export type CardSources = {
  /** Null where cards are not set up. */
  readonly cards: Funding | null
  readonly till: Pick<Till, 'take'> | null
  readonly bounds: TopUpBounds
}

/** Nothing is set up: what a fresh installation has. */
export const NO_CARDS: CardSources = { cards: null, till: null, bounds: TOP_UP_BOUNDS }

const NEEDS = 'The operator sets STRIPE_SECRET_KEY and STRIPE_WEBHOOK_SECRET.'
const notConfigured = () =>
  fail('NOT_CONFIGURED', {
    say: `Card payments are not set up on this server: its operator sets STRIPE_SECRET_KEY and STRIPE_WEBHOOK_SECRET`,
  })

const CENTS = 100
const NANO_PER_CENT = 10_000_000n
/** Events are a few kilobytes. */
const MAX_NOTICE_BYTES = 1_048_576
const MAX_URL_CHARS = 2_048

const backUrl = z.url({ protocol: /^https?$/ }).max(MAX_URL_CHARS)

/** Both endpoints. The webhook is public: its signature says who sent it. */
export function fundingEndpoints({ cards, till, bounds }: CardSources): AnyEndpoint[] {
  return [topUp(cards, bounds), webhook(cards, till)]
}

function topUp(cards: Funding | null, { minimum, maximum, suggested }: TopUpBounds): AnyEndpoint {
  return endpoint({
    method: 'POST',
    path: '/billing/top-up',
    tag: 'Billing',
    summary: 'Buy credit with a card',
    description: [
      'Opens a checkout page for the account of the key and answers with its address. The credit is there as soon as the payment',
      `is confirmed, which the page does not wait for: see \`GET /billing/balance\`. From ${formatUsd(minimum)} to ${formatUsd(maximum)} USD,`,
      'in whole cents. Not a part of the Venice API. Wallets pay by `POST /x402/top-up`.',
    ].join('\n'),
    scope: 'INFERENCE',
    needs: NEEDS,
    body: z.strictObject({
      amountUsd: z.number().min(toUsd(minimum)).max(toUsd(maximum)).describe('What to pay and be credited, in dollars.'),
      successUrl: backUrl.optional().describe('Where the browser goes after the payment.'),
      cancelUrl: backUrl.optional().describe('Where the browser goes when there is none.'),
    }),
    answers: {
      'application/json': {
        description: 'Where to pay.',
        schema: z.strictObject({ checkoutUrl: z.string().describe('The page to open.'), id: z.string().describe('Of the checkout.') }),
      },
    },
    example: {
      body: { amountUsd: toUsd(suggested), successUrl: 'https://app.example.com/paid' },
      answer: { checkoutUrl: 'https://checkout.stripe.com/c/pay/cs_live_a1b2c3', id: 'cs_live_a1b2c3' },
    },
    errors: ['NOT_CONFIGURED', 'PAYMENT_PROVIDER_FAILED'],
    async handle({ body }, desk) {
      if (!cards) throw notConfigured()
      const cents = Math.round(body.amountUsd * CENTS)
      // A number of cents divided by 100 is the very float that its decimal is read as.
      if (cents / CENTS !== body.amountUsd) throw failField('amountUsd', 'must be a whole number of cents')
      const { successUrl = null, cancelUrl = null } = body
      const amount = BigInt(cents) * NANO_PER_CENT
      const checkout = await cards.checkout({ accountId: desk.caller.accountId, amount, successUrl, cancelUrl })
      if (checkout.type !== 'page') throw fail('UNKNOWN_ERROR', { internal: 'checkout_without_page' })
      return json({ checkoutUrl: checkout.url, id: checkout.id })
    },
  })
}

function webhook(cards: Funding | null, till: Pick<Till, 'take'> | null): AnyEndpoint {
  return endpoint<undefined, Buffer>({
    method: 'POST',
    path: '/billing/stripe/webhook',
    tag: 'Billing',
    summary: 'Notices of payments, from Stripe',
    description: [
      'For Stripe only: a body without a right `Stripe-Signature` of the last 5 minutes is refused. Answers 200 when what the event',
      'says is written; the same event may come any number of times. Events of no concern are answered and forgotten.',
    ].join('\n'),
    scope: 'public',
    needs: NEEDS,
    raw: { maxBytes: MAX_NOTICE_BYTES },
    answers: { 'application/json': { description: 'It is written.', schema: z.strictObject({ received: z.literal(true) }) } },
    example: { answer: { received: true } },
    errors: ['INVALID_REQUEST', 'NOT_CONFIGURED', 'PAYLOAD_TOO_LARGE', 'PAYMENT_PROVIDER_FAILED'],
    async handle({ body, headers }) {
      if (!cards || !till) throw notConfigured()
      await till.take(cards, body, headers)
      return json({ received: true })
    },
  })
}
