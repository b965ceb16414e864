import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import StripeSdk from 'stripe'
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest'
import { fail, Failure } from '../core/errors.ts'
import {
  delivery,
  dispute,
  fakeStripe,
  type FakeStripe,
  newStripe,
  NOW_MS,
  refund,
  secret,
  SECRET,
  session,
  signed,
} from './stripe.fixture.ts'
import { USD } from './ledger.fixture.ts'
import { EVENTS } from './stripe-notice.ts'

const refusalOf = (promise: Promise<unknown>): Promise<Failure | null> =>
  promise.then(
    () => null,
    (error: unknown) => (error instanceof Failure ? error : Promise.reject(error)),
  )

describe('a checkout', () => {
  let fake: FakeStripe
  beforeEach(async () => {
    fake = await fakeStripe()
  })
  afterEach(() => fake.close())

  const order = { accountId: 'a1', amount: 25n * USD, successUrl: 'https://app.example/paid', cancelUrl: null }

  it('asks Stripe for one payment of the amount, with the account in session and payment', async () => {
    const checkout = await newStripe({ url: fake.url }).checkout({
      ...order,
      amount: 2_537n * 10_000_000n,
      cancelUrl: 'https://app.example/no',
    })

    expect(checkout).toEqual({ type: 'page', id: 'cs_test_1', url: 'https://checkout.stripe.com/c/pay/cs_test_1' })
    expect(fake.asked).toHaveLength(1)
    expect(fake.asked[0]?.path).toBe('/v1/checkout/sessions')
    expect(fake.asked[0]?.headers).toMatchObject({
      'stripe-version': StripeSdk.API_VERSION,
      authorization: 'Bearer sk_test_1',
      'content-type': 'application/x-www-form-urlencoded',
    })
    expect(Object.fromEntries(fake.asked[0]?.form ?? [])).toEqual({
      mode: 'payment',
      success_url: 'https://app.example/paid',
      cancel_url: 'https://app.example/no',
      client_reference_id: 'a1',
      'metadata[rialto_account]': 'a1',
      'payment_intent_data[metadata][rialto_account]': 'a1',
      'line_items[0][quantity]': '1',
      'line_items[0][price_data][currency]': 'usd',
      'line_items[0][price_data][unit_amount]': '2537',
      'line_items[0][price_data][product_data][name]': 'API credit',
      'adaptive_pricing[enabled]': 'false',
    })
  })

  it('comes back to the server itself where it was told nowhere else, and is refused where that has no address', async () => {
    await newStripe({ url: fake.url, homeUrl: 'https://api.example/' }).checkout({ ...order, successUrl: null })
    const refused = await refusalOf(newStripe({ url: fake.url }).checkout({ ...order, successUrl: null }))

    expect(fake.asked[0]?.form.get('success_url')).toBe('https://api.example/')
    expect(refused).toMatchObject({ code: 'INVALID_REQUEST', param: 'successUrl' })
    expect(fake.asked).toHaveLength(1)
  })

  it.for([4_999_999_999n, 10_000_000_000_001n, 5_000_000_001n])('of %s nano-dollars never reaches Stripe', async (amount) => {
    const refused = await refusalOf(newStripe({ url: fake.url }).checkout({ ...order, amount }))

    expect(refused).toMatchObject({ code: 'INVALID_REQUEST', param: 'amountUsd' })
    expect(fake.asked).toHaveLength(0)
  })

  it.for([
    [401, '{"error":{"message":"Invalid API Key provided: sk_test_1"}}', 'stripe_key'],
    [500, 'oops', 'stripe_refused'],
    [200, '{"id":"cs_1"}', 'stripe_answer'],
    [200, '{"id":"cs_1","url":"javascript:alert(1)"}', 'stripe_answer'],
    [200, 'oops', 'stripe_answer'],
  ] as const)('that Stripe answers with %s %s is a 502 without its words', async ([status, body, internal]) => {
    fake.answer = { status, body }

    const refused = await refusalOf(newStripe({ url: fake.url }).checkout(order))

    expect(refused).toMatchObject({ code: 'PAYMENT_PROVIDER_FAILED', internal })
    expect(JSON.stringify([refused?.message, refused?.internal])).not.toMatch(/oops|sk_test/)
  })

  it('that nobody answers is a 502', async () => {
    const away = { post: () => Promise.reject(fail('MODEL_OFFLINE')) }

    expect(await refusalOf(newStripe({ outside: away }).checkout(order))).toMatchObject({
      code: 'PAYMENT_PROVIDER_FAILED',
      internal: 'stripe_away',
    })
  })
})

