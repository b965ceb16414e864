/**
 * Accounts as the operator runs them: opened, found, changed, closed and opened again. None is ever deleted, because the ledger
 * has its books.
 * Invariant: what changed is in force when the call resolves: keys and ledger have been told.
 */
import type { Caller } from '../core/call.ts'
import type { Clock } from '../core/clock.ts'
import { type Failure, fail, failField } from '../core/errors.ts'
import { type Amount, formatUsd } from '../core/money.ts'
import type { AccountRow, Movement, Store } from '../core/store.ts'
import type { Audit, Details } from './audit.ts'

export type AccountsOptions = {
  readonly store: Pick<Store, 'account' | 'accounts' | 'accountOfWallet' | 'insertAccount' | 'changeAccount' | 'movements'>
  readonly audit: Audit
  readonly clock: Pick<Clock, 'now' | 'id'>
  /** The plans that there are. */
  readonly plans: ReadonlySet<string>
  /** The account of who runs the server: it cannot be closed. */
  readonly operatorId: string
  /** Told, and waited for, after an account was written: keys and ledger keep a memory of it. */
  readonly changed: (accountId: string) => Promise<void>
}

/** What an account is opened with. */
export type NewAccount = {
  /** Null for one that nobody can guess. */
  readonly id: string | null
  readonly name: string
  readonly plan: string
  readonly creditNano: Amount | null
  readonly wallet: string | null
}

/** What is to be changed; a field that is not there stays as it is. */
export type AccountChange = {
  readonly name?: string | undefined
  readonly plan?: string | undefined
  readonly creditNano?: Amount | null | undefined
  readonly wallet?: string | null | undefined
  readonly closed?: boolean | undefined
}

export class Accounts {
  readonly #options: AccountsOptions
  /** The end of the line of changes: each reads, decides and writes before the next one reads. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(options: AccountsOptions) {
    this.#options = options
  }

  /** Rejects with a 400 for a plan that there is not, and for an id or a wallet that is taken. */
  create(by: Caller, { id, ...rest }: NewAccount): Promise<AccountRow> {
    const { store, audit, clock } = this.#options
    return this.#inTurn(async () => {
      this.#checkPlan(rest.plan)
      const row: AccountRow = { ...rest, id: id ?? clock.id(), diemAllowanceNano: 0n, createdAt: Math.round(clock.now()), closedAt: null }
      if (await store.account(row.id)) throw failField('id', 'is taken by another account')
      await this.#checkWallet(row.id, row.wallet)
      await audit.done(by, 'account.create', row.id, detailsOf(rest), async () => {
        if (!(await store.insertAccount(row))) throw failField('id', 'is taken by another account')
      })
      return row
    })
  }

  /** Rejects with a 404 where there is none. */
  async get(id: string): Promise<AccountRow> {
    const row = await this.#options.store.account(id)
    if (!row) throw noAccount()
    return row
  }

  /** In the order of their ids, those after `after`. `next` is what the next page begins after, null where there is none. */
  async list(after: string | null, limit: number): Promise<{ rows: AccountRow[]; next: string | null }> {
    const rows = await this.#options.store.accounts(after, limit + 1)
    const shown = rows.slice(0, limit)
    return { rows: shown, next: rows.length > limit ? (shown.at(-1)?.id ?? null) : null }
  }

  /** Resolves with the account as it is then. Rejects with a 404, or a 400 as `create` does. */
  change(by: Caller, id: string, change: AccountChange): Promise<AccountRow> {
    const { store, audit, clock, changed, operatorId } = this.#options
    return this.#inTurn(async () => {
      const before = await this.get(id)
      const { closed, ...fields } = change
      if (fields.plan !== undefined) this.#checkPlan(fields.plan)
      if (closed && id === operatorId) throw failField('closed', 'the operator’s own account stays open: nobody could open it again')
      const wanted = {
        ...defined(fields),
        ...(closed !== undefined && { closedAt: closed ? (before.closedAt ?? Math.round(clock.now())) : null }),
      }
      if (fields.wallet !== before.wallet) await this.#checkWallet(id, fields.wallet ?? null)
      const after = await audit.done(by, 'account.change', id, detailsOf(change), async () => {
        const row = await store.changeAccount(id, wanted)
        await changed(id)
        return row
      })
      if (!after) throw noAccount()
      return after
    })
  }

  /** What moved in and out of the account, the latest first. Rejects with a 404 where there is no such account. */
  async movements(id: string, skip: number, limit: number): Promise<{ rows: Movement[]; more: boolean }> {
    await this.get(id)
    const rows = await this.#options.store.movements(id, skip, limit + 1)
    return { rows: rows.slice(0, limit), more: rows.length > limit }
  }

  #checkPlan(plan: string): void {
    const { plans } = this.#options
    if (!plans.has(plan)) throw failField('plan', `there is no such plan; there are ${[...plans].join(', ')}`)
  }

  async #checkWallet(id: string, wallet: string | null): Promise<void> {
    if (wallet === null) return
    const owner = await this.#options.store.accountOfWallet(wallet)
    if (owner && owner.id !== id) throw failField('wallet', 'belongs to another account')
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work)
    this.#last = turn.catch(() => undefined)
    return turn
  }
}

export const noAccount = (): Failure => fail('NOT_FOUND', { say: 'There is no such account', param: 'id', internal: 'account' })

/** Only the fields that were given, in what the audit keeps: a name of a person is replaced by the fact that it was given. */
function detailsOf({ name, creditNano, ...rest }: AccountChange): Details {
  return {
    ...defined(rest),
    ...(name !== undefined && { name: true }),
    ...(creditNano !== undefined && { creditUsd: creditNano === null ? null : formatUsd(creditNano) }),
  }
}

/** What is there of these fields; an absent one is the same as one that is undefined. */
function defined<T extends object>(fields: T): { [F in keyof T]: Exclude<T[F], undefined> } {
  // Only undefined values are left out, which is what the type says.
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [F in keyof T]: Exclude<T[F], undefined>
  }
}
