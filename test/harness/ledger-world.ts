/**
 * A ledger over a real database file, next to the reference ledger, and chance: every step is done by both, and what can be
 * seen of the one must be what the other says. The database can be away, answer nothing though it did what it was asked, and
 * its journal's disk can be full; the process can die at any moment.
 */
import { deepEqual, equal, ok } from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { bookOf, dayOf } from '../../src/core/book.ts'
import { Failure } from '../../src/core/errors.ts'
import type { Line } from '../../src/core/money.ts'
import type { Store } from '../../src/core/store.ts'
import { Ledger } from '../../src/money/ledger.ts'
import type { Hold } from '../../src/money/ledger.ts'
import { openSqliteStore } from '../../src/store/sqlite/sqlite-store.ts'
import { Chance } from './chance.ts'
import { type Weather, faulty } from './faulty-store.ts'
import { ACCOUNTS, ALLOWANCES, CALLERS, CREDITS, CURRENCIES, DIEM, callerOf } from './ledger-cast.ts'
import { type Currency, type ReferenceCaller, ReferenceLedger } from './reference-ledger.ts'

const DAY_MS = 86_400_000
const FACTS = { model: 'm', modality: 'text', executionMs: 1 } as const

type Uncertain = { readonly id: string; readonly account: string; readonly apply: () => void }

export class LedgerWorld {
  readonly #chance: Chance
  readonly #folder = mkdtempSync(join(tmpdir(), 'rialto-world-'))
  readonly #reference = new ReferenceLedger()
  readonly #holds = new Map<string, Hold>()
  readonly #ended: Hold[] = []
  /** Movements that were asked for and not confirmed, and what they come to where they were written all the same. */
  #uncertain: Uncertain[] = []
  /** Runs whose charge only the memory has. */
  readonly #unnoted = new Set<string>()
  readonly counts: Record<string, number> = {}
  #store: Store | null = null
  #ledger: Ledger | null = null
  #reader: DatabaseSync | null = null
  #life = 0
  #commits = 0
  #checked = -1
  #weather: Weather = 'fine'
  #at = Date.UTC(2026, 0, 30, 12)
  #price = 3
  #next = 0

  constructor(seed: number) {
    this.#chance = new Chance(seed)
  }

  async open(): Promise<void> {
    await this.#start()
    const store = this.#theStore
    for (const [i, id] of ACCOUNTS.entries()) {
      const credit = CREDITS[i] ?? null
      const allowance = ALLOWANCES[i] ?? 0
      this.#reference.credit.set(id, credit)
      this.#reference.allowance.set(id, allowance)
      const creditNano = credit === null ? null : BigInt(credit)
      const row = { id, name: id, plan: 'default', creditNano, diemAllowanceNano: BigInt(allowance), wallet: null }
      await store.insertAccount({ ...row, createdAt: 1, closedAt: null })
    }
    this.#reader = new DatabaseSync(this.#file, { readOnly: true, readBigInts: true })
    for (const account of ACCOUNTS) await this.#theLedger.balances(account)
  }

  /** One step of chance, done by both, and compared. */
  async step(): Promise<void> {
    const [name, deed] = this.#pick()
    this.counts[name] = (this.counts[name] ?? 0) + 1
    const account = await deed()
    await this.#check(account ?? this.#chance.one(ACCOUNTS))
  }

