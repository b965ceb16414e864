/** What an event of Stripe means for a balance: of a hundred kinds, five. */
import { z } from 'zod'
import { fail } from '../core/errors.ts'
import type { Amount } from '../core/money.ts'
import type { Notice } from './funding.ts'

/** The name under which a checkout, its payment and its charge carry the account. */
export const ACCOUNT_FIELD = 'rialto_account'

export const NANO_PER_CENT = 10_000_000n

/** The events that a webhook of Rialto's is to be sent; others do no harm. */
export const EVENTS = [
  'checkout.session.completed',
  'checkout.session.async_payment_succeeded',
  'checkout.session.async_payment_failed',
  'charge.refunded',
  'charge.dispute.funds_withdrawn',
  'charge.dispute.funds_reinstated',
] as const

const cents = z.int().min(0).max(1_000_000_000)
/** An id, or the object that has it. */
const reference = z.union([z.string().min(1), z.object({ id: z.string().min(1) }).transform(({ id }) => id)])
const metadata = z.record(z.string(), z.string()).nullish()

const event = z.object({
  type: z.string(),
  data: z.object({ object: z.unknown(), previous_attributes: z.unknown().optional() }),
})

const session = z.object({
  id: z.string().min(1),
  payment_status: z.string(),
  amount_total: cents.nullish(),
  currency: z.string().nullish(),
  payment_intent: reference.nullish(),
  metadata,
})

const charge = z.object({
  id: z.string().min(1),
  amount_refunded: cents,
  currency: z.string(),
  payment_intent: reference.nullish(),
  metadata,
})
const refundedBefore = z.object({ amount_refunded: cents })

const dispute = z.object({ id: z.string().min(1), amount: cents, currency: z.string(), payment_intent: reference.nullish() })

/** The notice in an event whose signature was right; null where it is of no concern. Throws a 400 for one that is none. */
export function noticeOf(body: Buffer): Notice | null {
  const { type, data } = read(event, parsed(body))
  switch (type) {
    case 'checkout.session.completed':
    case 'checkout.session.async_payment_succeeded':
      return paidBy(read(session, data.object))
    case 'charge.refunded':
      return refundOf(read(charge, data.object), data.previous_attributes)
    case 'charge.dispute.funds_withdrawn':
      return disputeOf('reversed', read(dispute, data.object))
    case 'charge.dispute.funds_reinstated':
      return disputeOf('restored', read(dispute, data.object))
    default:
      return null
  }
}

/**
 * A session that is complete may still be unpaid: bank debits say so days later, by the second event. Both name the same
 * payment, so whichever comes, or both, it is one credit.
 */
function paidBy(of: z.infer<typeof session>): Notice | null {
  const accountId = of.metadata?.[ACCOUNT_FIELD]
  // Another shop's, over the same account at Stripe.
  if (accountId === undefined || of.payment_status !== 'paid') return null
  if (!of.amount_total) return null
  // Asked for in dollars; anything else is not ours to convert.
  if (of.currency !== 'usd') throw unreadable('stripe_currency')
  return {
    type: 'paid',
    payment: {
      source: 'stripe',
      paymentId: of.payment_intent ?? of.id,
      accountId,
      amount: nano(of.amount_total),
      currency: 'USD',
    },
  }
}

/**
 * A charge tells how much of it was refunded in all, and how much before: each event is the stretch between the two, and
 * the stretches add up to the whole in whatever order they come.
 */
function refundOf(of: z.infer<typeof charge>, previous: unknown): Notice | null {
  if (of.payment_intent == null) return null
  const ours = of.metadata?.[ACCOUNT_FIELD] !== undefined
  const before = refundedBefore.safeParse(previous).data?.amount_refunded ?? 0
  const amount = of.amount_refunded - before
  if (amount <= 0) return null
  return {
    type: 'reversed',
    reversal: {
      source: 'stripe',
      id: `${of.id}:${of.amount_refunded}`,
      paymentId: of.payment_intent,
      amount: of.currency === 'usd' ? nano(amount) : null,
      ours,
    },
  }
}

/** A dispute in another currency than the payment's is of all of it. */
function disputeOf(type: 'reversed' | 'restored', of: z.infer<typeof dispute>): Notice | null {
  if (of.payment_intent == null) return null
  const amount = of.currency === 'usd' ? nano(of.amount) : null
  return { type, reversal: { source: 'stripe', id: of.id, paymentId: of.payment_intent, amount, ours: false } }
}

const nano = (ofCents: number): Amount => BigInt(ofCents) * NANO_PER_CENT

function parsed(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    throw unreadable('stripe_json')
  }
}

function read<T>(schema: z.ZodType<T>, value: unknown): T {
  const { success, data } = schema.safeParse(value)
  if (!success) throw unreadable('stripe_event')
  return data
}

/** It was signed, so it is Stripe's; refusing it keeps it in Stripe's list of what failed, where the operator sees it. */
const unreadable = (internal: string) => fail('INVALID_REQUEST', { say: 'This event is not one that can be read here', internal })
