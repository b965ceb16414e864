/** The account of a wallet: found by its address, opened when it is first needed. */
import type { Clock } from '../core/clock.ts'
import { fail } from '../core/errors.ts'
import type { AccountRow, Store } from '../core/store.ts'
import type { WalletAddress } from '../core/wallet.ts'

/** How many accounts wallets may open in a minute, all together: a wallet costs nothing, a row in the database stays. */
export const OPENED_PER_MINUTE = 60
const MINUTE_MS = 60_000
const PLAN = 'default'

export class WalletAccounts {
  readonly #store: Pick<Store, 'accountOfWallet' | 'insertAccount'>
  readonly #clock: Clock
  #left = OPENED_PER_MINUTE
  #minuteEnds = 0

  constructor(store: Pick<Store, 'accountOfWallet' | 'insertAccount'>, clock: Clock) {
    this.#store = store
    this.#clock = clock
  }

  /** Null where the wallet never had an account. */
  find(wallet: WalletAddress): Promise<AccountRow | null> {
    return this.#store.accountOfWallet(wallet)
  }

  /**
   * The account of a wallet whose signature was checked; a new one, with nothing in it, where there is none. Two that come
   * at once get the same. Rejects with `RATE_LIMIT_EXCEEDED` where too many were opened in this minute, and with
   * `UNAUTHORIZED` for one that is closed.
   */
  async open(wallet: WalletAddress): Promise<AccountRow> {
    const found = await this.find(wallet)
    if (found) return opened(found)
    this.#takeOne()
    const row: AccountRow = {
      id: `wallet:${wallet}`,
      name: wallet,
      plan: PLAN,
      creditNano: 0n,
      diemAllowanceNano: 0n,
      wallet,
      createdAt: this.#clock.now(),
      closedAt: null,
    }
    if (await this.#store.insertAccount(row)) return row
    const other = await this.find(wallet)
    if (!other)
      throw fail('UNAUTHORIZED', { say: 'The account of this wallet belongs to another one now', internal: 'wallet_account_moved' })
    return opened(other)
  }

  #takeOne(): void {
    const tick = this.#clock.tick()
    if (tick >= this.#minuteEnds) {
      this.#minuteEnds = tick + MINUTE_MS
      this.#left = OPENED_PER_MINUTE
    }
    if (this.#left === 0)
      throw fail('RATE_LIMIT_EXCEEDED', {
        say: 'Too many new wallets; try again shortly',
        internal: 'wallet_accounts_full',
        retryAfterMs: this.#minuteEnds - tick,
      })
    this.#left--
  }
}

function opened(row: AccountRow): AccountRow {
  if (row.closedAt !== null) throw fail('UNAUTHORIZED', { say: 'The account of this wallet is closed', internal: 'account_closed' })
  return row
}
