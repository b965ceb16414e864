/** What the records of usage say about the requests of a day, for counts that a restart would forget. */
import type { Caller } from '../core/call.ts'
import type { Store, UsageDay } from '../core/store.ts'

/**
 * How many requests of this key for this model are on record for this UTC day. On record is what was settled with a usage: a
 * request that failed before anything was delivered is not, and is forgiven by a restart. A request is in several rows, one
 * for each unit and currency that it was counted in, so the largest of them stands: never more than there were.
 */
export function recordedRequests(store: Pick<Store, 'usageDays'>) {
  return async (caller: Pick<Caller, 'accountId' | 'keyId'>, model: string, day: number): Promise<number> => {
    const rows = await store.usageDays(caller.accountId, day, day)
    return rows.reduce((most, row) => Math.max(most, isOf(row, caller.keyId, model) ? row.requests : 0), 0)
  }
}

const isOf = (row: UsageDay, keyId: string, model: string): boolean => row.keyId === keyId && row.model === model
