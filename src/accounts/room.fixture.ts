/** For the tests of this room: a store in memory, a clock, and the ledger over both. */
import type { Caller } from '../core/call.ts'
import type { Store } from '../core/store.ts'
import { Ledger } from '../money/ledger.ts'
import { openSqliteStore } from '../store/sqlite/sqlite-store.ts'
import { Accounts } from './accounts.ts'
import { Audit } from './audit.ts'
import { Credits } from './credits.ts'
import { TrialBalances } from './trial-balance.ts'

const START = Date.parse('2026-06-01T09:00:00Z')

/** As the desk gives it; the rooms look at the key only. */
export const OPERATOR = { accountId: 'operator', keyId: 'first' } as Caller

export type Room = {
  readonly store: Store
  readonly clock: { time: number; now(): number; id(): string }
  readonly accounts: Accounts
  readonly credits: Credits
  readonly audit: Audit
  readonly trialBalances: TrialBalances
  readonly ledger: Ledger
  /** The accounts that the others were told of. */
  readonly told: string[]
}

export async function openRoom(): Promise<Room> {
  const store = await openSqliteStore(':memory:')
  await store.migrate()
  let ids = 0
  const clock = { time: START, now: () => clock.time, id: () => String(ids++).padStart(32, '0') }
  const told: string[] = []
  const ledger = new Ledger({ store, clock })
  const audit = new Audit(store, clock)
  const accounts = new Accounts({
    store,
    audit,
    clock,
    plans: new Set(['default', 'partner', 'operator']),
    operatorId: 'operator',
    changed: (id) => Promise.resolve(void told.push(id)),
  })
  await store.insertAccount({
    id: 'operator',
    name: 'Operator',
    plan: 'operator',
    creditNano: null,
    diemAllowanceNano: 0n,
    wallet: null,
    createdAt: START,
    closedAt: null,
  })
  const trialBalances = new TrialBalances(store, () => ledger.status, clock.now)
  return { store, clock, accounts, credits: new Credits({ store, ledger, audit }), audit, trialBalances, ledger, told }
}
