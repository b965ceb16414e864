/** Keys and accounts for tests of this room: rows with all their fields, a clock that stands still, a store that can be away. */
import type { Caller } from '../core/call.ts'
import type { Clock } from '../core/clock.ts'
import { Failure } from '../core/errors.ts'
import type { AccountRow, KeyRow, Store } from '../core/store.ts'
import type { NewKey } from './keyring.ts'
import { Keys } from './keys.ts'
import { hashKey } from './secret-key.ts'

export const START = 1_763_880_000_000

export const accountRow = (fields: Partial<AccountRow> = {}): AccountRow => ({
  id: 'a1',
  name: 'Ada',
  plan: 'paid',
  creditNano: 0n,
  diemAllowanceNano: 0n,
  wallet: null,
  createdAt: START,
  closedAt: null,
  ...fields,
})

/** The row of the key with this text. */
export const keyRow = (key: string, fields: Partial<KeyRow> = {}): KeyRow => ({
  id: `id-${key}`,
  accountId: 'a1',
  hash: hashKey(key),
  last6: key.slice(-6),
  scope: 'INFERENCE',
  description: '',
  caps: { period: 'EPOCH', usd: null, diem: null },
  capVcuNano: null,
  modelPrivacy: 'ALL',
  models: null,
  createdAt: START,
  expiresAt: null,
  revokedAt: null,
  lastUsedAt: null,
  ...fields,
})

/** Time in ms since `START`, moved by the test; ids count up. */
export function standing(): { readonly time: { ms: number }; readonly clock: Clock } {
  const time = { ms: 0 }
  let ids = 0
  return { time, clock: { now: () => START + time.ms, tick: () => time.ms, id: () => (++ids).toString(16).padStart(32, '0') } }
}

/** Counts its reads, can be away, and can be held up. */
export class FakeStore implements Pick<Store, 'keyByHash' | 'key' | 'account' | 'touchKeys'> {
  readonly rows = new Map<string, KeyRow>()
  readonly accounts = new Map([['a1', accountRow()]])
  readonly touched: { readonly keyId: string; readonly at: number }[][] = []
  away = false
  reads = 0
  /** Reads that have begun wait for this. */
  gate: Promise<void> = Promise.resolve()

  add(key: string, fields: Partial<KeyRow> = {}): void {
    const row = keyRow(key, fields)
    this.rows.set(row.hash, row)
  }

  async keyByHash(hash: string): Promise<KeyRow | null> {
    if (!hash.startsWith('before:')) this.reads++
    const row = this.rows.get(hash) ?? null
    await this.#answering()
    return row
  }

  async key(id: string): Promise<KeyRow | null> {
    await this.#answering()
    return [...this.rows.values()].find((row) => row.id === id) ?? null
  }

  async account(id: string): Promise<AccountRow | null> {
    await this.#answering()
    return this.accounts.get(id) ?? null
  }

  async touchKeys(uses: readonly { readonly keyId: string; readonly at: number }[]): Promise<void> {
    await this.#answering()
    this.touched.push([...uses])
  }

  async #answering(): Promise<void> {
    await this.gate
    if (this.away) throw new Error('away')
  }
}

export function setUp() {
  const store = new FakeStore()
  const { time, clock } = standing()
  return { store, time, keys: new Keys(store, clock) }
}

/** Lets what runs in the background come to its end. */
export const settled = () => new Promise((resolve) => setImmediate(resolve))

/** What the verification came to: the caller, or the failure, thrown or rejected with. */
export async function outcome(keys: Keys, authorization?: string, apiKey?: string): Promise<Caller | Failure> {
  try {
    return await keys.verify(authorization, apiKey)
  } catch (error) {
    if (error instanceof Failure) return error
    throw error
  }
}

export const codeOf = async (keys: Keys, key: string) => {
  const result = await outcome(keys, `Bearer ${key}`)
  return result instanceof Failure ? result.code : result.keyId
}

export const WANTED: NewKey = {
  scope: 'INFERENCE',
  description: 'laptop',
  period: 'EPOCH',
  usd: null,
  diem: null,
  vcu: null,
  modelPrivacy: 'ALL',
  models: null,
  expiresAt: null,
}

/** The failure that this rejects with. */
export async function failureOf(work: Promise<unknown>): Promise<Failure> {
  const error: unknown = await work.then(
    () => null,
    (reason: unknown) => reason,
  )
  if (!(error instanceof Failure)) throw new Error(`a failure was expected, not ${String(error)}`)
  return error
}
