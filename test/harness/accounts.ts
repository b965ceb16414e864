/** Gives a running (or stopped) Rialto an account with a key, straight into its database: what an operator's console will do. */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { KeyScope } from '../../src/core/call.ts'
import type { Amount } from '../../src/core/money.ts'
import { SecretKey } from '../../src/keys/secret-key.ts'
import { bookOf } from '../../src/money/books.ts'
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts'

export type AccountOptions = {
  readonly plan?: string
  readonly scope?: KeyScope
  /** What it has, in nano-dollars. */
  readonly balanceNano?: Amount
  readonly spendCapNano?: Amount | null
}

/** A new account that may not go below zero; resolves with its key. */
export async function giveKey(home: string, options: AccountOptions = {}): Promise<string> {
  const { plan = 'default', scope = 'INFERENCE', balanceNano = 0n, spendCapNano = null } = options
  const id = `test-${randomBytes(8).toString('hex')}`
  const key = SecretKey.mint()
  const at = Date.now()

  const store = await openSqliteStore(join(home, 'rialto.db'))
  try {
    await store.migrate()
    await store.insertAccount({ id, name: id, plan, creditNano: 0n, createdAt: at })
    const row = { id, accountId: id, hash: key.hash, last6: key.last6, scope, description: 'for a test', spendCapNano, createdAt: at }
    await store.insertKey({ ...row, expiresAt: null, revokedAt: null })
    if (balanceNano > 0n) {
      await store.commit([{ id: `topup:${id}`, at, fromBook: 'bank', toBook: bookOf(id), amount: balanceNano, kind: 'topup' }])
    }
  } finally {
    await store.close()
  }
  return key.reveal()
}
