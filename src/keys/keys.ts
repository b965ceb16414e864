/**
 * Turns a credential into a caller. Nearly always from memory and at once: an entry is read again in the background while
 * it is used, and one that is older than a second is not served, so that a key that was revoked or changed on any node
 * stops working within a second everywhere.
 * Owns: who may come in, and with which scope. Does not own: what a key has spent (money), how fast it asks (limits).
 */
import type { Caller, KeyScope } from '../core/call.ts'
import type { Clock } from '../core/clock.ts'
import { fail } from '../core/errors.ts'
import type { Failure } from '../core/errors.ts'
import type { KeyRow, Store } from '../core/store.ts'
import { keyOf, MAX_HEADER_CHARS } from './credentials.ts'
import { earlierHash, keyIdOf } from './earlier-secret.ts'
import { OPERATOR_ACCOUNT } from './first-key.ts'
import { LastUses } from './last-uses.ts'
import { hashKey } from './secret-key.ts'

/** How many valid keys are remembered; one that was not used of late makes room. */
export const MAX_KNOWN_KEYS = 10_000
/** How many refused credentials are remembered, so that a caller with a wrong key does not keep the store busy. */
export const MAX_UNKNOWN_KEYS = 1_000
/** How many look-ups may be under way; a flood of different wrong keys ends here. */
export const MAX_LOOKUPS = 256
/** From this age on an entry in use is read again, in the background. */
export const REFRESH_MS = 700
/** An entry of this age waits for the store: so long at most a key works that was revoked or changed elsewhere. */
export const FRESH_MS = 1_000
/** How long a key that was valid keeps working while the store is away. */
export const STALE_MS = 300_000
/** How soon a refused credential is looked up again. */
export const UNKNOWN_MS = 1_000
/** An entry that was not used for so long is forgotten, and the credential with it. */
export const IDLE_MS = 300_000
/** How often last uses are written and idle entries are forgotten. */
export const TIDY_MS = 5_000
/** How long a store that did not answer is left alone, per key. */
const RETRY_MS = 1_000

type Found = {
  readonly caller: Caller
  /** Wall time in ms since 1970 from which on it is refused: of the key, its secret or its account; Infinity is never. */
  readonly expiresAt: number
}

type Known = {
  readonly hash: string
  caller: Caller
  expiresAt: number
  /** The `Authorization` header under which it is found without being hashed; null until one came. */
  header: string | null
  /** Ticks: from when it is read again, until when it is served without waiting for that, and until when while the store is away. */
  refreshAt: number
  freshUntil: number
  staleUntil: number
  usedAt: number
  waiting: boolean
  /** Whether it was used since it last had to make room. */
  spared: boolean
}

type KeysStore = Pick<Store, 'keyByHash' | 'key' | 'account' | 'touchKeys'>

export class Keys {
  readonly #store: KeysStore
  readonly #clock: Clock
  readonly #uses: LastUses
  /** By the key's hash. */
  readonly #known = new Map<string, Known>()
  /**
   * The same entries by the whole `Authorization` header, so that the common request is not hashed. It holds the credential
   * itself, in memory only and no longer than its entry. A look-up tells nothing by its time: the map goes by a hash with a
   * seed of this process, and compares only what has the same one; nobody gets closer to a key bit by bit.
   */
  readonly #byHeader = new Map<string, Known>()
  /** By hash: the tick until when it is known to be refused. */
  readonly #unknown = new Map<string, number>()
  readonly #lookups = new Map<string, Promise<Known>>()
  #timer: NodeJS.Timeout | null = null

  constructor(store: KeysStore, clock: Clock) {
    this.#store = store
    this.#clock = clock
    this.#uses = new LastUses(store)
  }

