/** Payments: what came in from outside, and what a caller is asked for. Sources of money, the ledger and the door share these words. */
import type { Source } from './book.ts'
import type { Amount, Currency } from './money.ts'
import type { Rail, SignInChallenge } from './wallet.ts'

/** Money that a source has received for an account. Source and payment id together are its name: it is credited once. */
export type Payment = {
  readonly source: Source
  /** The source's own id of this payment, whatever told of it and however often. */
  readonly paymentId: string
  readonly accountId: string
  /** Nano-dollars; positive. */
  readonly amount: Amount
  readonly currency: Currency
}

/** What a 402 of x402 asks for. Amounts are nano-dollars. */
export type PaymentDemand =
  /** How to pay, to somebody who wants to. */
  | { readonly type: 'topUp'; readonly rails: readonly Rail[]; readonly minimum: Amount }
  /** How to come in at all, to somebody who brought nothing. */
  | {
      readonly type: 'discovery'
      /** Where requests go, such as `https://api.example.com/api/v1`, without a slash at its end. */
      readonly baseUrl: string
      /** Below it, such as `/chat/completions`. */
      readonly path: string
      readonly rails: readonly Rail[]
      readonly suggested: Amount
      readonly challenge: SignInChallenge
    }
  /** To a wallet that signed in and has too little. */
  | {
      readonly type: 'lowBalance'
      readonly baseUrl: string
      readonly balance: Amount
      readonly minimumBalance: Amount
      readonly suggested: Amount
      readonly minimum: Amount
      readonly rails: readonly Rail[]
      readonly challenge: SignInChallenge
    }
