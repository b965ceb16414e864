/**
 * The ledger over a real store, against a model, under anything: any interleaving of holds, settlements, releases and
 * top-ups over several accounts and keys, a store that fails before or after it wrote, and a process that dies.
 */
import { deepEqual, equal, ok } from 'node:assert/strict'
import * as fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Caller } from '../src/core/call.ts'
import type { Line } from '../src/core/money.ts'
import type { Settlement, Store } from '../src/core/store.ts'
import { Ledger } from '../src/money/ledger.ts'
import type { Hold, LedgerStore } from '../src/money/ledger.ts'
import { openSqliteStore } from '../src/store/sqlite/sqlite-store.ts'
import { LedgerWorld } from './harness/ledger-world.ts'

const CREDIT = { a0: 0n, a1: 700n, a2: null } as const
const ACCOUNTS = ['a0', 'a1', 'a2'] as const
type Account = (typeof ACCOUNTS)[number]

/** Two keys per account, the second of them with a cap. */
const CAP = 900n
const CALLERS: readonly Caller[] = ACCOUNTS.flatMap((accountId) =>
  [null, CAP].map((usd, i) => ({
    accountId,
    keyId: `${accountId}-k${i}`,
    scope: 'INFERENCE' as const,
    plan: 'default',
    caps: { period: 'LIFETIME' as const, usd, diem: null },
    modelPrivacy: 'ALL' as const,
    models: null,
  })),
)

/** How the store answers: at once, after a while, not at all, or not at all although it did what it was asked. */
type Weather = 'fine' | 'slow' | 'fails before' | 'fails after'

type Step =
  | { type: 'hold'; caller: number; amount: bigint; wait: boolean }
  | { type: 'settle'; pick: number; amounts: bigint[] }
  | { type: 'release'; pick: number }
  | { type: 'top up'; account: Account; amount: bigint; wait: boolean }
  | { type: 'top up again'; pick: number }
  | { type: 'time'; ms: number }
  | { type: 'weather'; weather: Weather }
  | { type: 'reload'; account: Account }
  | { type: 'crash' }

const amount = fc.bigInt({ min: 0n, max: 600n })
const positive = fc.bigInt({ min: 1n, max: 1_500n })
const pick = fc.nat(1_000)
const account = fc.constantFrom(...ACCOUNTS)
const wait = fc.boolean()

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ type: fc.constant('hold' as const), caller: fc.nat(CALLERS.length - 1), amount, wait }) },
  { weight: 8, arbitrary: fc.record({ type: fc.constant('settle' as const), pick, amounts: fc.array(amount, { maxLength: 3 }) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('release' as const), pick }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('top up' as const), account, amount: positive, wait }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('top up again' as const), pick }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('time' as const), ms: fc.nat(200) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('weather' as const),
      weather: fc.constantFrom<Weather>('fine', 'slow', 'fails before', 'fails after'),
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('reload' as const), account }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('crash' as const) }) },
)

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

describe('the ledger', () => {
  it('conserves money to the nano-dollar under any interleaving, any failure of the store and any crash', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 120, size: 'max' }), async (steps) => {
        const world = await World.create()
        try {
          for (const each of steps) {
            await world.apply(each)
            world.check()
          }
          await world.comeToRest()
        } finally {
          await world.end()
        }
      }),
      { numRuns: 40 },
    )
  }, 120_000)
})

describe('the ledger and a reference ledger', () => {
  it.each([1, 2, 3, 4, 5])(
    'agree after each of 2,000 random steps of holds, charges, payments, days, prices, failures and crashes (seed %i)',
    async (seed) => {
      vi.useRealTimers()
      const world = new LedgerWorld(seed)
      try {
        await world.open()
        for (let step = 0; step < 2_000; step++) await world.step()
        await world.finish()
      } finally {
        await world.close()
      }

      expect(world.counts['settle']).toBeGreaterThan(100)
    },
    60_000,
  )
})

/** A settled run as the caller saw it. */
type Paid = {
  readonly requestId: string
  readonly accountId: string
  readonly keyId: string
  readonly charged: bigint
  readonly lines: number
}
type Payment = { readonly id: string; readonly accountId: string; readonly amount: bigint }