  /**
   * The caller behind the raw values of the headers `Authorization` and `x-api-key`; a promise only where the store must be
   * asked. Throws (or rejects with) `AUTHENTICATION_FAILED`, in the same words whatever is wrong, so that they say nothing
   * about which keys exist; with a 503 where it cannot be known, because the store is away.
   */
  verify(authorization: string | undefined, apiKey: string | undefined): Caller | Promise<Caller> {
    if (authorization !== undefined) {
      const known = this.#byHeader.get(authorization)
      if (known !== undefined) return this.#serve(known, authorization)
    }
    const key = keyOf(authorization, apiKey)
    if (key === null) throw refused('no usable credential')
    const hash = hashKey(key)
    const known = this.#known.get(hash)
    if (known !== undefined) return this.#serve(known, authorization)
    const refusedUntil = this.#unknown.get(hash)
    if (refusedUntil !== undefined && this.#clock.tick() < refusedUntil) throw refused('unknown key, remembered')
    return this.#wait(hash, authorization)
  }

  /**
   * Forgets what is remembered of a key, of all keys of an account, or of all: the next request asks the store. To be
   * called after a change is written; other nodes notice within `FRESH_MS`.
   */
  invalidate(which: { readonly keyId: string } | { readonly accountId: string } | 'all'): void {
    // A look-up that is under way may have read the old row: its answer still goes to who waits, but is not kept.
    this.#lookups.clear()
    this.#unknown.clear()
    for (const known of this.#known.values()) if (isMeant(known.caller, which)) this.#drop(known)
  }

  /** Writes the last uses that wait. Never rejects. */
  flush(): Promise<void> {
    return this.#uses.flush()
  }

  /** Writes the last uses and forgets all keys. The last call. */
  async close(): Promise<void> {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    await this.flush()
    this.invalidate('all')
  }

  /** The hot path: nothing is allocated, nothing is hashed but by the map. */
  #serve(known: Known, authorization: string | undefined): Caller | Promise<Caller> {
    const tick = this.#clock.tick()
    if (tick >= known.refreshAt) {
      if (tick >= known.freshUntil) return this.#wait(known.hash, authorization)
      this.#refresh(known)
    }
    return this.#admit(known, authorization)
  }

  #admit(known: Known, authorization: string | undefined): Caller {
    const now = this.#clock.now()
    if (known.expiresAt <= now) throw refused('key expired')
    if (known.header === null && authorization !== undefined) this.#nameByHeader(known, authorization)
    known.spared = true
    this.#uses.note(known, now)
    return known.caller
  }

  #nameByHeader(known: Known, authorization: string): void {
    if (authorization.length > MAX_HEADER_CHARS || this.#known.get(known.hash) !== known) return
    known.header = authorization
    this.#byHeader.set(authorization, known)
  }

