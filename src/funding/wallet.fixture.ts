/** Wallets as the tests need them: a chain that collects what it is told to, and signatures that are the wallet's name. */
import { fail } from '../core/errors.ts'
import type { AccountRow, Store } from '../core/store.ts'
import type { Rail, SignedPayment, SignInChallenge, WalletAddress, WalletPayments, WalletSignIn } from '../core/wallet.ts'
import { account } from './ledger.fixture.ts'

export const WALLET = '0x90f79bf6eb2c4f870365e785982e1f101e93b906'
export const OTHER_WALLET = '0x15d34aaf54267db7d7c367839aaf71a00a2c6a65'

export const BASE: Rail = {
  network: 'eip155:8453',
  name: 'base',
  token: 'USDC',
  asset: '0x833589fcd6edb6e08f4c7c32d4f71b54bda02913',
  decimals: 6,
  payTo: '0x1111111111111111111111111111111111111111',
  maxTimeoutSeconds: 300,
  extra: { name: 'USD Coin', version: '2' },
}
export const SOLANA: Rail = {
  ...BASE,
  network: 'solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp',
  name: 'solana',
  asset: 'EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v',
  payTo: '8qUL23aSj7mDWdoLMXGHFvnVCT9wd7jXcysiekroADEL',
  extra: { feePayer: 'BFK9TLC3edb13K6v4YyH3DwPb5DSUpkWvb7XnqCL9b4F' },
}

/** A payment's header, as the fake chain reads it. */
export const paymentHeader = (nonce: string, amount: bigint, wallet: WalletAddress = WALLET): string => `${nonce} ${amount} ${wallet}`

export class FakeChain implements WalletPayments {
  readonly rails = [BASE, SOLANA]
  /** How often each payment moved money. */
  readonly moved = new Map<string, number>()
  /** How often it was asked to collect. */
  asked = 0
  /** What happens to the next collections, in turn: the money moves and the answer is lost, or it does not move. */
  readonly faults: ('moved' | 'not moved' | null)[] = []

  async read(header: string): Promise<SignedPayment> {
    const [nonce, amount, wallet] = header.split(' ')
    if (!nonce || !amount || !wallet) throw fail('X402_INVALID_PAYMENT', { reason: 'malformed' })
    return { id: `${BASE.network}:${wallet}:${nonce}`, wallet, amount: BigInt(amount), network: BASE.network, header }
  }

  async settle({ id }: SignedPayment): Promise<{ readonly transaction: string }> {
    this.asked++
    const fault = this.faults.shift() ?? null
    await Promise.resolve()
    if (fault === 'not moved') throw fail('PAYMENT_VERIFICATION_FAILED', { reason: 'chain_away' })
    if (!this.moved.has(id)) this.moved.set(id, 1)
    if (fault === 'moved') throw fail('PAYMENT_VERIFICATION_FAILED', { reason: 'chain_away' })
    return { transaction: `0x${id.length}` }
  }
}

/** The header is the wallet itself, and each works once. */
export class FakeSignIn implements WalletSignIn {
  readonly #used = new Set<string>()

  challenge(resource: string): SignInChallenge {
    return {
      info: {
        domain: 'api.example.com',
        uri: resource,
        version: '1',
        nonce: 'n0nce123',
        issuedAt: '2026-04-09T12:00:00.000Z',
        expirationTime: '2026-04-09T12:05:00.000Z',
        statement: 'Sign in to Venice AI',
      },
      supportedChains: [{ chainId: 'eip155:8453', type: 'eip191' }],
    }
  }

  async verify(header: string): Promise<WalletAddress> {
    const [wallet = '', nonce = ''] = header.split(' ')
    if (!wallet.startsWith('0x') || this.#used.has(nonce)) throw fail('X402_INVALID_SIGN_IN', { reason: 'nonce_used' })
    this.#used.add(nonce)
    return wallet
  }
}

/** Accounts of wallets over a store. */
export const walletAccounts = (store: Store) => ({
  find: (wallet: WalletAddress) => store.accountOfWallet(wallet),
  async open(wallet: WalletAddress): Promise<AccountRow> {
    const row = account(`wallet:${wallet}`, { wallet })
    await store.insertAccount(row)
    const found = (await store.accountOfWallet(wallet)) ?? row
    if (found.closedAt !== null) throw fail('UNAUTHORIZED')
    return found
  },
})
