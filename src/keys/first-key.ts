/** The first start's key: without it nobody could ever come in. */
import type { Clock } from '../core/clock.ts'
import type { AccountRow, KeyRow, Store } from '../core/store.ts'
import { SecretKey } from './secret-key.ts'

/** The account of who runs the server, and its plan: without limits and without a bottom. */
export const OPERATOR_ACCOUNT = 'operator'
export const OPERATOR_PLAN = 'operator'

/** Fixed ids, so that processes that start at the same time agree on one row. */
const GENERATED_KEY = 'first'
export const ENVIRONMENT_KEY = 'environment'

type FirstKeyStore = Pick<Store, 'account' | 'insertAccount' | 'replaceAccount' | 'countKeys' | 'keyByHash' | 'insertKey' | 'replaceKey'>

export type FirstKeyOptions = {
  /** The key that the operator chose, or null; 16 to 256 visible ASCII characters, checked when it is read. */
  readonly fromEnv: string | null
  readonly clock: Clock
}

/**
 * Makes sure that the operator can come in. With a key from the environment exactly that key is valid afterwards, at
 * every start (and the one that was given so before no longer is). Without, one is made when there is no key at all.
 * Returns a key only when it was made just now: it can be shown this once.
 */
export async function ensureFirstKey(store: FirstKeyStore, { fromEnv, clock }: FirstKeyOptions): Promise<SecretKey | null> {
  await store.insertAccount(operatorRow(clock))
  if (fromEnv !== null) {
    const account = await store.account(OPERATOR_ACCOUNT)
    if (account !== null && account.closedAt !== null) await store.replaceAccount({ ...account, closedAt: null })
    await ensureEnvironmentKey(store, new SecretKey(fromEnv), clock)
    return null
  }
  if ((await store.countKeys()) > 0) return null
  const key = SecretKey.mint()
  const row = adminRow(GENERATED_KEY, key, 'Made at the first start', clock)
  // Another process that started at the same time may have been faster; then it shows its own.
  return (await store.insertKey(row)) ? key : null
}

async function ensureEnvironmentKey(store: FirstKeyStore, key: SecretKey, clock: Clock): Promise<void> {
  const row = adminRow(ENVIRONMENT_KEY, key, 'From the environment', clock)
  const same = await store.keyByHash(key.hash)
  if (same) {
    const valid = same.scope === 'ADMIN' && same.revokedAt === null && (same.expiresAt === null || same.expiresAt > clock.now())
    if (!valid) await store.replaceKey({ ...same, scope: 'ADMIN', revokedAt: null, expiresAt: null })
    // It came in another way before; what the environment said last is over all the same.
    if (same.id !== ENVIRONMENT_KEY) await store.replaceKey({ ...row, ...blank(), revokedAt: clock.now() })
    return
  }
  if (!(await store.insertKey(row))) await store.replaceKey(row)
}

/** The hash of a key that nobody has. */
function blank(): Pick<KeyRow, 'hash' | 'last6'> {
  const { hash, last6 } = SecretKey.mint()
  return { hash, last6 }
}

const operatorRow = (clock: Clock): AccountRow => ({
  id: OPERATOR_ACCOUNT,
  name: 'Operator',
  plan: OPERATOR_PLAN,
  creditNano: null,
  diemAllowanceNano: 0n,
  wallet: null,
  createdAt: clock.now(),
  closedAt: null,
})

const adminRow = (id: string, key: SecretKey, description: string, clock: Clock): KeyRow => ({
  id,
  accountId: OPERATOR_ACCOUNT,
  hash: key.hash,
  last6: key.last6,
  scope: 'ADMIN',
  description,
  caps: { period: 'EPOCH', usd: null, diem: null },
  capVcuNano: null,
  modelPrivacy: 'ALL',
  models: null,
  createdAt: clock.now(),
  expiresAt: null,
  revokedAt: null,
  lastUsedAt: null,
})