class World {
  readonly #store: Store
  #weather: Weather = 'fine'
  #ledger: Ledger
  #open: Hold[] = []
  #ended: { hold: Hold; charged: bigint }[] = []
  #paid: Paid[] = []
  readonly #payments: Payment[] = []
  /** Payments that the ledger confirmed. */
  readonly #confirmed = new Set<string>()
  #count = 0
  /** Calls that were not waited for. A call that a crash cut off belongs to nobody. */
  #running: Promise<unknown>[] = []
  #life = 0

  static async create(): Promise<World> {
    const store = await openSqliteStore(':memory:')
    await store.migrate()
    for (const id of ACCOUNTS)
      await store.insertAccount({
        id,
        name: id,
        plan: 'default',
        creditNano: CREDIT[id],
        diemAllowanceNano: 0n,
        wallet: null,
        createdAt: 1,
        closedAt: null,
      })
    return new World(store)
  }

  constructor(store: Store) {
    this.#store = store
    this.#ledger = this.#start()
  }

  async apply(step: Step): Promise<void> {
    switch (step.type) {
      case 'hold': {
        const caller = CALLERS[step.caller]
        if (caller) await this.#run(this.#hold(caller, step.amount), step.wait)
        return
      }
      case 'settle':
        this.#settle(step.pick, step.amounts)
        return
      case 'release': {
        const [hold] = this.#open.splice(step.pick % Math.max(1, this.#open.length), 1)
        if (!hold) return
        this.#ledger.release(hold)
        this.#ended.push({ hold, charged: 0n })
        return
      }
      case 'top up': {
        const payment = { id: `p${this.#count++}`, accountId: step.account, amount: step.amount }
        this.#payments.push(payment)
        await this.#run(this.#pay(payment), step.wait)
        return
      }
      case 'top up again': {
        const payment = this.#payments[step.pick % Math.max(1, this.#payments.length)]
        if (payment) await this.#run(this.#pay(payment), true)
        return
      }
      case 'time':
        await vi.advanceTimersByTimeAsync(step.ms)
        return
      case 'weather':
        this.#weather = step.weather
        return
      case 'reload':
        await this.#run(this.#ledger.reload(step.account), true)
        return
      case 'crash':
        await this.#crash()
        return
    }
  }

