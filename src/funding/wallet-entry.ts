/**
 * What a wallet has here instead of a key: a signature lets it in, the money it paid in lets it ask.
 * Nobody gets a row in the database for signing: an account is there from the first payment on.
 */
import type { Caller } from '../core/call.ts'
import { type Failure, fail } from '../core/errors.ts'
import type { Amount } from '../core/money.ts'
import type { AccountRow } from '../core/store.ts'
import type { Rail, WalletAddress, WalletSignIn } from '../core/wallet.ts'
import { headerOf, type NoticeHeaders, type TopUpBounds } from './funding.ts'
import type { FundingLedger } from './till.ts'

/** The header that a wallet signs in with, and its older name. */
export const SIGN_IN_HEADERS = ['sign-in-with-x', 'x-sign-in-with-x'] as const
/** What a wallet must have to ask anything that may cost: ten cents. */
export const MINIMUM_BALANCE: Amount = 100_000_000n
const MAX_HEADER_CHARS = 16_384

export type WalletEntryOptions = {
  readonly signIn: WalletSignIn
  readonly accounts: {
    /** Null where the wallet never had an account. */
    find(wallet: WalletAddress): Promise<AccountRow | null>
  }
  readonly ledger: Pick<FundingLedger, 'balances'>
  readonly rails: readonly Rail[]
  readonly bounds: TopUpBounds
  /** Where requests go, such as `https://api.example.com/api/v1`: what challenges and 402 bodies are about. Asked each time. */
  readonly baseUrl: () => string
}

/** How a wallet stands. Nano-dollars. */
export type WalletStanding = {
  readonly account: AccountRow | null
  readonly usd: Amount
  readonly diem: Amount
  /** Whether it may ask what costs. */
  readonly canConsume: boolean
}

export class WalletEntry {
  readonly bounds: TopUpBounds
  readonly #of: WalletEntryOptions

  constructor(options: WalletEntryOptions) {
    this.#of = options
    this.bounds = options.bounds
  }

  /** Whether a request says that it comes from a wallet. */
  presents(headers: NoticeHeaders): boolean {
    return headerOf(headers, ...SIGN_IN_HEADERS) !== null
  }

  /** The wallet that signed the request. Rejects with `X402_INVALID_SIGN_IN`. */
  async wallet(headers: NoticeHeaders): Promise<WalletAddress> {
    const header = headerOf(headers, ...SIGN_IN_HEADERS)
    if (header === null)
      throw fail('X402_INVALID_SIGN_IN', { say: 'Sign in with the header SIGN-IN-WITH-X', reason: 'missing', internal: 'siwx_missing' })
    if (header.length > MAX_HEADER_CHARS) throw fail('X402_INVALID_SIGN_IN', { reason: 'too_long', internal: 'siwx_too_long' })
    return this.#of.signIn.verify(header)
  }

  /**
   * The caller of an endpoint that may cost, by its wallet; `path` is the endpoint's, below the base URL. Rejects with
   * `X402_INVALID_SIGN_IN`, with `UNAUTHORIZED` for a closed account, and with `PAYMENT_REQUIRED`, how to pay in it, for a
   * wallet that has too little.
   */
  async caller(headers: NoticeHeaders, path: string): Promise<Caller> {
    const wallet = await this.wallet(headers)
    const { account, usd, canConsume } = await this.standing(wallet)
    if (!account || !canConsume) throw this.#lowBalance(usd, path)
    return callerOf(account, wallet)
  }

  /** What somebody without key and without wallet is told by an endpoint that may cost: how to come in. */
  discovery(path: string): Failure {
    const { rails, bounds, signIn } = this.#of
    const baseUrl = this.#of.baseUrl()
    const challenge = signIn.challenge(baseUrl + path)
    return fail('PAYMENT_REQUIRED', {
      internal: 'x402_discovery',
      demand: { type: 'discovery', baseUrl, path, rails, suggested: bounds.suggested, challenge },
    })
  }

  /** Rejects with `UNAUTHORIZED` where the wallet's account is closed. */
  async standing(wallet: WalletAddress): Promise<WalletStanding> {
    const account = await this.#of.accounts.find(wallet)
    if (!account) return { account, usd: 0n, diem: 0n, canConsume: false }
    if (account.closedAt !== null) throw fail('UNAUTHORIZED', { say: 'The account of this wallet is closed', internal: 'account_closed' })
    const { USD, BUNDLED_CREDITS, DIEM } = await this.#of.ledger.balances(account.id)
    const usd = USD.balance + BUNDLED_CREDITS.balance
    const diem = DIEM.balance
    const canConsume = account.creditNano === null || usd + diem + account.creditNano >= MINIMUM_BALANCE
    return { account, usd, diem, canConsume }
  }

  #lowBalance(balance: Amount, path: string): Failure {
    const { rails, bounds, signIn } = this.#of
    const baseUrl = this.#of.baseUrl()
    const challenge = signIn.challenge(baseUrl + path)
    return fail('PAYMENT_REQUIRED', {
      internal: 'x402_low_balance',
      demand: { type: 'lowBalance', baseUrl, balance, minimumBalance: MINIMUM_BALANCE, ...bounds, rails, challenge },
    })
  }
}

/** What a wallet spends and is refused is counted under its name, as if that were a key. */
function callerOf({ id, plan }: AccountRow, wallet: WalletAddress): Caller {
  return {
    accountId: id,
    keyId: `wallet:${wallet}`,
    scope: 'INFERENCE',
    plan,
    caps: { period: 'LIFETIME', usd: null, diem: null },
    modelPrivacy: 'ALL',
    models: null,
  }
}
