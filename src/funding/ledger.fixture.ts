/** A real database with accounts in it and the real ledger over it, whose writes can be made to fail. */
import { afterEach } from 'vitest'
import type { Caller } from '../core/call.ts'
import type { Amount } from '../core/money.ts'
import type { AccountRow, Store } from '../core/store.ts'
import { Ledger } from '../money/ledger.ts'
import { openSqliteStore } from '../store/sqlite/sqlite-store.ts'

export const USD: Amount = 1_000_000_000n

export const account = (id: string, more: Partial<AccountRow> = {}): AccountRow => ({
  id,
  name: id,
  plan: 'default',
  creditNano: 0n,
  diemAllowanceNano: 0n,
  wallet: null,
  createdAt: 1,
  closedAt: null,
  ...more,
})

/** Who runs something on an account. */
export const callerOf = (accountId: string): Caller => ({
  accountId,
  keyId: 'k1',
  scope: 'INFERENCE',
  plan: 'default',
  caps: { period: 'LIFETIME', usd: null, diem: null },
  modelPrivacy: 'ALL',
  models: null,
})

/** When a write fails: before anything is written, or after, so that only the answer is lost. */
export type Fault = 'before' | 'after'

export type Funded = {
  readonly store: Store
  readonly ledger: Ledger
  /** What happens to the next writes, in turn. */
  readonly faults: (Fault | null)[]
  /** When the next thing moves. */
  readonly clock: { ms: number; now(): number }
  close(): Promise<void>
}

const open = new Set<Funded>()
afterEach(async () => {
  await Promise.all([...open].map((one) => one.close()))
})

/** As `fundedStore`, closed after the test at the latest. */
export async function storeWith(...accounts: readonly AccountRow[]): Promise<Funded> {
  const { close, ...rest } = await fundedStore(...accounts)
  const funded: Funded = {
    ...rest,
    async close() {
      if (open.delete(funded)) await close()
    },
  }
  open.add(funded)
  return funded
}

/** A database in memory with these accounts, and a ledger over it. */
export async function fundedStore(...accounts: readonly AccountRow[]): Promise<Funded> {
  const store = await openSqliteStore(':memory:')
  await store.migrate()
  for (const row of accounts) await store.insertAccount(row)
  const faults: (Fault | null)[] = []
  const failing: Store = {
    ...store,
    async commit(settlements) {
      const fault = faults.shift() ?? null
      if (fault === 'before') throw new Error('the database is away')
      await store.commit(settlements)
      if (fault === 'after') throw new Error('the database is away')
    },
  }
  const clock = { ms: 1, now: () => clock.ms++ }
  const ledger = new Ledger({ store: failing, clock })
  return {
    store,
    ledger,
    faults,
    clock,
    async close() {
      faults.length = 0
      await ledger.close()
      await store.close()
    },
  }
}
