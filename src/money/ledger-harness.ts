/** What the tests of the ledger share: a store that can be away, and short ways to say who asks for how much. */
import type { Caller } from '../core/call.ts'
import { bookOf, dayOf, revenueBook } from '../core/book.ts'
import type { Amount, Line } from '../core/money.ts'
import type { AccountRow, Bill, Settlement, UsageRow } from '../core/store.ts'
import { Ledger } from './ledger.ts'
import type { Hold } from './ledger.ts'

export const FACTS = { model: 'm', modality: 'text', executionMs: 250 } as const
export const NOW = 1_763_880_000_000
export const DAY_MS = 86_400_000
export const TODAY = dayOf(NOW)

/** A store that can be away, in both ways: before it wrote anything, and after it wrote everything; and whose disk can be full. */
export class FakeStore {
  readonly accounts = new Map<string, AccountRow>()
  readonly written = new Map<string, Settlement>()
  readonly commits: number[] = []
  readonly noted: Settlement[] = []
  readonly books = new Map<string, Amount>()
  mode: 'there' | 'away' | 'silent' = 'there'
  full = false
  reads = 0

  addAccount(id: string, creditNano: Amount | null = 0n, diemAllowanceNano: Amount = 0n): void {
    this.accounts.set(id, { id, name: id, plan: 'default', creditNano, diemAllowanceNano, wallet: null, createdAt: NOW, closedAt: null })
  }

  async account(id: string) {
    this.reads++
    await this.#answer()
    return this.accounts.get(id) ?? null
  }

  async changeAccount(id: string, fields: Partial<Omit<AccountRow, 'id'>>) {
    const row = await this.account(id)
    if (row) this.accounts.set(id, { ...row, ...fields })
    return row && { ...row, ...fields }
  }

  async balance(book: string) {
    await this.#answer()
    return this.books.get(book) ?? 0n
  }

  async minted(book: string) {
    await this.#answer()
    let sum = 0n
    for (const one of this.written.values()) if (one.kind === 'allowance' && one.toBook === book) sum += one.amount
    return sum
  }

  async hasTransfer(id: string) {
    await this.#answer()
    return this.written.has(id)
  }

  async spentByKey(keyId: string, fromDay: number) {
    await this.#answer()
    const spent = { usd: 0n, diem: 0n }
    for (const one of this.written.values()) {
      if (one.kind !== 'settle' || one.keyId !== keyId || one.diemDay < fromDay) continue
      for (const { currency, amount } of one.lines) spent[currency === 'DIEM' ? 'diem' : 'usd'] += amount
    }
    return spent
  }

  async usageOf(requestId: string): Promise<UsageRow[]> {
    await this.#answer()
    const bill = this.bill(requestId)
    return bill ? bill.lines.map((line) => ({ ...bill, line })) : []
  }

  note(settlement: Settlement) {
    if (this.full) throw new Error('full')
    this.noted.push(settlement)
  }

  async commit(settlements: readonly Settlement[]) {
    await this.#answer()
    this.commits.push(settlements.length)
    for (const settlement of settlements) this.#write(settlement)
    if (this.mode === 'silent') throw new Error('no answer')
  }

  /** The bill of a request, once it is written. */
  bill(requestId: string): Bill | null {
    const found = this.written.get(`settle:${requestId}`)
    return found?.kind === 'settle' ? found : null
  }

  #write(settlement: Settlement): void {
    const id = settlement.kind === 'settle' ? `settle:${settlement.requestId}` : settlement.id
    if (this.written.has(id)) return
    this.written.set(id, settlement)
    if (settlement.kind !== 'settle') {
      this.#move(settlement.fromBook, settlement.toBook, settlement.amount)
      return
    }
    for (const { currency, amount } of settlement.lines)
      this.#move(bookOf(settlement.accountId, currency, settlement.diemDay), revenueBook(currency), amount)
  }

  #move(from: string, to: string, amount: Amount): void {
    this.books.set(from, (this.books.get(from) ?? 0n) - amount)
    this.books.set(to, (this.books.get(to) ?? 0n) + amount)
  }

  async #answer(): Promise<void> {
    await Promise.resolve()
    if (this.mode === 'away') throw new Error('away')
  }
}

export type Given = { readonly balance?: Amount; readonly credit?: Amount | null; readonly bundled?: Amount; readonly diem?: Amount }

export function setUp(balance: Amount = 1_000n, creditNano: Amount | null = 0n) {
  return setUpWith({ balance, credit: creditNano })
}

/** An account a1 with purses; DIEM is its allowance of each day. */
export function setUpWith({ balance = 0n, credit = 0n, bundled = 0n, diem = 0n }: Given) {
  const store = new FakeStore()
  store.addAccount('a1', credit, diem)
  if (balance !== 0n) store.books.set('account:a1', balance)
  if (bundled !== 0n) store.books.set('bundled:a1', bundled)
  const away: boolean[] = []
  const alarms: string[] = []
  const clock = { at: NOW, now: () => clock.at }
  const ledger = new Ledger({ store, clock, onStoreAway: (is) => away.push(is), onAlarm: (what) => alarms.push(what) })
  return { store, ledger, away, alarms, clock }
}

export const callerOf = (accountId = 'a1', keyId = 'k1', caps: Partial<Caller['caps']> = {}): Caller => ({
  accountId,
  keyId,
  scope: 'INFERENCE',
  plan: 'default',
  caps: { period: 'LIFETIME', usd: null, diem: null, ...caps },
  modelPrivacy: 'ALL',
  models: null,
})

export const CALLER = callerOf()

export const linesOf = (...amounts: Amount[]): Line[] =>
  amounts.map((amount, i) => ({ unit: i === 0 ? 'inputToken' : 'outputToken', count: Number(amount), priceNano: 1, amount }))

/** A hold of an account that is in memory: no promise. */
export function holdNow(ledger: Ledger, id: string, amount: Amount, caller = CALLER, least = amount): Hold {
  const hold = ledger.hold(id, caller, amount, least)
  if (hold instanceof Promise) throw new Error('not in memory')
  return hold
}

export function settleMany(ledger: Ledger, from: number, to: number): void {
  for (let i = from; i < to; i++) ledger.settle(holdNow(ledger, `r${i}`, 1n), linesOf(1n), FACTS)
}

/** What an account has in dollars. */
export const dollarsOf = async (ledger: Ledger, accountId = 'a1'): Promise<Amount> => (await ledger.balances(accountId)).USD.balance

/** What the call throws or rejects with, or null. */
export async function refusalOf(call: () => unknown): Promise<unknown> {
  try {
    await call()
    return null
  } catch (error) {
    return error
  }
}
