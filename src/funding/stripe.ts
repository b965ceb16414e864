/**
 * Cards, by Stripe Checkout: a page of Stripe's takes the card, a signed notice says that it was paid. Two calls of
 * Stripe's API are all there is to it, so they are made here (docs/decisions/0009-funding.md).
 */
import { z } from 'zod'
import type { Clock } from '../core/clock.ts'
import { fail, failField } from '../core/errors.ts'
import { formatUsd } from '../core/money.ts'
import type { Outside, OutsideAnswer } from '../core/outside.ts'
import { type Checkout, type Funding, headerOf, type Notice, type NoticeHeaders, type Order, type TopUpBounds } from './funding.ts'
import { ACCOUNT_FIELD, NANO_PER_CENT, noticeOf } from './stripe-notice.ts'
import { signatureProblem } from './stripe-signature.ts'

export const STRIPE_URL = 'https://api.stripe.com'
/** Asked for by name, so that a newer default of the account changes nothing; the one that Stripe’s library of the tests is made for. */
const API_VERSION = '2026-10-28.endive'
const TIMEOUT_MS = 20_000
const MAX_ANSWER_BYTES = 262_144

export type StripeOptions = {
  /** A secret or restricted key that may write Checkout Sessions. */
  readonly secretKey: { reveal(): string }
  /** Those of the webhook that are in force: two while one is being replaced. */
  readonly webhookSecrets: readonly { reveal(): string }[]
  /** Where Stripe's API is, without a slash at its end. */
  readonly url: string
  readonly outside: Outside
  readonly bounds: TopUpBounds
  readonly clock: Pick<Clock, 'now'>
  /** Where a browser comes back to that was told nowhere else; null where the server's public address is not known. */
  readonly homeUrl: string | null
}

const created = z.object({ id: z.string().min(1), url: z.url({ protocol: /^https?$/ }) })

export class Stripe implements Funding {
  readonly source = 'stripe'
  readonly #of: StripeOptions

  constructor(options: StripeOptions) {
    this.#of = options
  }

  async checkout(order: Order): Promise<Checkout> {
    const { url, secretKey, outside } = this.#of
    const body = this.#form(order).toString()
    const headers = {
      authorization: `Bearer ${secretKey.reveal()}`,
      'content-type': 'application/x-www-form-urlencoded',
      'stripe-version': API_VERSION,
    }
    let answer: OutsideAnswer
    try {
      answer = await outside.post(`${url}/v1/checkout/sessions`, { headers, body, timeoutMs: TIMEOUT_MS, maxBytes: MAX_ANSWER_BYTES })
    } catch {
      throw fail('PAYMENT_PROVIDER_FAILED', { internal: 'stripe_away' })
    }
    // What Stripe says of a failure is for nobody here; the status tells the operator a wrong key (401) from a wrong setup (400).
    if (answer.status === 401 || answer.status === 403) throw fail('PAYMENT_PROVIDER_FAILED', { internal: 'stripe_key' })
    if (answer.status !== 200) throw fail('PAYMENT_PROVIDER_FAILED', { internal: 'stripe_refused' })
    const { success, data } = created.safeParse(jsonOf(answer.body))
    if (!success) throw fail('PAYMENT_PROVIDER_FAILED', { internal: 'stripe_answer' })
    return { type: 'page', id: data.id, url: data.url }
  }

  async confirm(payload: Buffer, headers: NoticeHeaders): Promise<Notice | null> {
    const secrets = this.#of.webhookSecrets.map((secret) => secret.reveal())
    const problem = signatureProblem(headerOf(headers, 'stripe-signature'), payload, secrets, this.#of.clock.now())
    if (problem) throw fail('INVALID_REQUEST', { say: SAY[problem], param: 'stripe-signature', internal: `stripe_signature_${problem}` })
    return noticeOf(payload)
  }

  /** The session, in Stripe's form encoding. The account goes with session and payment: refunds carry what the payment does. */
  #form({ accountId, amount, successUrl, cancelUrl }: Order): URLSearchParams {
    const { bounds, homeUrl } = this.#of
    if (accountId === null) throw fail('UNKNOWN_ERROR', { internal: 'stripe_account' })
    if (amount < bounds.minimum || amount > bounds.maximum) {
      throw failField('amountUsd', `must be from ${formatUsd(bounds.minimum)} to ${formatUsd(bounds.maximum)}`)
    }
    if (amount % NANO_PER_CENT !== 0n) throw failField('amountUsd', 'must be a whole number of cents')
    const success = successUrl ?? homeUrl
    if (success === null) throw failField('successUrl', 'is needed, because this server has no public address (RIALTO_PUBLIC_URL)')
    const cancel = cancelUrl ?? homeUrl
    return new URLSearchParams({
      mode: 'payment',
      success_url: success,
      ...(cancel === null ? {} : { cancel_url: cancel }),
      client_reference_id: accountId,
      [`metadata[${ACCOUNT_FIELD}]`]: accountId,
      [`payment_intent_data[metadata][${ACCOUNT_FIELD}]`]: accountId,
      'line_items[0][quantity]': '1',
      'line_items[0][price_data][currency]': 'usd',
      'line_items[0][price_data][unit_amount]': String(amount / NANO_PER_CENT),
      'line_items[0][price_data][product_data][name]': 'API credit',
      // What is paid is what is credited: no second currency.
      'adaptive_pricing[enabled]': 'false',
    })
  }
}

const SAY = {
  missing: 'The request has no Stripe-Signature header',
  malformed: 'The Stripe-Signature header cannot be read',
  wrong: 'The Stripe-Signature is not that of this body',
  stale: 'The Stripe-Signature is older or newer than 5 minutes',
} as const

function jsonOf(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    return null
  }
}
