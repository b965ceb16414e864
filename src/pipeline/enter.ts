/** Who may come in: the key, and whether its holder failed too often of late. */
import type { Caller } from '../core/call.ts'
import { Failure } from '../core/errors.ts'
import type { Keys } from '../keys/keys.ts'
import type { AbuseGuard } from '../limits/abuse-guard.ts'

export type EnterRooms = {
  readonly keys: Pick<Keys, 'verify'>
  readonly guard: Pick<AbuseGuard, 'refusal' | 'refusalOfAddress' | 'countAddress'>
}

/**
 * The caller behind the key in one of these headers; a promise only where the store must be asked. Throws (or rejects
 * with) 401, 429 for who is blocked, or 503 where keys cannot be checked. Blocks go by key, and where no valid key came
 * by address: behind a proxy all addresses are the same, so nobody with a valid key suffers for them.
 */
export function enter(
  { keys, guard }: EnterRooms,
  authorization: string | undefined,
  apiKey: string | undefined,
  address: string,
): Caller | Promise<Caller> {
  const turnedAway = (error: unknown): never => {
    if (!(error instanceof Failure) || error.code !== 'AUTHENTICATION_FAILED') throw error
    const refusal = guard.refusalOfAddress(address)
    guard.countAddress(address, error.code)
    throw refusal ?? error
  }
  let found: Caller | Promise<Caller>
  try {
    found = keys.verify(authorization, apiKey)
  } catch (error) {
    return turnedAway(error)
  }
  return found instanceof Promise ? found.then((caller) => unlessBlocked(guard, caller), turnedAway) : unlessBlocked(guard, found)
}

function unlessBlocked(guard: EnterRooms['guard'], caller: Caller): Caller {
  const refusal = guard.refusal(caller)
  if (refusal) throw refusal
  return caller
}