  /** Everything ends, and the database is compared with all that ever happened. */
  async finish(): Promise<void> {
    this.#weather = 'fine'
    for (const hold of this.#holds.values()) this.#release(hold)
    await this.#theLedger.flush()
    deepEqual(this.#theLedger.status, { openHolds: 0, unwritten: 0, storeAway: false })
    for (const account of ACCOUNTS) await this.#reload(account)
    for (const account of ACCOUNTS) await this.#check(account)
    const { differences } = await this.#theStore.tally()
    deepEqual(differences, [])
    for (const { id, parts } of this.#reference.paid) await this.#compareRun(id, parts)
    for (const account of ACCOUNTS) {
      this.#reference.bringIn(account, this.#day)
      for (const currency of ['BUNDLED_CREDITS', 'USD'] as const)
        equal(await this.#theStore.balance(bookOf(account, currency, 0)), BigInt(this.#reference.balance(account, currency, this.#day)))
    }
    for (const which of ['a', 'b']) equal(readFileSync(`${this.#file}.notes-${which}`, 'utf8'), '')
  }

  async close(): Promise<void> {
    this.#life++
    this.#reader?.close()
    await this.#store?.close()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  get #file(): string {
    return join(this.#folder, 'rialto.db')
  }
  get #day(): number {
    return dayOf(this.#at)
  }
  get #theLedger(): Ledger {
    if (!this.#ledger) throw new Error('not open')
    return this.#ledger
  }
  get #theStore(): Store {
    if (!this.#store) throw new Error('not open')
    return this.#store
  }

  #pick(): readonly [string, () => Promise<string | void>] {
    const steps = [
      [300, 'hold', () => this.#hold()],
      [230, 'settle', () => this.#settle()],
      [40, 'release', async () => this.#release(this.#someHold())],
      [30, 'settle again', async () => this.#settleAgain()],
      [60, 'top up', () => this.#give('topup')],
      [30, 'grant', () => this.#give('grant')],
      [30, 'take back', () => this.#takeBack()],
      [25, 'refund', () => this.#refund()],
      [10, 'allowance', () => this.#setAllowance()],
      [30, 'price', async () => void (this.#price = 1 + this.#below(9))],
      [60, 'time', async () => void (this.#at += this.#below(3_600_000))],
      [8, 'epoch', async () => void (this.#at += DAY_MS)],
      [1, 'month', async () => void (this.#at += 31 * DAY_MS)],
      [40, 'flush', () => this.#theLedger.flush().catch(() => undefined)],
      [10, 'reload', () => this.#reload(this.#chance.one(ACCOUNTS))],
      [20, 'weather', async () => void (this.#weather = this.#chance.one(['fine', 'fine', 'away', 'silent', 'full']))],
      [3, 'crash', () => this.#crash()],
    ] as const
    let at = this.#below(steps.reduce((sum, [weight]) => sum + weight, 0))
    for (const [weight, name, deed] of steps) {
      if (at < weight) return [name, deed]
      at -= weight
    }
    throw new Error('no step')
  }

  async #hold(): Promise<string> {
    const caller = this.#caller()
    const wanted = this.#amount(600)
    const least = this.#chance.one([wanted, this.#below(wanted + 1)])
    const id = `r${this.#next++}`
    let hold: Hold | null = null
    try {
      hold = await this.#theLedger.hold(id, callerOf(caller), BigInt(wanted), BigInt(least))
    } catch (error) {
      ok(error instanceof Failure)
      // Whose account is not in memory while the database is away is told to come again.
      if (error.status === 503) return caller.account
      equal(error.status, 402)
    }
    const parts = this.#reference.hold(id, caller, wanted, least, this.#day)
    const seen = hold && { diem: Number(hold.diem), bundled: Number(hold.bundled), usd: Number(hold.usd) }
    deepEqual(seen, parts)
    if (hold) this.#holds.set(id, hold)
    return caller.account
  }

  /** A run ends well, or breaks off with less, or an engine counts nonsense. */
  async #settle(): Promise<string | void> {
    const hold = this.#someHold()
    if (!hold) return
    const lines = this.#lines(hold)
    const cost = lines.reduce((sum, { amount }) => sum + (amount > 0n ? Number(amount) : 0), 0)
    const full = this.#weather === 'full'

    const charged = this.#theLedger.settle(hold, lines, FACTS)
    const parts = this.#reference.settle(hold.requestId, lines.length === 0 ? 0 : cost, this.#day)

    deepEqual(charged, { usd: BigInt(parts.usd + parts.bundled), diem: BigInt(parts.diem) })
    if (full && lines.length > 0) this.#unnoted.add(hold.requestId)
    this.#holds.delete(hold.requestId)
    this.#ended.push(hold)
    return hold.account.id
  }

  #lines(hold: Hold): Line[] {
    const price = this.#price
    return Array.from({ length: this.#below(4) }, (_, i) => {
      const most = Math.ceil(Number(hold.amount) / price)
      const count = this.#chance.one([this.#below(20), this.#below(most + 2), 0, -3])
      return { unit: i === 0 ? 'inputToken' : 'outputToken', count, priceNano: price, amount: BigInt(count * price) }
    })
  }

  /** Whatever comes later changes nothing about a hold that has ended. */
  #settleAgain(): string | void {
    const hold = this.#ended[this.#below(Math.max(1, this.#ended.length))]
    if (!hold) return
    const before = hold.charged
    deepEqual(this.#theLedger.settle(hold, [{ unit: 'call', count: 5, priceNano: 1, amount: 5n }], FACTS), before)
    this.#theLedger.release(hold)
    deepEqual(hold.charged, before)
  }

  #release(hold: Hold | undefined): string | void {
    if (!hold) return
    this.#theLedger.release(hold)
    this.#reference.release(hold.requestId)
    this.#holds.delete(hold.requestId)
    this.#ended.push(hold)
    return hold.account.id
  }

  async #give(kind: 'topup' | 'grant'): Promise<string> {
    const account = this.#chance.one(ACCOUNTS)
    const currency = kind === 'topup' ? this.#chance.one(['USD', 'BUNDLED_CREDITS'] as const) : this.#chance.one(CURRENCIES)
    const amount = 1 + this.#below(2_000)
    const again = this.#reference.moved.filter(({ id }) => id.startsWith(kind))
    const repeated = this.#below(4) === 0 ? this.#chance.of(again) : undefined
    const id = repeated?.id ?? (kind === 'topup' ? `topup:bank:p${this.#next++}` : `grant:g${this.#next++}`)
    const own = id.slice(id.lastIndexOf(':') + 1)
    const day = this.#day
    const apply = (): void => this.#reference.move(id, account, currency, amount, day)
    try {
      if (kind === 'grant') await this.#theLedger.grant(account, currency, BigInt(amount), own)
      else await this.#theLedger.topUp(account, BigInt(amount), 'bank', own, currency === 'DIEM' ? 'USD' : currency)
    } catch {
      this.#uncertain.push({ id, account, apply })
      return account
    }
    // Another try of the same may have been written before without an answer.
    this.#findOut(account, id)
    apply()
    return account
  }

  async #takeBack(): Promise<string> {
    const account = this.#chance.one(ACCOUNTS)
    const currency = this.#chance.one(CURRENCIES)
    const amount = 1 + this.#below(800)
    const id = `t${this.#next++}`
    const possible = this.#reference.takeBackIsPossible(account, currency, amount, this.#day)
    let failure: unknown = null
    await this.#theLedger.takeBack(account, currency, BigInt(amount), id).catch((error: unknown) => (failure = error))
    // It asks first; what cannot be written afterwards waits, and is taken already.
    if (this.#weather === 'away') return account
    if (failure instanceof Failure && failure.code === 'INSUFFICIENT_BALANCE') {
      equal(possible, false)
      return account
    }
    equal(possible, true)
    if (currency === 'DIEM') this.#reference.bringIn(account, this.#day)
    this.#reference.move(`takeback:${id}`, account, currency, -amount, this.#day)
    return account
  }

  async #refund(): Promise<string | void> {
    const run = this.#chance.of(this.#reference.paid)
    if (!run) return
    const apply = (): void => this.#reference.refund(run.id)
    try {
      await this.#theLedger.refund(run.id)
    } catch (error) {
      // A run without a line has no charge to give back.
      if (error instanceof Failure && error.code === 'INVALID_REQUEST') return
      for (const currency of CURRENCIES) this.#uncertain.push({ id: `refund:${run.id}:${currency}`, account: run.account, apply })
      return run.account
    }
    this.#findOut(run.account, null)
    apply()
    return run.account
  }

  async #setAllowance(): Promise<string> {
    const account = this.#chance.one(ACCOUNTS)
    const nano = this.#chance.one([0, DIEM - 1, DIEM, 2 * DIEM, 3 * DIEM])
    const failed = await this.#theLedger.setAllowance(account, BigInt(nano)).then(
      () => false,
      () => true,
    )
    equal(failed, this.#weather === 'away')
    if (!failed) this.#reference.allowance.set(account, nano)
    return account
  }

  async #reload(account: string): Promise<string> {
    const read = await this.#theLedger.reload(account).then(
      () => true,
      () => false,
    )
    // The first read of an account that is not in memory comes with the comparison, and finds the same.
    if (read) this.#findOut(account, null)
    return account
  }

  /** The ledger read the account again: what was written without an answer is in it now. */
  #findOut(account: string, besides: string | null): void {
    const rest: Uncertain[] = []
    for (const one of this.#uncertain) {
      if (one.account !== account) rest.push(one)
      else if (one.id !== besides && this.#isWritten(one.id)) one.apply()
      else if (one.id === besides) one.apply()
      else rest.push(one)
    }
    this.#uncertain = rest
  }

  /** The memory is gone; what was noted or written is there, to the nano-dollar, and no hold is. */
  async #crash(): Promise<void> {
    this.#life++
    const { held, paid } = this.#reference
    held.length = 0
    this.#holds.clear()
    this.#ended.length = 0
    await this.#theStore.close()
    this.#weather = 'fine'
    await this.#start()
    for (const account of ACCOUNTS) this.#findOut(account, null)
    for (const id of this.#unnoted) {
      const at = paid.findIndex((run) => run.id === id)
      if (at >= 0 && (await this.#theStore.usageOf(id)).length === 0) paid.splice(at, 1)
    }
    this.#unnoted.clear()
    this.#reference.forgetTaken((id) => this.#isWritten(id))
    for (const account of ACCOUNTS)
      this.#reference.forgetBroughtIn(account, this.#day, Number(await this.#theStore.minted(bookOf(account, 'DIEM', this.#day))))
    // From here on what is written without an answer is not in the ledger's memory until it reads the account again.
    for (const account of ACCOUNTS) await this.#theLedger.balances(account)
  }

  async #check(account: string): Promise<void> {
    const ledger = this.#theLedger
    const reference = this.#reference
    equal(ledger.status.openHolds, reference.held.length)
    if (this.#checked !== this.#commits) this.#checkBooks()
    if (this.#weather === 'away') return
    const balances = await ledger.balances(account)
    const day = this.#day
    for (const currency of CURRENCIES) {
      const balance = reference.balance(account, currency, day)
      const held = balance - reference.free(account, currency, day)
      deepEqual([currency, balances[currency].balance, balances[currency].held], [currency, BigInt(balance), BigInt(held)])
      const credit = currency === 'USD' ? reference.credit.get(account) : 0
      if (typeof credit === 'number') ok(balance - held >= -credit, `${currency} of ${account} is below its credit`)
    }
    const caller = this.#caller()
    const spent = reference.spent(caller.key, caller.period, day, false)
    deepEqual(await ledger.spent(caller.key, caller.period), { usd: BigInt(spent.usd), diem: BigInt(spent.diem) })
  }

  #checkBooks(): void {
    this.#checked = this.#commits
    const sums = this.#reader?.prepare('SELECT currency, sum(balance) AS sum FROM book GROUP BY currency').all() ?? []
    for (const { currency, sum } of sums) deepEqual([currency, sum], [currency, 0n])
  }

  async #compareRun(id: string, parts: { readonly diem: number; readonly bundled: number; readonly usd: number }): Promise<void> {
    const rows = await this.#theStore.usageOf(id)
    const of = (currency: Currency): number =>
      rows.reduce((sum, { line }) => (line.currency === currency ? sum + Number(line.amount) : sum), 0)
    deepEqual({ diem: of('DIEM'), bundled: of('BUNDLED_CREDITS'), usd: of('USD') }, parts)
  }

  #isWritten(id: string): boolean {
    return this.#reader?.prepare('SELECT 1 FROM transfer WHERE id = ?').get(id) !== undefined
  }

  async #start(): Promise<void> {
    const store = await openSqliteStore(this.#file)
    await store.migrate()
    this.#store = store
    this.#commits++
    const life = this.#life
    const guarded = faulty(store, {
      weather: () => this.#weather,
      isDead: () => life !== this.#life,
      committed: () => void this.#commits++,
    })
    this.#ledger = new Ledger({ store: guarded, clock: { now: () => this.#at } })
  }

  #caller(): ReferenceCaller {
    const caller = this.#chance.of(CALLERS)
    if (!caller) throw new Error('nobody')
    return caller
  }

  #someHold(): Hold | undefined {
    return this.#chance.of([...this.#holds.values()])
  }

  /** Small ones as a rule; some that DIEM is for. */
  #amount(below: number): number {
    return this.#below(5) === 0 ? this.#below(DIEM) : this.#below(below)
  }

  #below(limit: number): number {
    return this.#chance.below(limit)
  }
}
