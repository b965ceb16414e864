/**
 * What the ledger should do, written so that it can be seen to be right and not so that it is quick: plain numbers, lists of
 * everything that ever happened, every sum made anew whenever it is asked for.
 */
export type Currency = 'DIEM' | 'BUNDLED_CREDITS' | 'USD'
export type Period = 'EPOCH' | 'MONTH' | 'LIFETIME'

export type ReferenceCaller = {
  readonly account: string
  readonly key: string
  readonly period: Period
  readonly usdCap: number | null
  readonly diemCap: number | null
}

export type Parts = { readonly diem: number; readonly bundled: number; readonly usd: number }

type Held = { readonly id: string; readonly caller: ReferenceCaller; readonly day: number; readonly parts: Parts }
type Paid = {
  readonly id: string
  readonly account: string
  readonly key: string
  readonly day: number
  readonly parts: Parts
  readonly endDay: number
}
/** What came in or went out: of a day for DIEM. */
type Moved = { readonly id: string; readonly account: string; readonly currency: Currency; readonly day: number; readonly amount: number }

const MIN_ALLOWANCE = 100_000_000

export class ReferenceLedger {
  readonly held: Held[] = []
  readonly paid: Paid[] = []
  readonly moved: Moved[] = []
  readonly credit = new Map<string, number | null>()
  readonly allowance = new Map<string, number>()

  /** What an account has, what is held not taken off. The allowance of a day is there before it is brought in. */
  balance(account: string, currency: Currency, day: number): number {
    const within = (one: { readonly day: number }): boolean => currency !== 'DIEM' || one.day === day
    const came = this.moved.filter((one) => one.account === account && one.currency === currency && within(one))
    const went = this.paid.filter((one) => one.account === account && within(one))
    const sum = came.reduce((all, { amount }) => all + amount, 0) - went.reduce((all, { parts }) => all + partOf(parts, currency), 0)
    return currency === 'DIEM' ? sum + this.#waiting(account, day) : sum
  }

  /** What of it no open run holds. */
  free(account: string, currency: Currency, day: number): number {
    const ofIt = this.held.filter((one) => one.caller.account === account && (currency !== 'DIEM' || one.day === day))
    return this.balance(account, currency, day) - ofIt.reduce((all, { parts }) => all + partOf(parts, currency), 0)
  }

  /** What a key has spent, and with its open holds, in a period that a day is in. */
  spent(key: string, period: Period, day: number, withHeld: boolean): { usd: number; diem: number } {
    const from = startOf(period, day)
    const all = [...this.paid.filter((one) => one.key === key), ...(withHeld ? this.held.filter((one) => one.caller.key === key) : [])]
    const counted = all.filter((one) => one.day >= from)
    return {
      usd: counted.reduce((sum, { parts }) => sum + parts.usd + parts.bundled, 0),
      diem: counted.reduce((sum, { parts }) => sum + parts.diem, 0),
    }
  }

  /** The parts of a new hold, or null where it is refused. */
  hold(id: string, caller: ReferenceCaller, wanted: number, least: number, day: number): Parts | null {
    const { account, key, period, usdCap, diemCap } = caller
    const used = this.spent(key, period, day, true)
    const diemRoom = diemCap === null ? Number.POSITIVE_INFINITY : Math.max(0, diemCap - used.diem)
    const usdRoom = usdCap === null ? Number.POSITIVE_INFINITY : Math.max(0, usdCap - used.usd)
    const credit = this.credit.get(account) ?? null
    const diem = Math.min(wanted, Math.max(0, this.free(account, 'DIEM', day)), diemRoom)
    const bundled = Math.min(wanted - diem, Math.max(0, this.free(account, 'BUNDLED_CREDITS', day)), usdRoom)
    const dollars = credit === null ? Number.POSITIVE_INFINITY : Math.max(0, this.free(account, 'USD', day) + credit)
    const usd = Math.min(wanted - diem - bundled, dollars, usdRoom - bundled)
    if (diem + bundled + usd < least) return null
    if (diem > 0) this.#bringIn(account, day)
    const parts = { diem, bundled, usd }
    this.held.push({ id, caller, day, parts })
    return parts
  }

