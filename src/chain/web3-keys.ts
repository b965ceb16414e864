/** Keys for wallets: who may have one, and whose account it belongs to. */
import type { Clock } from '../core/clock.ts'
import { Failure, fail } from '../core/errors.ts'
import type { AccountRow } from '../core/store.ts'
import { evmAddress, type Hex } from './address.ts'
import { unavailable } from './rpc.ts'
import type { StakeReader } from './stake-reader.ts'
import type { WalletAccounts } from './wallet-accounts.ts'
import type { WalletSignatures } from './wallet-signature.ts'
import { Web3Tokens } from './web3-token.ts'

/** `off`: nobody gets one. `open`: any wallet does. `staked`: those that have staked something. */
export type Web3KeyMode = 'off' | 'open' | 'staked'

export type Web3KeysOptions = {
  readonly mode: Web3KeyMode
  readonly signatures: WalletSignatures
  /** Where stakes are read; needed by the mode `staked` only. */
  readonly stakes: Pick<StakeReader, 'read'> | null
  readonly accounts: WalletAccounts
  readonly clock: Clock
}

/** What a wallet sends to get a key. */
export type SignedToken = { readonly address: string; readonly signature: string; readonly token: string }

const OFF = 'Keys for wallets are switched off on this server; its operator can allow them with "web3Keys" in chain.json'
/** In the API's own words, whatever token and chain the operator has set. */
const NOT_STAKED = 'Wallet has no staked VVV on Base'

export class Web3Keys {
  readonly #options: Web3KeysOptions
  readonly #tokens: Web3Tokens

  constructor(options: Web3KeysOptions) {
    this.#options = options
    this.#tokens = new Web3Tokens(options.clock)
  }

  /** A token to sign with `personal_sign`. Throws `NOT_CONFIGURED` where the operator does not want wallets to have keys. */
  token(): string {
    this.#requireOn()
    return this.#tokens.mint()
  }

  /**
   * The account that the signed token opens; the token is used up by that. Rejects with a 400 in the API's own words for
   * whatever is wrong with it, with `NOT_CONFIGURED` where this is off, and with `CHAIN_UNAVAILABLE` where the chain has to be
   * asked and does not answer.
   */
  async redeem({ address, signature, token }: SignedToken): Promise<AccountRow> {
    this.#requireOn()
    const wallet = await evmAddress(address)
    if (!wallet) throw refused('address', 'Invalid wallet address')
    const id = this.#tokens.check(token)
    await this.#requireSignature(wallet, token, signature)
    await this.#requireStake(wallet)
    this.#tokens.use(id)
    return this.#options.accounts.open(wallet)
  }

  #requireOn(): void {
    if (this.#options.mode === 'off') throw fail('NOT_CONFIGURED', { say: OFF })
  }

  async #requireSignature(wallet: Hex, token: string, signature: string): Promise<void> {
    let signed: boolean
    try {
      signed = await this.#options.signatures.signedText(wallet, token, signature)
    } catch (error) {
      if (error instanceof Failure) throw error
      throw refused('signature', 'Could not verify wallet signature')
    }
    if (!signed) throw refused('signature', 'Wallet signature does not match')
  }

  async #requireStake(wallet: Hex): Promise<void> {
    const { mode, stakes } = this.#options
    if (mode !== 'staked') return
    if (!stakes) throw unavailable('no_stake_reader')
    const stake = (await stakes.read([wallet])).get(wallet)
    if (stake === undefined) throw unavailable('stake_unread')
    if (stake === 0n) throw refused('address', NOT_STAKED)
  }
}

const refused = (param: string, say: string): Failure =>
  fail('INVALID_REQUEST', { say, param, issues: [{ code: 'custom', path: [param], message: say }] })
