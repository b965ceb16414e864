/** Puts the room together: from the settings, what wallets can do on this server. Nothing is loaded, asked or started here. */
import type { Clock } from '../core/clock.ts'
import type { Outside } from '../core/outside.ts'
import type { Store } from '../core/store.ts'
import type { Rail, WalletPayments, WalletSignIn } from '../core/wallet.ts'
import type { Collector } from './collector.ts'
import { Facilitator } from './facilitator.ts'
import { OwnCollector } from './own-collector.ts'
import { Payments } from './payments.ts'
import { Rpc } from './rpc.ts'
import type { ChainFile, ChainSecrets } from './settings.ts'
import { SignIn } from './sign-in.ts'
import { StakeReader } from './stake-reader.ts'
import { Stakes, type StakesOptions } from './stakes.ts'
import { WalletAccounts } from './wallet-accounts.ts'
import { WalletSignatures } from './wallet-signature.ts'
import { Web3Keys } from './web3-keys.ts'

export type ChainOptions = {
  readonly file: ChainFile
  readonly secrets: ChainSecrets
  readonly outside: Outside
  readonly store: Pick<Store, 'accountOfWallet' | 'insertAccount' | 'accountsWithWallet'>
  readonly clock: Clock
  /**
   * The hosts that the server is reached by, in lower case, such as `api.example.com` or `127.0.0.1:8080`, beside those of the
   * settings. Asked each time, because a server may not know its port before it listens.
   */
  readonly hosts: () => readonly string[]
  readonly setAllowance: StakesOptions['setAllowance']
  readonly stakesChanged: StakesOptions['changed']
}

export type Chain = {
  readonly accounts: WalletAccounts
  readonly web3Keys: Web3Keys
  /** Null where no wallet may sign in. */
  readonly signIn: WalletSignIn | null
  /** Null where no payments are taken. */
  readonly payments: WalletPayments | null
  /** Null where no contract or no node is set: then nobody has a daily allowance by staking. */
  readonly stakes: Stakes | null
}

/** The settings must have passed `chainProblem`. */
export function openChain(options: ChainOptions): Chain {
  const { file, secrets, outside, store, clock } = options
  const rpc = secrets.rpcUrl === null ? null : new Rpc(outside, secrets.rpcUrl, file.rpcTimeoutMs)
  const signatures = new WalletSignatures(rpc)
  const accounts = new WalletAccounts(store, clock)
  const reader = (source: ChainFile['diem']): StakeReader | null =>
    rpc && source && new StakeReader(rpc, { contract: source.contract, read: source.read, chainId: file.chainId })
  const domains = new Set(file.signIn.domains.map((host) => host.toLowerCase()))
  const isOurs = (host: string): boolean => domains.has(host) || options.hosts().includes(host)
  return {
    accounts,
    web3Keys: new Web3Keys({ mode: file.web3Keys, signatures, stakes: reader(file.vvv), accounts, clock }),
    signIn: file.signIn.enabled ? new SignIn({ isOurs, chainId: file.chainId, signatures, clock }) : null,
    payments: paymentsOf(options, rpc, signatures),
    stakes: stakesOf(options, reader(file.diem), store),
  }
}

function stakesOf(options: ChainOptions, reader: StakeReader | null, store: ChainOptions['store']): Stakes | null {
  const { file, clock, setAllowance, stakesChanged } = options
  if (!reader || !file.diem) return null
  const accounts: StakesOptions['accounts'] = () => store.accountsWithWallet()
  return new Stakes({
    reader,
    decimals: file.diem.decimals,
    pollMs: file.diemPollMs,
    accounts,
    setAllowance,
    clock,
    changed: stakesChanged,
  })
}

function paymentsOf({ file, secrets, outside, clock }: ChainOptions, rpc: Rpc | null, signatures: WalletSignatures): Payments | null {
  const collector = collectorOf(file, secrets, outside, rpc)
  return file.x402 && collector && new Payments({ rails: [railOf(file, file.x402)], signatures, collector, rpc, clock })
}

function collectorOf({ x402 }: ChainFile, secrets: ChainSecrets, outside: Outside, rpc: Rpc | null): Collector | null {
  if (!x402) return null
  if (x402.facilitatorUrl !== null) return new Facilitator(outside, x402.facilitatorUrl, secrets.facilitatorToken)
  return rpc && secrets.settlerKey && new OwnCollector(rpc, secrets.settlerKey)
}

const railOf = ({ chainId, name }: ChainFile, x402: NonNullable<ChainFile['x402']>): Rail => ({
  network: `eip155:${chainId}`,
  name,
  token: x402.token,
  asset: x402.asset,
  decimals: x402.decimals,
  payTo: x402.payTo,
  maxTimeoutSeconds: x402.maxTimeoutSeconds,
  extra: { name: x402.tokenName, version: x402.tokenVersion },
})
