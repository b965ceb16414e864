/** A store as a ledger sees it when things go wrong: away, silent about what it did, its journal's disk full, its process dead. */
import type { Store } from '../../src/core/store.ts'
import type { LedgerStore } from '../../src/money/ledger.ts'

export type Weather = 'fine' | 'away' | 'silent' | 'full'

export type Faults = { readonly weather: () => Weather; readonly isDead: () => boolean; readonly committed: () => void }

export function faulty(store: Store, { weather, isDead, committed }: Faults): LedgerStore {
  // Who waits for a dead process waits for ever.
  const never = new Promise<never>(() => undefined)
  const asked =
    <A extends unknown[], T>(call: (...args: A) => Promise<T>) =>
    async (...args: A): Promise<T> => {
      if (isDead()) return never
      if (weather() === 'away') throw new Error('away')
      return call(...args)
    }
  return {
    account: asked(store.account),
    changeAccount: asked(store.changeAccount),
    balance: asked(store.balance),
    minted: asked(store.minted),
    spentByKey: asked(store.spentByKey),
    hasTransfer: asked(store.hasTransfer),
    usageOf: asked(store.usageOf),
    note(settlement) {
      if (weather() === 'full') throw new Error('full')
      store.note(settlement)
    },
    commit: asked(async (settlements) => {
      await store.commit(settlements)
      committed()
      if (weather() === 'silent') throw new Error('no answer')
    }),
  }
}
