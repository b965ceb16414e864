/** Payments by x402: what a signed one is worth, and collecting it once however often it is sent. */
import type { Clock } from '../core/clock.ts'
import { Failure, fail } from '../core/errors.ts'
import type { Rail, SignedPayment, WalletPayments } from '../core/wallet.ts'
import type { Collected, Collector } from './collector.ts'
import { invalid, readPaymentHeader, signedPayment, type TransferPayment } from './payment-header.ts'
import type { Rpc } from './rpc.ts'
import { findTransfer, transferHash, transferState } from './transfer.ts'
import type { WalletSignatures } from './wallet-signature.ts'

/** How many payments are collected at once. */
export const MAX_SETTLEMENTS = 64
/** An authorisation that ends sooner is too late: collecting takes a few blocks. */
const MARGIN_S = 6n

export type PaymentsOptions = {
  /** All of EVM chains; payments name one of them. */
  readonly rails: readonly Rail[]
  readonly signatures: WalletSignatures
  readonly collector: Collector
  /**
   * A node of the rails' chain. Without one nobody but the collector knows what happened to a payment, so one that was
   * collected while its answer was lost is credited only if the collector says so when it is sent again.
   */
  readonly rpc: Rpc | null
  readonly clock: Clock
}

type Settled = { readonly transaction: string }

export class Payments implements WalletPayments {
  readonly rails: readonly Rail[]
  readonly #options: PaymentsOptions
  /** By the payment's id: the same one sent twice at once is collected once. */
  readonly #running = new Map<string, Promise<Settled>>()

  constructor(options: PaymentsOptions) {
    this.rails = options.rails
    this.#options = options
  }

  /** Also rejects with `CHAIN_UNAVAILABLE` or `RATE_LIMIT_EXCEEDED` where a contract's signature cannot be checked now. */
  async read(header: string): Promise<SignedPayment> {
    const payment = readPaymentHeader(header, this.rails)
    const { authorization, signature } = payment
    if (!(await this.#options.signatures.signedHash(authorization.from, await transferHash(payment), signature)))
      throw invalid('signature_mismatch', 'the signature is not that of the payer')
    return signedPayment(payment, header)
  }

  async settle({ header, id }: SignedPayment): Promise<Settled> {
    const running = this.#running.get(id)
    if (running) return running
    const payment = readPaymentHeader(header, this.rails)
    if (this.#running.size >= MAX_SETTLEMENTS) throw unknown('settlements_full')
    const settling = this.#settle(payment).finally(() => this.#running.delete(id))
    this.#running.set(id, settling)
    return settling
  }

  async #settle(payment: TransferPayment): Promise<Settled> {
    const { rpc } = this.#options
    if (rpc) {
      const { used, balance } = await known(transferState(rpc, payment))
      if (used) return this.#collectedBefore(rpc, payment)
      this.#requireInTime(payment)
      if (balance < payment.authorization.value) throw invalid('insufficient_funds', 'the payer has not got as much')
    } else this.#requireInTime(payment)
    const collected = await this.#collect(payment)
    if (collected.type === 'refused') throw invalid(collected.reason, 'the payment could not be collected')
    return { transaction: collected.transaction }
  }

  /** What the collector did not tell, or told wrongly, the chain may know: it decides where it can be asked. */
  async #collect(payment: TransferPayment): Promise<Collected> {
    const { collector, rpc } = this.#options
    try {
      const collected = await collector.collect(payment)
      if (collected.type === 'settled' || !rpc) return collected
      const transaction = await known(this.#transaction(rpc, payment))
      return transaction === null ? collected : { type: 'settled', transaction }
    } catch (error) {
      if (!rpc) throw asUnknown(error)
      const transaction = await known(this.#transaction(rpc, payment))
      if (transaction === null) throw asUnknown(error)
      return { type: 'settled', transaction }
    }
  }

  async #transaction(rpc: Rpc, payment: TransferPayment): Promise<string | null> {
    return (await transferState(rpc, payment)).used ? findTransfer(rpc, payment) : null
  }

  async #collectedBefore(rpc: Rpc, payment: TransferPayment): Promise<Settled> {
    const transaction = await known(findTransfer(rpc, payment))
    if (transaction === null) throw invalid('nonce_used', 'the authorisation was used or cancelled, or too long ago')
    return { transaction }
  }

  #requireInTime({ authorization: { validAfter, validBefore } }: TransferPayment): void {
    const now = BigInt(Math.floor(this.#options.clock.now() / 1000))
    if (validAfter > now) throw invalid('not_yet_valid', 'the authorisation is not valid yet')
    if (validBefore < now + MARGIN_S) throw invalid('expired', 'the authorisation has expired, or will before it is collected')
  }
}

/** A node that is away leaves it open whether the payment was collected. */
const known = <T>(answer: Promise<T>): Promise<T> =>
  answer.catch((error: unknown) => {
    throw asUnknown(error)
  })

const asUnknown = (error: unknown): Failure =>
  error instanceof Failure && error.code === 'PAYMENT_VERIFICATION_FAILED' ? error : unknown('chain_away')

const unknown = (reason: string): Failure => fail('PAYMENT_VERIFICATION_FAILED', { reason, internal: reason })
