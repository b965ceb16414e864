/** Wallets: who signs in by one, and what one pays. `funding` and the doors ask; `chain` answers. Nothing here knows a chain. */
import type { Amount } from './money.ts'

/**
 * A wallet's address in its normal form, by which it is compared and kept: an EVM address (`0x…`) in lower case, a Solana
 * address as it is written, because its case tells two of them apart.
 */
export type WalletAddress = string

/** What a wallet is asked to sign, as the wire has it (`siwxChallenge`). */
export type SignInChallenge = {
  readonly info: {
    readonly domain: string
    readonly uri: string
    readonly version: '1'
    readonly nonce: string
    /** ISO times. */
    readonly issuedAt: string
    readonly expirationTime: string
    readonly statement: string
  }
  readonly supportedChains: readonly { readonly chainId: string; readonly type: 'eip191' | 'eip1271' | 'ed25519' }[]
}

/** Sign-in by a signature instead of a key. */
export type WalletSignIn = {
  /** A fresh challenge for this resource, a whole URL. Costs no memory: anybody may ask for as many as they like. */
  challenge(resource: string): SignInChallenge
  /**
   * The wallet that signed the value of a `SIGN-IN-WITH-X` header, whose nonce is used up by that. Rejects with
   * `X402_INVALID_SIGN_IN` for one that is malformed, wrong, out of date, used before, or for another server.
   */
  verify(header: string): Promise<WalletAddress>
}

/** One way to be paid: a token on a network, and whose wallet takes it. */
export type Rail = {
  /** By CAIP-2, such as `eip155:8453`. */
  readonly network: string
  /** The plain name, such as `base` or `solana`. */
  readonly name: string
  /** The token: its symbol, its address or mint, its decimals. It is worth a dollar. */
  readonly token: string
  readonly asset: string
  readonly decimals: number
  readonly payTo: string
  readonly maxTimeoutSeconds: number
  /** What its scheme needs to be known, such as the token's EIP-712 name and version, or a fee payer. */
  readonly extra: Readonly<Record<string, string>>
}

/** A payment that a wallet has signed and nobody has collected yet. */
export type SignedPayment = {
  /**
   * Visible ASCII, at most 200 characters, made of what makes the payment unique on its chain (network, token, payer and
   * nonce, say): the same payment has the same id however often and in whatever spelling it is sent, and no other has it.
   */
  readonly id: string
  /** Who pays. */
  readonly wallet: WalletAddress
  /** Exactly what will arrive, in nano-dollars. */
  readonly amount: Amount
  /** The rail's, by CAIP-2. */
  readonly network: string
  /** The header as it came: what `settle` works with. */
  readonly header: string
}

/** Payments by x402. */
export type WalletPayments = {
  readonly rails: readonly Rail[]
  /**
   * What the value of a payment header says, after all was checked that stays as it is when the payment is collected: form,
   * signature, rail (by CAIP-2 or by its plain name: we advertise both), receiver. Moves nothing, and takes one that was
   * collected before and one that is out of date. Any amount passes. Rejects with `X402_INVALID_PAYMENT`.
   */
  read(header: string): Promise<SignedPayment>
  /**
   * Collects the payment; resolves once the money is the receiver's, and for one that was collected before with the same
   * answer, as far as whoever collects lets us know: after a crash the payer sends it again to have it credited.
   * Rejects with `X402_INVALID_PAYMENT` where it can never be collected (no funds, out of date), and with
   * `PAYMENT_VERIFICATION_FAILED` where that is not known, so that sending it again is right.
   */
  settle(payment: SignedPayment): Promise<{ /** Its hash on the network. */ readonly transaction: string }>
}
