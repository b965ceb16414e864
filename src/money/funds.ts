/**
 * Money that comes in, is given, taken back or given back, beside what runs cost. Each movement has an id: the same again
 * changes nothing.
 */
import { DIEM_MINT, type Source, bookOf, dayOf, revenueBook, sourceBook } from '../core/book.ts'
import { Failure, fail } from '../core/errors.ts'
import { type Amount, CURRENCIES, type Currency, formatUsd } from '../core/money.ts'
import type { KeySpend, Transfer, TransferKind } from '../core/store.ts'
import { type AccountState, type Books, unavailable } from './books.ts'
import type { Entry, LedgerStore, TransferEntry } from './ledger.ts'
import { MAX_AMOUNT, type Purse, allow, freeIn } from './purse.ts'
import type { Writer } from './writer.ts'

export type FundsOptions = {
  readonly store: LedgerStore
  readonly books: Books
  readonly writer: Writer<Entry>
  readonly now: () => number
  readonly today: () => number
}

export class Funds {
  readonly #of: FundsOptions

  constructor(options: FundsOptions) {
    this.#of = options
  }

  /**
   * Puts a payment on an account, under `topup:<source>:<payment id>`. Resolves with what the account has of that currency
   * once it is written; after a rejection the same call again finishes the job.
   */
  readonly topUp = (
    accountId: string,
    amount: Amount,
    source: Source,
    paymentId: string,
    currency: Exclude<Currency, 'DIEM'> = 'USD',
  ): Promise<Amount> => this.#give('topup', `topup:${source}:${paymentId}`, accountId, currency, amount, source)

  /** Gives credit, under `grant:<id>`. DIEM is given for the UTC day now. Resolves like `topUp`. */
  readonly grant = (accountId: string, currency: Currency, amount: Amount, id: string): Promise<Amount> =>
    this.#give('grant', `grant:${id}`, accountId, currency, amount, 'grants')

  /**
   * Takes back what nobody holds, under `takeback:<id>`, to where it came from. Resolves with what is left, once it is
   * written. Rejects with `INSUFFICIENT_BALANCE` where less is there: nothing goes below zero for it. After any other
   * rejection it is taken already and the same call again finds out.
   */
  readonly takeBack = async (
    accountId: string,
    currency: Currency,
    amount: Amount,
    id: string,
    source: Source = 'grants',
  ): Promise<Amount> => {
    checkAmount(amount)
    const { writer, books, store } = this.#of
    const transferId = `takeback:${id}`
    const account = await writer.between(async () => {
      const found = await this.#account(accountId)
      if (writer.has(transferId) || (await ofStore(store.hasTransfer(transferId)))) return found
      books.turn(found)
      const purse = purseIn(found, currency)
      const free = freeIn(purse)
      if (amount > free) throw shortOf(free, amount, currency)
      const transfer = this.#transfer(transferId, 'takeback', currency, purse.book, sourceBook(source, currency), amount)
      if (currency === 'DIEM') this.fund(found)
      this.#enter(transfer, found, purse, -amount)
      purse.balance -= amount
      return found
    })
    await ofStore(writer.flush())
    return purseIn(account, currency).balance
  }

  /**
   * Gives back all that a request was charged, under `refund:<request id>:<currency>`. What a key has spent of its caps stays
   * spent. DIEM goes back into the day that the run ended on. Resolves with what that is.
   */
  readonly refund = async (requestId: string): Promise<KeySpend> => {
    const { writer, store, books, now } = this.#of
    await ofStore(writer.flush())
    return writer.between(async () => {
      const rows = await ofStore(store.usageOf(requestId))
      const [first] = rows
      if (!first) throw fail('INVALID_REQUEST', { say: 'There is no charge for such a request', internal: 'refund of nothing' })
      const { accountId } = first
      const transfers: Transfer[] = []
      let usd = 0n
      let diem = 0n
      for (const currency of CURRENCIES) {
        const amount = rows.reduce((sum, { line }) => (line.currency === currency ? sum + line.amount : sum), 0n)
        if (amount === 0n) continue
        if (currency === 'DIEM') diem += amount
        else usd += amount
        const to = bookOf(accountId, currency, dayOf(first.at))
        transfers.push({
          id: `refund:${requestId}:${currency}`,
          at: now(),
          kind: 'refund',
          currency,
          fromBook: revenueBook(currency),
          toBook: to,
          amount,
        })
      }
      await ofStore(writer.writeNow(transfers))
      await books.reread(accountId)
      return { usd, diem }
    })
  }

