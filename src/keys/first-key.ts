/** The first start's key: without it nobody could ever come in. */
import type { Clock } from '../core/clock.ts'
import type { AccountRow, KeyRow, Store } from '../core/store.ts'
import { MAX_KEY_CHARS, SecretKey } from './secret-key.ts'

/** The account of who runs the server, and its plan: without limits and without a bottom. */
export const OPERATOR_ACCOUNT = 'operator'
export const OPERATOR_PLAN = 'operator'

/** Below this a key from the environment could be guessed. */
export const MIN_ENVIRONMENT_KEY_CHARS = 16

/** Fixed ids, so that processes that start at the same time agree on one row. */
const GENERATED_KEY = 'first'
const ENVIRONMENT_KEY = 'environment'

export type FirstKeyOptions = {
  /** The key that the operator chose, checked by `environmentKeyProblem`. */
  readonly fromEnv: string | undefined
  readonly clock: Clock
}

/**
 * Makes sure that the operator can come in. With a key from the environment exactly that key is valid afterwards, at
 * every start (and the one that was given so before no longer is). Without, one is made when there is no key at all.
 * Returns a key only when it was made just now: it can be shown this once.
 */
export async function ensureFirstKey(store: Store, { fromEnv, clock }: FirstKeyOptions): Promise<SecretKey | null> {
  const account: AccountRow = { id: OPERATOR_ACCOUNT, name: 'Operator', plan: OPERATOR_PLAN, creditNano: null, createdAt: clock.now() }
  await store.insertAccount(account)
  if (fromEnv !== undefined) {
    await ensureEnvironmentKey(store, new SecretKey(fromEnv), clock)
    return null
  }
  if ((await store.countKeys()) > 0) return null
  const key = SecretKey.mint()
  const row = adminRow(GENERATED_KEY, key, 'Made at the first start', clock)
  // Another process that started at the same time may have been faster; then it shows its own.
  return (await store.insertKey(row)) ? key : null
}

/** What is wrong with a key from the environment, in words to go behind its name, or null. */
export function environmentKeyProblem(text: string): string | null {
  if (!/^[\x21-\x7e]+$/.test(text)) return 'must be made of visible ASCII characters, without spaces'
  if (text.length < MIN_ENVIRONMENT_KEY_CHARS) return `must have at least ${MIN_ENVIRONMENT_KEY_CHARS} characters`
  if (text.length > MAX_KEY_CHARS) return `must have at most ${MAX_KEY_CHARS} characters`
  return null
}

async function ensureEnvironmentKey(store: Store, key: SecretKey, clock: Clock): Promise<void> {
  const row = adminRow(ENVIRONMENT_KEY, key, 'From the environment', clock)
  const same = await store.keyByHash(key.hash)
  if (same) {
    const valid = same.scope === 'ADMIN' && same.revokedAt === null && (same.expiresAt === null || same.expiresAt > clock.now())
    if (!valid) await store.replaceKey({ ...same, scope: 'ADMIN', revokedAt: null, expiresAt: null })
    return
  }
  if (!(await store.insertKey(row))) await store.replaceKey(row)
}

const adminRow = (id: string, key: SecretKey, description: string, clock: Clock): KeyRow => ({
  id,
  accountId: OPERATOR_ACCOUNT,
  hash: key.hash,
  last6: key.last6,
  scope: 'ADMIN',
  description,
  spendCapNano: null,
  createdAt: clock.now(),
  expiresAt: null,
  revokedAt: null,
})
