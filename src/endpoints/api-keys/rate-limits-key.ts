/** Whose limits a caller may ask for, and what the answers are made of. */
import type { Caller } from '../../core/call.ts'
import type { Clock } from '../../core/clock.ts'
import { type Failure, fail } from '../../core/errors.ts'
import type { Amount, Currency } from '../../core/money.ts'
import type { KeyRow, Store } from '../../core/store.ts'
import type { Plans } from '../../limits/plan.ts'

export type RateLimitSources = {
  readonly plans: Plans
  readonly clock: Pick<Clock, 'now'>
  readonly store: Pick<Store, 'account' | 'key' | 'refusals'>
  readonly ledger: { balances(accountId: string): Promise<Readonly<Record<Currency, { readonly balance: Amount }>>> }
  /** Writes down the refusals that wait to be, so that the log has the latest ones. Never rejects. */
  readonly flushRefusals: () => Promise<void>
}

/**
 * The row of a key that this caller may ask about: its own, or with a key of type ADMIN any of its account; null for a caller
 * without one, such as a wallet that signs in. Throws the same 404 for everything else, whether it is there or not.
 */
export async function keyOf(sources: Pick<RateLimitSources, 'store' | 'clock'>, caller: Caller, id: string): Promise<KeyRow | null> {
  if (id !== caller.keyId && caller.scope !== 'ADMIN') throw unknownKey()
  const row = await sources.store.key(id)
  if (row === null && id === caller.keyId) return null
  if (row === null || row.accountId !== caller.accountId || isOver(row.revokedAt, sources.clock.now())) throw unknownKey()
  return row
}

export const isOver = (at: number | null, now: number): boolean => at !== null && at <= now

const unknownKey = (): Failure => fail('NOT_FOUND', { say: 'There is no such API key', param: 'id' })