  /** What each currency pays of what a run cost; the hold is gone. */
  settle(id: string, cost: number, day: number): Parts {
    const hold = this.#end(id)
    const { caller, parts: own } = hold
    const due = Math.min(cost, own.diem + own.bundled + own.usd)
    let diem = Math.min(due, own.diem)
    if (day === hold.day && diem < due) {
      const used = this.spent(caller.key, caller.period, day, true).diem
      const room = caller.diemCap === null ? Number.POSITIVE_INFINITY : caller.diemCap - used
      diem = Math.max(diem, Math.min(due, room, this.free(caller.account, 'DIEM', day)))
    }
    const bundled = Math.min(due - diem, Math.max(own.bundled, this.free(caller.account, 'BUNDLED_CREDITS', day)))
    const parts = { diem, bundled, usd: due - diem - bundled }
    if (diem > 0 && day === hold.day) this.#bringIn(caller.account, day)
    this.paid.push({ id, account: caller.account, key: caller.key, day: hold.day, parts, endDay: day })
    return parts
  }

  release(id: string): void {
    this.#end(id)
  }

  /** Money in or out, once per id. */
  move(id: string, account: string, currency: Currency, amount: number, day: number): void {
    if (!this.has(id)) this.moved.push({ id, account, currency, day, amount })
  }

  has(id: string): boolean {
    return this.moved.some((one) => one.id === id)
  }

  refund(id: string): void {
    const run = this.paid.find((one) => one.id === id)
    if (!run) return
    for (const currency of ['DIEM', 'BUNDLED_CREDITS', 'USD'] as const) {
      const amount = partOf(run.parts, currency)
      if (amount > 0) this.move(`refund:${id}:${currency}`, run.account, currency, amount, run.endDay)
    }
  }

  takeBackIsPossible(account: string, currency: Currency, amount: number, day: number): boolean {
    return amount <= Math.max(0, this.free(account, currency, day))
  }

  /** Brings in what the allowance of a day is more than what was brought in before. */
  bringIn(account: string, day: number): void {
    this.#bringIn(account, day)
  }

  /** What was taken while the disk of the journal was full, and is not written either when the process dies, never was. */
  forgetTaken(isWritten: (id: string) => boolean): void {
    for (const one of this.moved.filter(({ id }) => id.startsWith('takeback:') && !isWritten(id)))
      this.moved.splice(this.moved.indexOf(one), 1)
  }

  /** Likewise what allowances brought in, latest first, down to what is written. It comes in once more at its next use. */
  forgetBroughtIn(account: string, day: number, written: number): void {
    const mine = this.moved.filter((one) => one.account === account && one.day === day && one.id.startsWith('epoch:'))
    let sum = mine.reduce((all, { amount }) => all + amount, 0)
    for (const one of mine.reverse()) {
      if (sum <= written) break
      this.moved.splice(this.moved.indexOf(one), 1)
      sum -= one.amount
    }
    if (sum !== written) throw new Error(`${account} was brought ${written}, which is no sum of what was`)
  }

  #bringIn(account: string, day: number): void {
    const amount = this.#waiting(account, day)
    if (amount > 0) this.moved.push({ id: `epoch:${account}:${day}:${this.moved.length}`, account, currency: 'DIEM', day, amount })
  }

  #waiting(account: string, day: number): number {
    const worth = this.allowance.get(account) ?? 0
    const whole = worth < MIN_ALLOWANCE ? 0 : worth
    const brought = this.moved
      .filter((one) => one.account === account && one.day === day && one.id.startsWith('epoch:'))
      .reduce((all, { amount }) => all + amount, 0)
    return Math.max(0, whole - brought)
  }

  #end(id: string): Held {
    const at = this.held.findIndex((one) => one.id === id)
    const [hold] = this.held.splice(at, at < 0 ? 0 : 1)
    if (!hold) throw new Error(`no hold ${id}`)
    return hold
  }
}

function partOf(parts: Parts, currency: Currency): number {
  if (currency === 'DIEM') return parts.diem
  return currency === 'BUNDLED_CREDITS' ? parts.bundled : parts.usd
}

function startOf(period: Period, day: number): number {
  if (period === 'EPOCH') return day
  if (period === 'LIFETIME') return 0
  const date = new Date(day * 86_400_000)
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1) / 86_400_000
}
