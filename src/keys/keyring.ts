/**
 * What an account does with its keys: makes, reads, changes, rotates and revokes them. Bound to the account that is named
 * first: another account's key is not there, in the same words as one that never was.
 *
 * Invariant: what is done to the keys of one account is done one after the other, so no change is lost, no revocation
 * undone and no limit passed by those that come together. What is done shows in the audit, and on this node at once.
 */
import { dayOf, monthStartOf } from '../core/book.ts'
import type { CapPeriod, KeyScope, ModelPrivacy } from '../core/call.ts'
import type { Clock } from '../core/clock.ts'
import { type Failure, fail, failField } from '../core/errors.ts'
import type { Amount } from '../core/money.ts'
import type { AuditRow, KeyRow, KeySpend, Store } from '../core/store.ts'
import { earlierRow } from './earlier-secret.ts'
import { ENVIRONMENT_KEY } from './first-key.ts'
import type { Keys } from './keys.ts'
import { SecretKey } from './secret-key.ts'
import { Turns } from './turns.ts'

/** How many keys an account may have that are neither revoked nor expired. */
export const MAX_ACTIVE_KEYS = 500
/** The seven UTC days that end with today. */
const TRAILING_DAYS = 7
const MAX_ID_CHARS = 128

/** What may be changed of a key. Caps are nano-dollars per period, null is none; VCU is shown and never reached. */
export type KeySettings = {
  readonly description: string
  readonly period: CapPeriod
  readonly usd: Amount | null
  readonly diem: Amount | null
  readonly vcu: Amount | null
  readonly modelPrivacy: ModelPrivacy
  /** The only models it may use, by id; null is all. */
  readonly models: readonly string[] | null
  /** Wall time in ms since 1970; null is never. */
  readonly expiresAt: number | null
}

export type NewKey = KeySettings & { readonly scope: KeyScope }

/** A key whose text exists in this moment only. */
export type MadeKey = { readonly key: SecretKey; readonly row: KeyRow }

/** A key with what it has spent: in the trailing seven UTC days, and in the period of its caps. */
export type SpentKey = { readonly row: KeyRow; readonly trailing: KeySpend; readonly period: KeySpend }

type KeyringStore = Pick<Store, 'key' | 'keysOf' | 'insertKey' | 'replaceKey' | 'spentByKey' | 'spentByKeys' | 'insertAudit'>

export type KeyringOptions = {
  readonly store: KeyringStore
  readonly clock: Clock
  readonly keys: Pick<Keys, 'invalidate' | 'flush'>
  /** Whether the catalogue has a model of exactly this id. */
  readonly knowsModel: (id: string) => boolean
  /** Counts a key that an account is about to make; rejects with a 429 where its plan lets it make no more just now. */
  readonly admit: (accountId: string) => Promise<void>
}

export class Keyring {
  readonly #store: KeyringStore
  readonly #clock: Clock
  readonly #keys: KeyringOptions['keys']
  readonly #knowsModel: (id: string) => boolean
  readonly #turns = new Turns()
  readonly #admit: KeyringOptions['admit']

  constructor({ store, clock, keys, knowsModel, admit }: KeyringOptions) {
    this.#store = store
    this.#clock = clock
    this.#keys = keys
    this.#knowsModel = knowsModel
    this.#admit = admit
  }

  /**
   * Makes a key; `by` is the id of the key that asks for it. Rejects with a 400 that names what is wrong or says that the
   * account has as many keys as it may, and with a 429 for an account that makes them too fast.
   */
  async create(accountId: string, by: string, wanted: NewKey): Promise<MadeKey> {
    this.#check(wanted)
    await this.#admit(accountId)
    return this.#turns.take(accountId, async () => {
      await this.#makeRoom(accountId, by)
      const key = SecretKey.mint()
      const row: KeyRow = {
        id: this.#clock.id(),
        accountId,
        hash: key.hash,
        last6: key.last6,
        scope: wanted.scope,
        description: wanted.description,
        caps: { period: wanted.period, usd: wanted.usd, diem: wanted.diem },
        capVcuNano: wanted.vcu,
        modelPrivacy: wanted.modelPrivacy,
        models: wanted.models,
        createdAt: this.#clock.now(),
        expiresAt: wanted.expiresAt,
        revokedAt: null,
        lastUsedAt: null,
      }
      await this.#note(row, by, 'key.create', { type: wanted.scope })
      if (!(await this.#store.insertKey(row))) throw fail('UNKNOWN_ERROR', { internal: 'the id of a new key is taken' })
      return { key, row }
    })
  }

