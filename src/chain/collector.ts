/** Who collects a signed payment: somebody else by x402's protocol, or this server with a key of its operator. */
import type { TransferPayment } from './payment-header.ts'

/** `refused`: it was not collected and will not be; the reason is one of our words. */
export type Collected = { readonly type: 'settled'; readonly transaction: string } | { readonly type: 'refused'; readonly reason: string }

export type Collector = {
  /** Collects the payment. Rejects with a `Failure` where it is not known whether it was collected. */
  collect(payment: TransferPayment): Promise<Collected>
}
