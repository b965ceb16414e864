/** Tokens from a wallet, by x402: the payment itself comes in a header, so the notice is the request of who pays. */
import { fail, failField } from '../core/errors.ts'
import { formatUsd } from '../core/money.ts'
import type { PaymentDemand } from '../core/payment.ts'
import type { AccountRow, Store } from '../core/store.ts'
import type { SignedPayment, WalletAddress, WalletPayments } from '../core/wallet.ts'
import {
  type Checkout,
  type Funding,
  headerOf,
  type Notice,
  type NoticeHeaders,
  type Order,
  type Paid,
  type TopUpBounds,
} from './funding.ts'

/** The header a payment comes in, and its older names. */
export const PAYMENT_HEADERS = ['payment-signature', 'x-payment', 'x-402-payment'] as const
/** A signed authorization is a few hundred bytes; a Solana transaction, at most 1,232, is 1.6 KB as base64. */
const MAX_HEADER_CHARS = 16_384

export type X402Options = {
  readonly payments: WalletPayments
  readonly accounts: {
    /** The account of a wallet, opened where there is none; rejects for one that is closed. */
    open(wallet: WalletAddress): Promise<AccountRow>
  }
  readonly store: Pick<Store, 'movement'>
  readonly bounds: TopUpBounds
}

/** A payment that was collected, as its payer is told. */
export type Receipt = {
  readonly network: string
  readonly payer: WalletAddress
  /** The hash on the network; empty for a payment that was credited before. */
  readonly transaction: string
}

/** What a payment header came to: a notice for the till, and a receipt for the payer. */
export type Collected = { readonly notice: Paid; readonly receipt: Receipt }

export class X402 implements Funding {
  readonly source = 'x402'
  readonly #of: X402Options
  /** Payments that are being collected: one that comes twice at once is collected once. As many as there are requests. */
  readonly #collecting = new Map<string, Promise<Collected>>()

  constructor(options: X402Options) {
    this.#of = options
  }

  /** What to sign, whoever pays. */
  demand(minimum = this.#of.bounds.minimum): PaymentDemand {
    return { type: 'topUp', rails: this.#of.payments.rails, minimum }
  }

  checkout({ amount }: Order): Promise<Checkout> {
    return Promise.resolve({ type: 'transfer', demand: this.demand(amount) })
  }

  async confirm(_payload: Buffer, headers: NoticeHeaders): Promise<Notice | null> {
    const collected = await this.collect(headers)
    return collected?.notice ?? null
  }

  /**
   * Collects the payment in the headers and says whom to credit; null where there is none. One that was credited before is
   * not collected again. After a crash between the collecting and the crediting the same header finishes the job.
   */
  async collect(headers: NoticeHeaders): Promise<Collected | null> {
    const header = headerOf(headers, ...PAYMENT_HEADERS)
    if (header === null) return null
    if (header.length > MAX_HEADER_CHARS) throw fail('X402_INVALID_PAYMENT', { reason: 'too_long', internal: 'x402_too_long' })
    const payment = await this.#of.payments.read(header)
    const busy = this.#collecting.get(payment.id)
    if (busy) return busy
    const collecting = this.#collect(payment)
    this.#collecting.set(payment.id, collecting)
    try {
      return await collecting
    } finally {
      this.#collecting.delete(payment.id)
    }
  }

  async #collect(payment: SignedPayment): Promise<Collected> {
    const { id, wallet, amount, network } = payment
    const credit = await this.#of.store.movement(`topup:x402:${id}`)
    if (!credit) this.#checkAmount(payment)
    // Before the money moves: who cannot be credited is not asked to pay.
    const account = await this.#of.accounts.open(wallet)
    const transaction = credit ? '' : (await this.#of.payments.settle(payment)).transaction
    return {
      notice: { type: 'paid', payment: { source: 'x402', paymentId: id, accountId: account.id, amount, currency: 'USD' } },
      receipt: { network, payer: wallet, transaction },
    }
  }

  #checkAmount({ amount }: SignedPayment): void {
    const { minimum, maximum } = this.#of.bounds
    if (amount < minimum || amount > maximum) {
      const say = `A payment must be from ${formatUsd(minimum)} to ${formatUsd(maximum)} USD`
      throw fail('X402_INVALID_PAYMENT', { say, reason: 'amount_out_of_bounds', internal: 'x402_amount' })
    }
  }
}

const WALLET = /^(0x[0-9a-fA-F]{40}|[1-9A-HJ-NP-Za-km-z]{32,44})$/

/** A wallet of a path in its normal form; throws a 400 for what is none. */
export function walletOf(param: string): WalletAddress {
  if (!WALLET.test(param)) throw failField('walletAddress', 'must be an EVM address (0x and 40 hexadecimal digits) or a Solana address')
  return param.startsWith('0x') ? param.toLowerCase() : param
}
