/** Who may come in: the key, and whether its holder failed too often of late. */
import type { Caller } from '../core/call.ts'
import { type ErrorCode, Failure } from '../core/errors.ts'
import type { WalletEntry } from '../funding/wallet-entry.ts'
import type { Keys } from '../keys/keys.ts'
import type { AbuseGuard } from '../limits/abuse-guard.ts'

/** What a request brings to be let in: the headers that name a key, and the others by lower-case names. */
export type Credentials = {
  readonly authorization: string | undefined
  readonly apiKey: string | undefined
  readonly headers: Readonly<Record<string, string>>
}

/** What a wallet has instead of a key; null where wallets may not. */
export type Wallets = Pick<WalletEntry, 'presents' | 'caller' | 'discovery'>

export type EnterRooms = {
  readonly keys: Pick<Keys, 'verify'>
  readonly guard: Pick<AbuseGuard, 'refusal' | 'refusalOfAddress' | 'countAddress'>
  readonly wallets: Wallets | null
}

/** The failures that are counted by the address they come from, because nobody else is known to be there. */
const OF_STRANGERS: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['AUTHENTICATION_FAILED', 'X402_INVALID_SIGN_IN'])

/**
 * The caller behind the key in one of these headers, or on an endpoint that costs behind a wallet's signature; a promise only
 * where somebody must be asked. Throws (or rejects with) 401, 402 for who brings nothing where wallets could pay, 429 for who is
 * blocked, or 503 where it cannot be known. Blocks go by key, and where no valid key came by address: behind a proxy all
 * addresses are the same, so nobody with a valid key suffers for them.
 */
export function enter(
  { keys, guard, wallets }: EnterRooms,
  { authorization, apiKey, headers }: Credentials,
  address: string,
  endpoint: { readonly path: string; readonly charged?: true },
): Caller | Promise<Caller> {
  const turnedAway = (error: unknown): never => {
    if (!(error instanceof Failure) || !OF_STRANGERS.has(error.code)) throw error
    const refusal = guard.refusalOfAddress(address)
    guard.countAddress(address, error.code)
    throw refusal ?? error
  }
  if (authorization === undefined && apiKey === undefined && wallets !== null && endpoint.charged) {
    if (!wallets.presents(headers)) throw wallets.discovery(endpoint.path)
    return wallets.caller(headers, endpoint.path).then((caller) => unlessBlocked(guard, caller), turnedAway)
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
