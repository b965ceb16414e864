/** DIEM: reads what wallets have staked, again and again, and keeps the daily allowances of their accounts up to it. */
import type { Clock } from '../core/clock.ts'
import { Failure } from '../core/errors.ts'
import type { Amount } from '../core/money.ts'
import type { AccountRow } from '../core/store.ts'
import { type Hex, isEvm } from './address.ts'
import type { StakeReader } from './stake-reader.ts'

/** Less than this much staked is nothing: 0.1 DIEM, in nano-dollars. The API's documentation has the rule. */
export const MINIMUM_STAKE: Amount = 100_000_000n
/** A node that says more than a billion dollars a day is not believed. */
const MAXIMUM_STAKE: Amount = 1_000_000_000n * 1_000_000_000n
/** How soon a reading that failed is tried again, unless readings are more frequent than that anyway. */
const RETRY_MS = 30_000

export type StakeStatus = {
  /** `stale`: the last reading failed, in part or as a whole; what was read before stands. */
  readonly state: 'starting' | 'ok' | 'stale'
  /** In constant words; null while all is well. */
  readonly why: string | null
  /** When all was read the last time, in ms since 1970. */
  readonly readAt: number | null
  /** How many wallets were asked about in the last reading, and how many of them could not be read. */
  readonly wallets: number
  readonly unread: number
}

export type StakesOptions = {
  readonly reader: Pick<StakeReader, 'read'>
  /** Of the token. */
  readonly decimals: number
  readonly pollMs: number
  readonly accounts: () => Promise<readonly AccountRow[]>
  /** Sets what an account may spend of DIEM each day, in nano-dollars. The same again changes nothing. */
  readonly setAllowance: (accountId: string, allowance: Amount) => Promise<void>
  readonly clock: Clock
  /** Told when the state or its reason changes. Must not throw. */
  readonly changed: (status: StakeStatus) => void
}

export class Stakes {
  readonly #options: StakesOptions
  #status: StakeStatus = { state: 'starting', why: null, readAt: null, wallets: 0, unread: 0 }
  #timer: NodeJS.Timeout | null = null
  #reading: Promise<void> | null = null
  #stopped = false

  constructor(options: StakesOptions) {
    this.#options = options
  }

  status(): StakeStatus {
    return this.#status
  }

  /** Reads now and from then on every `pollMs` after the end of a reading. */
  start(): void {
    if (this.#stopped) return
    void this.poll().then(() => {
      if (this.#stopped) return
      const waitMs = this.#status.state === 'ok' ? this.#options.pollMs : Math.min(RETRY_MS, this.#options.pollMs)
      this.#timer = setTimeout(() => this.start(), waitMs).unref()
    })
  }

  /** No reading begins after this; resolves when the one under way has ended, which is bounded by the node's time limit. */
  async stop(): Promise<void> {
    this.#stopped = true
    if (this.#timer) clearTimeout(this.#timer)
    await this.#reading
  }

  /** One reading; who comes while one is under way waits for that one. Never rejects: `status` says how it went. */
  poll(): Promise<void> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = null
    })
    return this.#reading
  }

  async #read(): Promise<void> {
    const { accounts, reader } = this.#options
    let wallets = 0
    try {
      const byWallet = walletsOf(await accounts())
      wallets = byWallet.size
      const stakes = await reader.read([...byWallet.keys()])
      let unread = 0
      for (const [wallet, account] of byWallet) {
        if (this.#stopped) return
        const stake = stakes.get(wallet)
        const allowance = stake === undefined ? null : allowanceOf(stake, this.#options.decimals)
        if (allowance === null) unread++
        else if (allowance !== account.diemAllowanceNano) await this.#options.setAllowance(account.id, allowance)
      }
      this.#is(unread === 0 ? null : 'some stakes could not be read', wallets, unread)
    } catch (error) {
      this.#is(error instanceof Failure && error.code === 'CHAIN_UNAVAILABLE' ? reasonOf(error) : 'the store is away', wallets, wallets)
    }
  }

  #is(why: string | null, wallets: number, unread: number): void {
    const before = this.#status
    const readAt = why === null ? this.#options.clock.now() : before.readAt
    this.#status = { state: why === null ? 'ok' : 'stale', why, readAt, wallets, unread }
    if (before.state !== this.#status.state || before.why !== why) this.#options.changed(this.#status)
  }
}

/**
 * What a stake is worth each day: as much as is staked, down to the whole nano-dollar, and nothing below the minimum.
 * Null for what no contract can truly say.
 */
export function allowanceOf(stake: bigint, decimals: number): Amount | null {
  const nano = decimals >= 9 ? stake / 10n ** BigInt(decimals - 9) : stake * 10n ** BigInt(9 - decimals)
  if (nano > MAXIMUM_STAKE) return null
  return nano < MINIMUM_STAKE ? 0n : nano
}

/** Wallets of other chains stake nothing here. Closed accounts spend nothing. */
function walletsOf(accounts: readonly AccountRow[]): ReadonlyMap<Hex, AccountRow> {
  const found = new Map<Hex, AccountRow>()
  for (const account of accounts)
    if (account.wallet !== null && isEvm(account.wallet) && account.closedAt === null) found.set(account.wallet, account)
  return found
}

const reasonOf = ({ internal }: Failure): string =>
  internal === 'rpc_on_another_chain' ? 'the node stands on another chain' : 'the node does not answer'