describe('a notice', () => {
  const stripe = newStripe()
  const problemOf = async (payload: Buffer, signature: string | undefined): Promise<string | undefined> =>
    (await refusalOf(stripe.confirm(payload, { 'stripe-signature': signature })))?.internal

  it('that Stripe’s own library signed is believed', async () => {
    expect(await stripe.confirm(...delivery(session()))).toEqual({
      type: 'paid',
      payment: { source: 'stripe', paymentId: 'pi_1', accountId: 'a1', amount: 10n * USD, currency: 'USD' },
    })
  })

  it('is refused without a signature, with another key’s, and with another body’s', async () => {
    const [body] = delivery(session())

    expect(await problemOf(body, undefined)).toBe('stripe_signature_missing')
    expect(await problemOf(body, signed(body.toString(), 'whsec_other'))).toBe('stripe_signature_wrong')
    expect(await problemOf(Buffer.concat([body, Buffer.from(' ')]), signed(body.toString()))).toBe('stripe_signature_wrong')
    expect(await problemOf(Buffer.from(body.toString().replace('1000', '9000')), signed(body.toString()))).toBe('stripe_signature_wrong')
  })

  it('is taken for five minutes before and after it was signed', async () => {
    const at = async (offsetMs: number): Promise<string | undefined> => {
      const [body, headers] = delivery(session(), SECRET, NOW_MS + offsetMs)
      return problemOf(body, headers['stripe-signature'])
    }

    expect([await at(-300_000), await at(300_000)]).toEqual([undefined, undefined])
    expect([await at(-301_000), await at(301_000)]).toEqual(['stripe_signature_stale', 'stripe_signature_stale'])
  })

  it('is believed while a secret is replaced: with the old one or the new one, and with signatures of both', async () => {
    const both = newStripe({ webhookSecrets: [secret('whsec_new'), secret('whsec_old')] })
    const [body] = delivery(session())
    const [time = '', byOld = ''] = signed(body.toString(), 'whsec_old').split(',')
    const [, byOther = ''] = signed(body.toString(), 'whsec_other').split(',')

    for (const header of [signed(body.toString(), 'whsec_new'), `${time},${byOld}`, `${time},${byOther},${byOld}`])
      expect(await both.confirm(body, { 'stripe-signature': header })).toMatchObject({ type: 'paid' })
    expect(await problemOf(body, `${time},${byOther},${byOld}`)).toBe('stripe_signature_wrong')
  })

  it.for([
    '',
    't=',
    'v1=',
    't=1',
    't=x,v1=00',
    `t=1,t=2,v1=${'0'.repeat(64)}`,
    `t=1,${'v1=00,'.repeat(9)}`,
    `t=1,v0=${'0'.repeat(64)}`,
    't=1,'.repeat(2_000),
    `t=1${`,v1=${'0'.repeat(64)}`.repeat(17)}`,
  ])('with the signature %j is refused and not an error', async (header) => {
    expect(await problemOf(delivery(session())[0], header)).toMatch(/^stripe_signature_(missing|malformed)$/)
  })

  test.for([
    ['a session that is complete and unpaid', session({ status: 'unpaid' })],
    ['a payment that failed later', session({ type: 'checkout.session.async_payment_failed', status: 'unpaid' })],
    ['a session of another shop', session({ accountId: '' })],
    ['a session that cost nothing', session({ cents: 0, status: 'no_payment_required' })],
    ['an event of another kind', { type: 'customer.created', data: { object: {} } }],
    ['a refund of nothing more', refund(500, 500)],
  ] as const)('of %s is of no concern', async ([, event]) => {
    expect(await stripe.confirm(...delivery(event))).toBeNull()
  })

  it('of a bank debit that came through later is the same payment', async () => {
    const later = await stripe.confirm(...delivery(session({ type: 'checkout.session.async_payment_succeeded' })))

    expect(later).toEqual(await stripe.confirm(...delivery(session())))
  })

  it('of a refund is the part that is new, of a dispute all of it', async () => {
    expect(await stripe.confirm(...delivery(refund(200, 500)))).toEqual({
      type: 'reversed',
      reversal: { source: 'stripe', id: 'ch_pi_1:500', paymentId: 'pi_1', amount: 3n * USD, ours: true },
    })
    expect(await stripe.confirm(...delivery(dispute('withdrawn', 700)))).toMatchObject({
      type: 'reversed',
      reversal: { id: 'dp_pi_1', amount: 7n * USD },
    })
    expect(await stripe.confirm(...delivery(dispute('reinstated', 700)))).toMatchObject({ type: 'restored', reversal: { id: 'dp_pi_1' } })
  })

  test.for([
    ['is no JSON', 'oops'],
    ['is no event', '[]'],
    ['has a session without an amount that is one', JSON.stringify(session({ cents: -5 }))],
    ['was paid in another currency than was asked for', JSON.stringify(session({ currency: 'eur' }))],
  ] as const)('that is signed but %s is a 400 that quotes nothing', async ([, payload]) => {
    const refused = await refusalOf(stripe.confirm(Buffer.from(payload), { 'stripe-signature': signed(payload) }))

    expect(refused).toMatchObject({ code: 'INVALID_REQUEST', message: 'This event is not one that can be read here' })
  })

  it.for(EVENTS)('of the kind %s is one that operators are told to have sent', (event) => {
    const manual = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'operating.md'), 'utf8')

    expect(manual).toContain(`\`${event}\``)
  })
})
