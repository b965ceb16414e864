/** What a source of money does: it says where to pay, and what its notices mean. */
import type { Source } from '../core/book.ts'
import type { Amount } from '../core/money.ts'
import type { Payment, PaymentDemand } from '../core/payment.ts'

/** The headers of a request by their lower-case names, as the door has them. */
export type NoticeHeaders = Readonly<Record<string, string | readonly string[] | undefined>>

export type Order = {
  /** Who is to be credited; null where only the payment tells. */
  readonly accountId: string | null
  readonly amount: Amount
  /** Where a browser goes afterwards; null is the server's own page. */
  readonly successUrl: string | null
  readonly cancelUrl: string | null
}

/** Where to pay: a page to open, or what is to be transferred. */
export type Checkout =
  | { readonly type: 'page'; readonly id: string; readonly url: string }
  | { readonly type: 'transfer'; readonly demand: PaymentDemand }

/** Money that a source took away again from a payment, or gave back of that. */
export type Reversal = {
  readonly source: Source
  /** The source's own id of this reversal, however often it is told. */
  readonly id: string
  /** What it is of. */
  readonly paymentId: string
  /** Nano-dollars; null is all of the payment. */
  readonly amount: Amount | null
  /** Whether the source says that the payment was for this server: then it may be known here soon, if it is not yet. */
  readonly ours: boolean
}

/** Money has arrived. */
export type Paid = { readonly type: 'paid'; readonly payment: Payment }

export type Notice = Paid | { readonly type: 'reversed' | 'restored'; readonly reversal: Reversal }

export type Funding = {
  readonly source: Source
  /** Rejects with 400 for an amount out of bounds, with `PAYMENT_PROVIDER_FAILED` where the source does not answer. */
  checkout(order: Order): Promise<Checkout>
  /**
   * What a notice says, once it is sure that the source (or who pays) sent it; null where it is of no concern here. The
   * same notice may come any number of times and is the same each time. Rejects where it is not genuine, or not known.
   */
  confirm(payload: Buffer, headers: NoticeHeaders): Promise<Notice | null>
}

/** The least and the most that may be paid in at once, and what is suggested. Nano-dollars. */
export type TopUpBounds = { readonly minimum: Amount; readonly maximum: Amount; readonly suggested: Amount }

export const TOP_UP_BOUNDS: TopUpBounds = {
  minimum: 5_000_000_000n,
  maximum: 10_000_000_000_000n,
  suggested: 10_000_000_000n,
}

/** One header's value; where it came several times, the first. */
export function headerOf(headers: NoticeHeaders, ...names: readonly string[]): string | null {
  for (const name of names) {
    const value = headers[name]
    const first = typeof value === 'string' ? value : value?.[0]
    if (first !== undefined && first !== '') return first
  }
  return null
}
