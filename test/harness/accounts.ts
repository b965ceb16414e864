/** Gives a running (or stopped) Rialto an account with a key, straight into its database: what an operator's console will do. */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { bookOf } from '../../src/core/book.ts'
import type { KeyScope, ModelPrivacy, SpendCaps } from '../../src/core/call.ts'
import type { Amount } from '../../src/core/money.ts'
import type { KeyRow } from '../../src/core/store.ts'
import { OPERATOR_ACCOUNT } from '../../src/keys/first-key.ts'
import { SecretKey } from '../../src/keys/secret-key.ts'
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts'

export type AccountOptions = {
  readonly plan?: string
  readonly scope?: KeyScope
  /** What it has, in nano-dollars; bundled credits likewise, and the DIEM of each day. */
  readonly balanceNano?: Amount
  readonly bundledNano?: Amount
  readonly diemNano?: Amount
  readonly caps?: SpendCaps
  readonly modelPrivacy?: ModelPrivacy
  readonly models?: readonly string[] | null
}

export const NO_CAPS: SpendCaps = { period: 'LIFETIME', usd: null, diem: null }

export type GivenAccount = { readonly id: string; readonly key: string }

/** A new account that may not go below zero. */
export async function giveAccount(home: string, options: AccountOptions = {}): Promise<GivenAccount> {
  const { plan = 'default', scope = 'INFERENCE', balanceNano = 0n, bundledNano = 0n, diemNano = 0n } = options
  const { caps = NO_CAPS, modelPrivacy = 'ALL', models = null } = options
  const id = `test-${randomBytes(8).toString('hex')}`
  const key = SecretKey.mint()
  const at = Date.now()

  const store = await openSqliteStore(join(home, 'rialto.db'))
  try {
    await store.migrate()
    const account = { id, name: id, plan, creditNano: 0n, diemAllowanceNano: diemNano, wallet: null, createdAt: at, closedAt: null }
    await store.insertAccount(account)
    await store.insertKey({ ...rowOf(id, id, key, at), scope, caps, modelPrivacy, models })
    const paid = [
      { currency: 'USD', fromBook: 'bank', amount: balanceNano },
      { currency: 'BUNDLED_CREDITS', fromBook: 'bank:bundled', amount: bundledNano },
    ] as const
    await store.commit(
      paid
        .filter(({ amount }) => amount > 0n)
        .map((one) => ({ ...one, id: `topup:bank:${id}:${one.currency}`, at, toBook: bookOf(id, one.currency, 0), kind: 'topup' })),
    )
  } finally {
    await store.close()
  }
  return { id, key: key.reveal() }
}

/** The same; resolves with its key. */
export async function giveKey(home: string, options: AccountOptions = {}): Promise<string> {
  return (await giveAccount(home, options)).key
}

/** One more key of the operator that nobody holds, for what changes or ends one; resolves with its id. */
export async function giveSpareKey(home: string): Promise<string> {
  const id = `spare-${randomBytes(8).toString('hex')}`
  const store = await openSqliteStore(join(home, 'rialto.db'))
  try {
    await store.insertKey(rowOf(id, OPERATOR_ACCOUNT, SecretKey.mint(), Date.now()))
  } finally {
    await store.close()
  }
  return id
}

const rowOf = (id: string, accountId: string, key: SecretKey, at: number): KeyRow => ({
  id,
  accountId,
  hash: key.hash,
  last6: key.last6,
  scope: 'INFERENCE',
  description: 'for a test',
  caps: NO_CAPS,
  capVcuNano: null,
  modelPrivacy: 'ALL',
  models: null,
  createdAt: at,
  expiresAt: null,
  revokedAt: null,
  lastUsedAt: null,
})