  /** What must hold at every moment, of everything that the ledger has in memory. */
  check(): void {
    for (const hold of this.#open) {
      equal(hold.account.usd.held, sum(this.#open.filter((other) => other.account.id === hold.account.id).map((other) => other.amount)))
      equal(hold.key.LIFETIME.usdHeld, sum(this.#open.filter((other) => other.key.id === hold.key.id).map((other) => other.amount)))
    }
    for (const { hold, charged } of this.#ended) {
      const { account, key } = hold
      const { balance, held } = account.usd
      const { usd: spent, usdHeld } = key.LIFETIME
      ok(held >= 0n && usdHeld >= 0n && spent >= 0n)
      if (account.creditNano !== null) ok(balance - held >= -account.creditNano)
      if (key.id.endsWith('k1')) ok(spent + usdHeld <= CAP)
      ok(charged >= 0n && charged <= hold.amount)
      // Whatever comes later changes nothing about a hold that has ended.
      equal(this.#ledger.settle(hold, linesOf([5n]), FACTS).usd, charged)
      this.#ledger.release(hold)
      equal(hold.charged?.usd, charged)
    }
  }

  /** Everything ends, the weather clears, and the books are compared with what the callers saw. */
  async comeToRest(): Promise<void> {
    this.#weather = 'fine'
    await this.#settled()
    for (const hold of this.#open) this.#ledger.release(hold)
    this.#open = []
    for (const payment of this.#payments) await this.#run(this.#pay(payment), true)
    await this.#run(this.#ledger.flush(), true)
    deepEqual(this.#ledger.status, { openHolds: 0, unwritten: 0, storeAway: false })
    equal(this.#confirmed.size, this.#payments.length)
    await this.#compare()
    for (const id of ACCOUNTS) equal((await this.#ledger.balances(id)).USD.balance, await this.#store.balance(`account:${id}`))
  }

  async end(): Promise<void> {
    await this.#store.close()
  }

  async #compare(): Promise<void> {
    const balances = await Promise.all(
      ['bank', 'revenue', ...ACCOUNTS.map((id) => `account:${id}`)].map((book) => this.#store.balance(book)),
    )
    equal(sum(balances), 0n)
    for (const id of ACCOUNTS) {
      const topUps = sum(this.#payments.filter((payment) => payment.accountId === id).map((payment) => payment.amount))
      const charges = sum(this.#paid.filter((run) => run.accountId === id).map((run) => run.charged))
      equal(await this.#store.balance(`account:${id}`), topUps - charges)
    }
    for (const { keyId } of CALLERS) {
      equal((await this.#store.spentByKey(keyId, 0)).usd, sum(this.#paid.filter((run) => run.keyId === keyId).map((run) => run.charged)))
    }
    for (const run of this.#paid) {
      const rows = await this.#store.usageOf(run.requestId)
      equal(rows.length, run.lines)
      equal(sum(rows.map((row) => row.line.amount)), run.charged)
    }
  }

  /** The memory is gone. Of what was settled, each run is in the store whole or not at all; confirmed payments all are. */
  async #crash(): Promise<void> {
    this.#life++
    await this.#settled()
    vi.clearAllTimers()
    const survivors: Paid[] = []
    for (const run of this.#paid) {
      const rows = await this.#store.usageOf(run.requestId)
      ok(rows.length === 0 || rows.length === run.lines)
      if (rows.length === 0 && run.lines > 0) continue
      equal(sum(rows.map((row) => row.line.amount)), run.charged)
      survivors.push(run)
    }
    this.#paid = survivors
    this.#open = []
    this.#ended = []
    this.#ledger = this.#start()
  }

  #start(): Ledger {
    const life = this.#life
    const guarded: LedgerStore = {
      ...this.#store,
      account: (id: string) => this.#ask(() => this.#store.account(id)),
      balance: (book: string) => this.#ask(() => this.#store.balance(book)),
      spentByKey: (keyId, fromDay) => this.#ask(() => this.#store.spentByKey(keyId, fromDay)),
      minted: (book) => this.#ask(() => this.#store.minted(book)),
      commit: (settlements: readonly Settlement[]) => {
        // A dead process writes nothing more.
        if (life !== this.#life) return Promise.reject(new Error('dead'))
        return this.#ask(() => this.#store.commit(settlements))
      },
    }
    return new Ledger({ store: guarded, clock: { now: () => 1 } })
  }

  async #ask<T>(question: () => Promise<T>): Promise<T> {
    if (this.#weather === 'fails before') throw new Error('away')
    if (this.#weather === 'slow') await new Promise((resolve) => setTimeout(resolve, SLOW_MS))
    const answer = await question()
    if (this.#weather === 'fails after') throw new Error('no answer')
    return answer
  }

  async #hold(caller: Caller, held: bigint): Promise<void> {
    const life = this.#life
    const hold = await this.#ledger.hold(`r${this.#count++}`, caller, held)
    if (life === this.#life) this.#open.push(hold)
  }

  #settle(picked: number, amounts: bigint[]): void {
    const [hold] = this.#open.splice(picked % Math.max(1, this.#open.length), 1)
    if (!hold) return
    const charged = this.#ledger.settle(hold, linesOf(amounts), FACTS).usd
    const asked = sum(amounts)
    equal(charged, asked < hold.amount ? asked : hold.amount)
    this.#ended.push({ hold, charged })
    this.#paid.push({ requestId: hold.requestId, accountId: hold.account.id, keyId: hold.key.id, charged, lines: amounts.length })
  }

  async #pay(payment: Payment): Promise<void> {
    await this.#ledger.topUp(payment.accountId, payment.amount, 'bank', payment.id)
    this.#confirmed.add(payment.id)
  }

  /** Refusals and a store that is away are part of the game. */
  async #run(call: Promise<unknown>, waitForIt: boolean): Promise<void> {
    this.#running.push(call.catch(() => undefined))
    if (waitForIt) await this.#settled()
  }

  /** Lets the time pass that the calls under way take. */
  async #settled(): Promise<void> {
    const calls = { underWay: true }
    const all = Promise.all(this.#running).finally(() => (calls.underWay = false))
    while (calls.underWay) await vi.advanceTimersByTimeAsync(1)
    await all
    this.#running = []
  }
}

const SLOW_MS = 7

const FACTS = { model: 'm', modality: 'text', executionMs: 1 } as const

const linesOf = (amounts: readonly bigint[]): Line[] =>
  amounts.map((each) => ({ unit: 'outputToken', count: 1, priceNano: 1, amount: each }))

const sum = (amounts: readonly bigint[]): bigint => amounts.reduce((all, each) => all + each, 0n)
