/** Stripe as the tests need it: its events, signed by Stripe's own library, and a server that makes checkouts. */
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import { text } from 'node:stream/consumers'
import StripeSdk from 'stripe'
import type { Outside } from '../core/outside.ts'
import { TOP_UP_BOUNDS } from './funding.ts'
import { Stripe, type StripeOptions } from './stripe.ts'
import { ACCOUNT_FIELD } from './stripe-notice.ts'

export const SECRET = 'whsec_test_1'
export const NOW_MS = 1_790_000_000_000

/** What Stripe's library puts in front of a body. */
export const signed = (payload: string, secret = SECRET, atMs = NOW_MS): string =>
  StripeSdk.webhooks.generateTestHeaderString({ payload, secret, timestamp: Math.floor(atMs / 1_000) })

export const secret = (text: string) => ({ reveal: () => text })

/** A port over the HTTP client of the tests. */
export const outside: Outside = {
  async post(url, { headers, body, timeoutMs }) {
    const answer = await fetch(url, { method: 'POST', headers, body, signal: AbortSignal.timeout(timeoutMs) })
    return { status: answer.status, body: Buffer.from(await answer.arrayBuffer()) }
  },
}

export const newStripe = (options: Partial<StripeOptions> = {}): Stripe =>
  new Stripe({
    secretKey: secret('sk_test_1'),
    webhookSecrets: [secret(SECRET)],
    url: 'http://127.0.0.1:9',
    outside,
    bounds: TOP_UP_BOUNDS,
    clock: { now: () => NOW_MS },
    homeUrl: null,
    ...options,
  })

export type Delivery = readonly [Buffer, { 'stripe-signature': string }]

/** An event as it is delivered. */
export function delivery(event: object, key = SECRET, atMs = NOW_MS): Delivery {
  const payload = JSON.stringify({ id: 'evt_1', object: 'event', ...event })
  return [Buffer.from(payload), { 'stripe-signature': signed(payload, key, atMs) }]
}

export type SessionOf = { accountId?: string; intent?: string; cents?: number; status?: string; currency?: string; type?: string }

/** A checkout that is over. */
export const session = ({
  accountId = 'a1',
  intent = 'pi_1',
  cents = 1_000,
  status = 'paid',
  currency = 'usd',
  type = 'checkout.session.completed',
}: SessionOf = {}) => ({
  type,
  data: {
    object: {
      id: `cs_${intent}`,
      object: 'checkout.session',
      mode: 'payment',
      payment_status: status,
      amount_total: cents,
      currency,
      payment_intent: intent,
      metadata: accountId === '' ? {} : { [ACCOUNT_FIELD]: accountId },
    },
  },
})

/** A refund that brought what was refunded of a charge from one sum to another. */
export const refund = (fromCents: number, toCents: number, intent = 'pi_1', accountId: string | null = 'a1') => ({
  type: 'charge.refunded',
  data: {
    object: {
      id: `ch_${intent}`,
      object: 'charge',
      amount: 1_000,
      amount_refunded: toCents,
      currency: 'usd',
      payment_intent: intent,
      metadata: accountId === null ? {} : { [ACCOUNT_FIELD]: accountId },
    },
    previous_attributes: { amount_refunded: fromCents },
  },
})

export const dispute = (what: 'withdrawn' | 'reinstated', cents = 1_000, intent = 'pi_1') => ({
  type: `charge.dispute.funds_${what}`,
  data: {
    object: { id: `dp_${intent}`, object: 'dispute', amount: cents, currency: 'usd', charge: `ch_${intent}`, payment_intent: intent },
  },
})

export type FakeStripe = {
  readonly url: string
  readonly asked: { path: string; headers: IncomingHttpHeaders; form: URLSearchParams }[]
  /** What it answers next. */
  answer: { status: number; body: string }
  close(): Promise<void>
}

/** A server that takes checkouts. */
export async function fakeStripe(): Promise<FakeStripe> {
  const asked: FakeStripe['asked'] = []
  const fake: { answer: FakeStripe['answer'] } = {
    answer: {
      status: 200,
      body: JSON.stringify({ id: 'cs_test_1', object: 'checkout.session', url: 'https://checkout.stripe.com/c/pay/cs_test_1' }),
    },
  }
  const server: Server = createServer((request, response) => {
    void text(request).then((body) => {
      asked.push({ path: request.url ?? '', headers: request.headers, form: new URLSearchParams(body) })
      response.writeHead(fake.answer.status, { 'content-type': 'application/json' }).end(fake.answer.body)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  return Object.assign(fake, {
    url: `http://127.0.0.1:${port}`,
    asked,
    close: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, 'close').catch(() => undefined)
    },
  })
}
