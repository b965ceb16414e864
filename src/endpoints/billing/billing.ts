/**
 * What an account has and what it used: `/billing/balance`, `/billing/usage`, `/billing/usage-history` and
 * `/billing/usage-analytics`. All of it is bound to the account of the caller; nobody names an account here.
 */
import type { Store } from '../../core/store.ts'
import type { AnyEndpoint } from '../endpoint.ts'
import { type BalanceSources, billingBalance } from './balance.ts'
import { billingUsage } from './usage.ts'
import { billingAnalytics } from './usage-analytics.ts'
import { billingHistory } from './usage-history.ts'

export type BillingSources = {
  readonly ledger: BalanceSources['ledger']
  readonly store: Pick<Store, 'account' | 'usage' | 'usageAfter' | 'countUsage' | 'usageDays' | 'keysOf' | 'key'>
}

export const billingEndpoints = ({ ledger, store }: BillingSources): AnyEndpoint[] => [
  billingBalance({ ledger, store }),
  billingUsage(store),
  billingHistory(store),
  billingAnalytics(store),
]