  /** The keys that are not revoked, newest first. Expired ones are among them: they can be extended. */
  async list(accountId: string): Promise<SpentKey[]> {
    await this.#keys.flush()
    const today = dayOf(this.#clock.now())
    const [rows, trailing] = await Promise.all([
      this.#store.keysOf(accountId),
      this.#store.spentByKeys(accountId, today - TRAILING_DAYS + 1),
    ])
    const days = [...new Set(rows.map(({ caps }) => firstDayOf(caps.period, today)))]
    const sums = await Promise.all(days.map(async (day) => [day, await this.#store.spentByKeys(accountId, day)] as const))
    const byDay = new Map(sums)
    return rows.map((row) => ({
      row,
      trailing: trailing.get(row.id) ?? NOTHING,
      period: byDay.get(firstDayOf(row.caps.period, today))?.get(row.id) ?? NOTHING,
    }))
  }

  /** Rejects with `NOT_FOUND` where the account has no such key, or has revoked it. */
  async get(accountId: string, id: string): Promise<SpentKey> {
    await this.#keys.flush()
    const row = await this.#own(accountId, id)
    const today = dayOf(this.#clock.now())
    const [trailing, period] = await Promise.all([
      this.#store.spentByKey(id, today - TRAILING_DAYS + 1),
      this.#store.spentByKey(id, firstDayOf(row.caps.period, today)),
    ])
    return { row, trailing, period }
  }

  /** Changes what is named and leaves the rest. Rejects with `NOT_FOUND`, or with a 400 that names what is wrong. */
  change(accountId: string, by: string, id: string, changes: Partial<KeySettings>): Promise<KeyRow> {
    return this.#turns.take(accountId, async () => {
      const before = await this.#own(accountId, id)
      this.#check(changes)
      const { period = before.caps.period, usd = before.caps.usd, diem = before.caps.diem, vcu = before.capVcuNano, ...rest } = changes
      const row: KeyRow = { ...before, ...rest, caps: { period, usd, diem }, capVcuNano: vcu }
      await this.#note(row, by, 'key.change', { fields: Object.keys(changes).sort().join(' ') })
      await this.#replace(row)
      return row
    })
  }

  /** Ends a key for good, with its earlier secret. Rejects with `NOT_FOUND`. */
  revoke(accountId: string, by: string, id: string): Promise<void> {
    return this.#turns.take(accountId, async () => {
      const row = await this.#own(accountId, id)
      await this.#note(row, by, 'key.revoke', {})
      await this.#replace({ ...row, revokedAt: this.#clock.now() })
    })
  }

  /**
   * Gives a key another secret. It stays the same key: its id, its settings and what it has spent go on. The secret that it
   * had works for `graceMs` more; one that was still in its grace time from the rotation before ends at once. A crash leaves
   * the secret of before in force, never none. Rejects with `NOT_FOUND`, and with a 400 for what cannot be rotated.
   */
  rotate(accountId: string, by: string, id: string, graceMs: number): Promise<MadeKey & { readonly earlierUntil: number }> {
    return this.#turns.take(accountId, async () => {
      const before = await this.#own(accountId, id)
      const now = this.#clock.now()
      if (id === ENVIRONMENT_KEY) throw failField('id', 'this key is set by RIALTO_ADMIN_KEY; change it there and start the server again')
      if (before.expiresAt !== null && before.expiresAt <= now)
        throw failField('id', 'this key has expired; give it another expiresAt first')
      const key = SecretKey.mint()
      const row: KeyRow = { ...before, hash: key.hash, last6: key.last6 }
      const earlierUntil = Math.min(now + graceMs, before.expiresAt ?? Infinity)
      const earlier = earlierRow(before, now, earlierUntil)
      await this.#note(row, by, 'key.rotate', { graceMs })
      // The key's own row changes last, in one write: until then its secret is what it was.
      if (await this.#store.key(earlier.id)) await this.#store.replaceKey(earlier)
      else await this.#store.insertKey(earlier)
      await this.#replace(row)
      return { key, row, earlierUntil }
    })
  }

  async #own(accountId: string, id: string): Promise<KeyRow> {
    const row = id.length <= MAX_ID_CHARS ? await this.#store.key(id) : null
    if (row === null || row.accountId !== accountId || row.revokedAt !== null) throw notThere()
    return row
  }

  async #replace(row: KeyRow): Promise<void> {
    try {
      await this.#store.replaceKey(row)
    } finally {
      // Where it is not known whether it was written, memory is not to be believed either.
      this.#keys.invalidate({ keyId: row.id })
    }
  }

  #check({ expiresAt, models }: Partial<KeySettings>): void {
    if (typeof expiresAt === 'number' && expiresAt <= this.#clock.now())
      throw failField('expiresAt', 'is in the past; a key ends in the future')
    for (const [index, id] of (models ?? []).entries()) {
      if (!this.#knowsModel(id)) throw failField(`models.${index}`, 'there is no model with this id; GET /models?type=all lists them')
    }
  }

  /** Where an account is full, an expired key gives its place up: it can only be extended, and the longest expired is missed least. */
  async #makeRoom(accountId: string, by: string): Promise<void> {
    const rows = await this.#store.keysOf(accountId)
    if (rows.length < MAX_ACTIVE_KEYS) return
    const now = this.#clock.now()
    let gone: KeyRow | null = null
    for (const row of rows) {
      if (row.expiresAt !== null && row.expiresAt <= now && row.expiresAt < (gone?.expiresAt ?? Infinity)) gone = row
    }
    if (gone === null) throw full()
    await this.#note(gone, by, 'key.revoke', { expired: true })
    await this.#replace({ ...gone, revokedAt: now })
  }

  #note(row: KeyRow, byKeyId: string, action: string, details: AuditRow['details']): Promise<void> {
    return this.#store.insertAudit({
      at: this.#clock.now(),
      byKeyId,
      action,
      object: row.id,
      details: { account: row.accountId, ...details },
    })
  }
}

const NOTHING: KeySpend = { usd: 0n, diem: 0n }

/** The first UTC day of the period that today is in, as days since 1970. */
function firstDayOf(period: CapPeriod, today: number): number {
  switch (period) {
    case 'EPOCH':
      return today
    case 'MONTH':
      return monthStartOf(today)
    case 'LIFETIME':
      return 0
  }
}

const notThere = (): Failure => fail('NOT_FOUND', { say: 'There is no such API key', param: 'id', internal: 'unknown key id' })

const full = (): Failure =>
  fail('INVALID_REQUEST', {
    say: `Invalid request parameters: an account has ${MAX_ACTIVE_KEYS} active API keys at most; delete one that is not needed`,
    internal: 'too many keys',
  })
