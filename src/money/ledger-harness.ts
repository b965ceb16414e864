/** What the tests of the ledger share: a store that can be away, and short ways to say who asks for how much. */
import type { Caller } from '../core/call.ts'
import { total } from '../core/money.ts'
import type { Amount, Line } from '../core/money.ts'
import type { AccountRow, Settlement } from '../core/store.ts'
import { Ledger } from './ledger.ts'
import type { Hold } from './ledger.ts'

export const FACTS = { model: 'm', modality: 'text', executionMs: 250 } as const
export const NOW = 1_763_880_000_000

/** A store that can be away, in both ways: before it wrote anything, and after it wrote everything. */
export class FakeStore {
  readonly accounts = new Map<string, AccountRow>()
  readonly written = new Map<string, Settlement>()
  readonly commits: number[] = []
  readonly books = new Map<string, Amount>()
  mode: 'there' | 'away' | 'silent' = 'there'
  reads = 0

  addAccount(id: string, creditNano: Amount | null = 0n): void {
    this.accounts.set(id, { id, name: id, plan: 'default', creditNano, createdAt: NOW })
  }

  async account(id: string) {
    this.reads++
    await this.#answer()
    return this.accounts.get(id) ?? null
  }

  async balance(book: string) {
    await this.#answer()
    return this.books.get(book) ?? 0n
  }

  async spentByKey(keyId: string) {
    await this.#answer()
    let spent = 0n
    for (const one of this.written.values()) if (one.kind === 'settle' && one.keyId === keyId) spent += total(one.lines)
    return spent
  }

  async commit(settlements: readonly Settlement[]) {
    await this.#answer()
    this.commits.push(settlements.length)
    for (const settlement of settlements) this.#write(settlement)
    if (this.mode === 'silent') throw new Error('no answer')
  }

  #write(settlement: Settlement): void {
    const { fromBook, toBook, amount } = settlement
    const id = settlement.kind === 'settle' ? `settle:${settlement.requestId}` : settlement.id
    if (this.written.has(id)) return
    this.written.set(id, settlement)
    this.books.set(fromBook, (this.books.get(fromBook) ?? 0n) - amount)
    this.books.set(toBook, (this.books.get(toBook) ?? 0n) + amount)
  }

  async #answer(): Promise<void> {
    await Promise.resolve()
    if (this.mode === 'away') throw new Error('away')
  }
}

export function setUp(balance: Amount = 1_000n, creditNano: Amount | null = 0n) {
  const store = new FakeStore()
  store.addAccount('a1', creditNano)
  if (balance !== 0n) store.books.set('account:a1', balance)
  const away: boolean[] = []
  const ledger = new Ledger({ store, clock: { now: () => NOW }, onStoreAway: (is) => away.push(is) })
  return { store, ledger, away }
}

export const callerOf = (accountId = 'a1', keyId = 'k1', spendCapNano: Amount | null = null): Caller => ({
  accountId,
  keyId,
  scope: 'INFERENCE',
  plan: 'default',
  spendCapNano,
})

export const CALLER = callerOf()

export const linesOf = (...amounts: Amount[]): Line[] =>
  amounts.map((amount, i) => ({ unit: i === 0 ? 'inputToken' : 'outputToken', count: Number(amount), priceNano: 1, amount }))

/** A hold of an account that is in memory: no promise. */
export function holdNow(ledger: Ledger, id: string, amount: Amount, caller = CALLER): Hold {
  const hold = ledger.hold(id, caller, amount)
  if (hold instanceof Promise) throw new Error('not in memory')
  return hold
}

export function settleMany(ledger: Ledger, from: number, to: number): void {
  for (let i = from; i < to; i++) ledger.settle(holdNow(ledger, `r${i}`, 1n), linesOf(1n), FACTS)
}

/** What the call throws or rejects with, or null. */
export async function refusalOf(call: () => unknown): Promise<unknown> {
  try {
    await call()
    return null
  } catch (error) {
    return error
  }
}