  /** Sets what a UTC day is worth in DIEM. The day now is topped up where that is more, and keeps what it has where it is less. */
  readonly setAllowance = (accountId: string, nano: Amount): Promise<void> => {
    if (nano < 0n || nano > MAX_AMOUNT) throw fail('INVALID_REQUEST', { say: 'An allowance is at least 0', internal: 'allowance' })
    const { writer, store, books } = this.#of
    return writer.between(async () => {
      if (!(await ofStore(store.changeAccount(accountId, { diemAllowanceNano: nano })))) throw noAccount()
      const account = books.account(accountId)
      if (!account) return
      books.turn(account)
      account.allowanceNano = nano
      allow(account.diem, nano)
    })
  }

  /** Reads an account again whose credit, allowance or balance was changed in the store by somebody else. */
  readonly reload = (accountId: string): Promise<void> => {
    const { writer, books } = this.#of
    return writer.between(async () => {
      // What is neither queued nor surely written would be counted twice.
      await ofStore(writer.settleUncertain())
      if (books.account(accountId)) await books.reread(accountId)
    })
  }

  /** Brings the allowance of the day into its book, at its first use and when it has grown. Its balance has it already. */
  fund(account: AccountState): void {
    const { diem } = account
    const { unfunded, minted, day } = diem
    if (unfunded === 0n) return
    diem.unfunded = 0n
    diem.minted += unfunded
    const first = `epoch:${account.id}:${day}`
    const id = minted === 0n ? first : `${first}:${diem.minted}`
    this.#enter(this.#transfer(id, 'allowance', 'DIEM', DIEM_MINT, diem.book, unfunded), account, diem, unfunded)
  }

  #give(kind: 'topup' | 'grant', id: string, accountId: string, currency: Currency, amount: Amount, source: Source): Promise<Amount> {
    checkAmount(amount)
    const { writer, store, books, today } = this.#of
    return writer.between(async () => {
      if (!(await ofStore(store.account(accountId)))) throw noAccount()
      const to = bookOf(accountId, currency, today())
      await ofStore(writer.writeNow([this.#transfer(id, kind, currency, sourceBook(source, currency), to, amount)]))
      return purseIn(await books.reread(accountId), currency).balance
    })
  }

  #transfer(id: string, kind: TransferKind, currency: Currency, fromBook: string, toBook: string, amount: Amount): Transfer {
    return { id, at: this.#of.now(), currency, fromBook, toBook, amount, kind }
  }

  /** Queues a movement that memory knows already. */
  #enter(transfer: Transfer, account: AccountState, purse: Purse, delta: Amount): void {
    const entry: TransferEntry = { ...transfer, account, purse, delta }
    purse.pending += delta
    account.uses++
    this.#of.writer.add(entry)
  }

  async #account(id: string): Promise<AccountState> {
    const { books, store } = this.#of
    const known = books.account(id)
    if (known) return known
    if (!(await ofStore(store.account(id)))) throw noAccount()
    return books.reread(id)
  }
}

function purseIn(account: AccountState, currency: Currency): Purse {
  switch (currency) {
    case 'DIEM':
      return account.diem
    case 'BUNDLED_CREDITS':
      return account.bundled
    case 'USD':
      return account.usd
  }
}

/** Why the store failed is for its own log; who moves money is told to try again. */
async function ofStore<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    throw error instanceof Failure ? error : unavailable('the store did not answer for a transfer')
  }
}

function checkAmount(amount: Amount): void {
  if (amount > 0n && amount <= MAX_AMOUNT) return
  throw fail('INVALID_REQUEST', {
    say: `An amount must be more than 0 and at most ${formatUsd(MAX_AMOUNT)} USD`,
    internal: 'amount of a transfer',
  })
}

const noAccount = () => fail('INVALID_REQUEST', { say: 'There is no such account', internal: 'account of a transfer' })

const shortOf = (free: Amount, amount: Amount, currency: Currency) =>
  fail('INSUFFICIENT_BALANCE', {
    say: `Insufficient balance: ${formatUsd(amount)} ${currency} were to be taken and ${formatUsd(free)} are there and not held`,
    internal: 'take-back',
  })