  async #wait(hash: string, authorization: string | undefined): Promise<Caller> {
    return this.#admit(await this.#lookup(hash), authorization)
  }

  /** Reads an entry again while it goes on being served. What comes of it shows at the next request. */
  #refresh(known: Known): void {
    if (this.#lookups.has(known.hash)) return
    // Refused or away: `#ask` has dealt with it.
    this.#lookup(known.hash).catch(() => {})
  }

  #lookup(hash: string): Promise<Known> {
    const running = this.#lookups.get(hash)
    if (running) return running
    // Keys that are known are few enough by themselves, and are not to suffer from a flood of others.
    if (this.#lookups.size >= MAX_LOOKUPS && !this.#known.has(hash)) return Promise.reject(unavailable('too many key look-ups at once'))
    const lookup: Promise<Known> = this.#ask(hash, () => this.#lookups.get(hash) === lookup).finally(() => {
      if (this.#lookups.get(hash) === lookup) this.#lookups.delete(hash)
    })
    this.#lookups.set(hash, lookup)
    return lookup
  }

  /** `current` says whether the answer may still be remembered. */
  async #ask(hash: string, current: () => boolean): Promise<Known> {
    // What is read is as old as the moment it was asked for.
    const tick = this.#clock.tick()
    let found: Found | null
    try {
      found = await this.#read(hash)
    } catch {
      return this.#withoutStore(hash)
    }
    if (found === null) {
      if (current()) this.#refuse(hash, tick + UNKNOWN_MS)
      throw refused('unknown, revoked or expired key, or a closed account')
    }
    if (!current()) return newKnown(hash, found)
    this.#unknown.delete(hash)
    const known = this.#known.get(hash) ?? this.#keep(newKnown(hash, found))
    known.caller = found.caller
    known.expiresAt = found.expiresAt
    known.refreshAt = tick + REFRESH_MS
    known.freshUntil = tick + FRESH_MS
    known.staleUntil = tick + STALE_MS
    return known
  }

  async #read(hash: string): Promise<Found | null> {
    let row = await this.#store.keyByHash(hash)
    let secretUntil = Infinity
    if (row === null) {
      const earlier = await this.#store.keyByHash(earlierHash(hash))
      if (earlier === null || earlier.expiresAt === null) return null
      secretUntil = earlier.expiresAt
      row = await this.#store.key(keyIdOf(earlier))
    }
    if (row === null || row.revokedAt !== null) return null
    const account = await this.#store.account(row.accountId)
    if (account === null) return null
    const expiresAt = Math.min(secretUntil, row.expiresAt ?? Infinity, account.closedAt ?? Infinity)
    return expiresAt > this.#clock.now() ? { caller: callerOf(row, account.plan), expiresAt } : null
  }

  /** A key that was valid a short while ago most likely still is; of any other key nothing is known, which is no 401. */
  #withoutStore(hash: string): Known {
    const known = this.#known.get(hash)
    const tick = this.#clock.tick()
    if (known === undefined || tick >= known.staleUntil) throw unavailable('the store did not answer for a key')
    known.freshUntil = Math.max(known.freshUntil, Math.min(tick + RETRY_MS, known.staleUntil))
    known.refreshAt = Math.min(tick + REFRESH_MS, known.freshUntil)
    return known
  }

  #keep(known: Known): Known {
    if (this.#known.size >= MAX_KNOWN_KEYS) this.#makeRoom()
    this.#known.set(known.hash, known)
    this.#arm()
    return known
  }

  /** The first one goes that was not used since it was last asked to; the others go to the end of the line. */
  #makeRoom(): void {
    for (const known of this.#known.values()) {
      this.#known.delete(known.hash)
      if (!known.spared) {
        this.#drop(known)
        return
      }
      known.spared = false
      this.#known.set(known.hash, known)
    }
  }

  #drop(known: Known): void {
    this.#known.delete(known.hash)
    if (known.header !== null) this.#byHeader.delete(known.header)
    known.header = null
  }

  #refuse(hash: string, until: number): void {
    const known = this.#known.get(hash)
    if (known) this.#drop(known)
    this.#unknown.delete(hash)
    if (this.#unknown.size >= MAX_UNKNOWN_KEYS)
      for (const oldest of this.#unknown.keys()) {
        this.#unknown.delete(oldest)
        break
      }
    this.#unknown.set(hash, until)
  }

  #arm(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null
      this.tidy()
    }, TIDY_MS).unref()
  }

  /** What is done every `TIDY_MS` while there are keys in memory: last uses are written, idle entries forgotten. */
  tidy(): void {
    const idle = this.#clock.now() - IDLE_MS
    for (const known of this.#known.values()) if (known.usedAt <= idle) this.#drop(known)
    void this.flush()
    if (this.#known.size > 0) this.#arm()
  }
}

/**
 * Throws `UNAUTHORIZED` unless the caller may use endpoints of this scope. A key of type ADMIN administers its own account; the
 * server is administered (`OPERATOR`) by those of the operator's account only.
 */
export function requireScope(caller: Caller, scope: KeyScope | 'OPERATOR'): void {
  if (scope === 'INFERENCE') return
  if (caller.scope === 'ADMIN' && (scope === 'ADMIN' || caller.accountId === OPERATOR_ACCOUNT)) return
  throw fail('UNAUTHORIZED', {
    say: `Unauthorized access: this endpoint needs a key of the scope ADMIN${scope === 'OPERATOR' ? ' of the operator’s own account' : ''}`,
    internal: 'scope',
  })
}

const newKnown = (hash: string, { caller, expiresAt }: Found): Known => ({
  hash,
  caller,
  expiresAt,
  header: null,
  refreshAt: -Infinity,
  freshUntil: -Infinity,
  staleUntil: -Infinity,
  usedAt: 0,
  waiting: false,
  spared: false,
})

const callerOf = (row: KeyRow, plan: string): Caller =>
  Object.freeze({
    accountId: row.accountId,
    keyId: row.id,
    scope: row.scope,
    plan,
    caps: row.caps,
    modelPrivacy: row.modelPrivacy,
    models: row.models === null ? null : new Set(row.models),
  })

function isMeant(caller: Caller, which: { readonly keyId: string } | { readonly accountId: string } | 'all'): boolean {
  if (which === 'all') return true
  return 'keyId' in which ? caller.keyId === which.keyId : caller.accountId === which.accountId
}

const refused = (internal: string): Failure =>
  fail('AUTHENTICATION_FAILED', {
    say: 'Authentication failed: send a valid API key in the header `Authorization: Bearer <key>`',
    internal,
  })

const unavailable = (internal: string): Failure =>
  fail('MODEL_AT_CAPACITY', { say: 'The server cannot check API keys at the moment; try again shortly', retryAfterMs: RETRY_MS, internal })
