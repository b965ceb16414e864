/**
 * Turns a credential into a caller. Nearly always from memory and at once; the store is asked when a key is new here
 * or was last looked up a while ago.
 * Owns: who may come in, and with which scope. Does not own: what a key has spent (money), how fast it asks (limits).
 */
import type { Caller, KeyScope } from '../core/call.ts'
import type { Clock } from '../core/clock.ts'
import { fail } from '../core/errors.ts'
import type { Failure } from '../core/errors.ts'
import type { KeyRow, Store } from '../core/store.ts'
import { keyOf } from './credentials.ts'
import { hashKey } from './secret-key.ts'

/** How many valid keys are remembered; the one that was used longest ago makes room. */
export const MAX_KNOWN_KEYS = 10_000
/** How many refused credentials are remembered, so that a caller with a wrong key does not keep the store busy. */
export const MAX_UNKNOWN_KEYS = 1_000
/** How many look-ups may be under way; a flood of different wrong keys ends here. */
export const MAX_LOOKUPS = 256
/** After a change in the store, a revoked key works for so long at most (`invalidate` makes it at once). */
export const FRESH_MS = 60_000
/** How long a key that was valid keeps working while the store is away. */
export const STALE_MS = 300_000
/** How soon a refused credential is looked up again. */
export const UNKNOWN_MS = 5_000
/** How long a store that did not answer is left alone, per key. */
const RETRY_MS = 1_000

type Known = {
  readonly caller: Caller
  /** Wall time in ms since 1970; null is never. */
  readonly expiresAt: number | null
  /** Ticks: until when no look-up is needed, and until when it serves without one. */
  freshUntil: number
  staleUntil: number
}

export class Keys {
  readonly #store: Pick<Store, 'keyByHash' | 'account'>
  readonly #clock: Clock
  /** By hash, the least recently used first. The keys themselves are not kept. */
  readonly #known = new Map<string, Known>()
  /** By hash: the tick until when it is known to be refused. */
  readonly #unknown = new Map<string, number>()
  readonly #lookups = new Map<string, Promise<Caller>>()

  constructor(store: Pick<Store, 'keyByHash' | 'account'>, clock: Clock) {
    this.#store = store
    this.#clock = clock
  }

  /**
   * The caller behind the raw values of the headers `Authorization` and `x-api-key`; a promise only where the store must be asked. Throws (or rejects with)
   * `AUTHENTICATION_FAILED`, in the same words whatever is wrong, so that they say nothing about which keys exist;
   * with a 503 where it cannot be known, because the store is away.
   */
  verify(authorization: string | undefined, apiKey: string | undefined): Caller | Promise<Caller> {
    const key = keyOf(authorization, apiKey)
    if (key === null) throw refused('no usable credential')
    const hash = hashKey(key)
    const tick = this.#clock.tick()
    const known = this.#known.get(hash)
    if (known && tick < known.freshUntil) {
      if (this.#expired(known.expiresAt)) throw refused('key expired')
      this.#known.delete(hash)
      this.#known.set(hash, known)
      return known.caller
    }
    const refusedUntil = this.#unknown.get(hash)
    if (refusedUntil !== undefined && tick < refusedUntil) throw refused('unknown key, remembered')
    return this.#lookup(hash)
  }

  /** Forgets what is remembered of a key, by its hash, or of all: the next request asks the store. */
  invalidate(which: { readonly hash: string } | 'all'): void {
    // A look-up that is under way may have read the old row: its answer still goes to who waits, but is not kept.
    if (which === 'all') {
      this.#known.clear()
      this.#unknown.clear()
      this.#lookups.clear()
      return
    }
    this.#known.delete(which.hash)
    this.#unknown.delete(which.hash)
    this.#lookups.delete(which.hash)
  }

  #lookup(hash: string): Promise<Caller> {
    const running = this.#lookups.get(hash)
    if (running) return running
    if (this.#lookups.size >= MAX_LOOKUPS) throw unavailable('too many key look-ups at once')
    const lookup: Promise<Caller> = this.#ask(hash, () => this.#lookups.get(hash) === lookup).finally(() => {
      if (this.#lookups.get(hash) === lookup) this.#lookups.delete(hash)
    })
    this.#lookups.set(hash, lookup)
    return lookup
  }

  /** `current` says whether the answer may still be remembered. */
  async #ask(hash: string, current: () => boolean): Promise<Caller> {
    let found: Found | null
    try {
      found = await this.#read(hash)
    } catch {
      return this.#withoutStore(hash)
    }
    const tick = this.#clock.tick()
    if (found === null) {
      if (current()) {
        this.#known.delete(hash)
        remember(this.#unknown, hash, tick + UNKNOWN_MS, MAX_UNKNOWN_KEYS)
      }
      throw refused('unknown, revoked or expired key')
    }
    if (current()) {
      this.#unknown.delete(hash)
      const known: Known = { ...found, freshUntil: tick + FRESH_MS, staleUntil: tick + STALE_MS }
      remember(this.#known, hash, known, MAX_KNOWN_KEYS)
    }
    return found.caller
  }

  async #read(hash: string): Promise<Found | null> {
    const row = await this.#store.keyByHash(hash)
    if (!row || row.revokedAt !== null || this.#expired(row.expiresAt)) return null
    const account = await this.#store.account(row.accountId)
    return account ? { caller: callerOf(row, account.plan), expiresAt: row.expiresAt } : null
  }

  /** A key that was valid a short while ago most likely still is; of any other key nothing is known, which is no 401. */
  #withoutStore(hash: string): Caller {
    const known = this.#known.get(hash)
    const tick = this.#clock.tick()
    if (!known || tick >= known.staleUntil) throw unavailable('the store did not answer for a key')
    if (this.#expired(known.expiresAt)) throw refused('key expired')
    known.freshUntil = Math.min(tick + RETRY_MS, known.staleUntil)
    return known.caller
  }

  #expired(expiresAt: number | null): boolean {
    return expiresAt !== null && expiresAt <= this.#clock.now()
  }
}

/** Throws `UNAUTHORIZED` unless the caller may use endpoints of this scope. Keys of the administrator may use all. */
export function requireScope(caller: Caller, scope: KeyScope): void {
  if (caller.scope === 'ADMIN' || scope === 'INFERENCE') return
  throw fail('UNAUTHORIZED', {
    say: 'Unauthorized access: this endpoint needs a key of the scope ADMIN',
    internal: 'scope',
  })
}

type Found = Pick<Known, 'caller' | 'expiresAt'>

const callerOf = (row: KeyRow, plan: string): Caller =>
  Object.freeze({ accountId: row.accountId, keyId: row.id, scope: row.scope, plan, spendCapNano: row.spendCapNano })

/** Puts an entry last and, where the map is full, lets the first one go. */
function remember<Value>(map: Map<string, Value>, hash: string, value: Value, limit: number): void {
  map.delete(hash)
  if (map.size >= limit)
    for (const oldest of map.keys()) {
      map.delete(oldest)
      break
    }
  map.set(hash, value)
}

const refused = (internal: string): Failure =>
  fail('AUTHENTICATION_FAILED', {
    say: 'Authentication failed: send a valid API key in the header `Authorization: Bearer <key>`',
    internal,
  })

const unavailable = (internal: string): Failure =>
  fail('MODEL_AT_CAPACITY', { say: 'The server cannot check API keys at the moment; try again shortly', retryAfterMs: RETRY_MS, internal })
