/** What moved in and out of a wallet's dollars, newest first, each with the balance after it. */
import { bookOf } from '../core/book.ts'
import type { Amount } from '../core/money.ts'
import type { Movement, Store } from '../core/store.ts'

/** How far back a page may begin: a statement is walked from its end, because only there the balance is known. */
export const MAX_OFFSET = 10_000
const READ_AT_ONCE = 1_000
/** A balance and the movements that made it are two reads: how often they are done again when something moved in between. */
const READ_TRIES = 5

export type StatementLine = {
  readonly id: string
  /** Positive came in. Nano-dollars. */
  readonly amount: Amount
  readonly balanceAfter: Amount
  readonly type: 'TOP_UP' | 'CHARGE' | 'REFUND'
  readonly at: number
  readonly requestId: string | null
  readonly model: string | null
}

export type Statement = { readonly balance: Amount; readonly lines: readonly StatementLine[]; readonly hasMore: boolean }

/** A page of the statement. What is settled but not written yet is not on it. */
export async function walletStatement(
  store: Pick<Store, 'balance' | 'movements'>,
  accountId: string,
  offset: number,
  limit: number,
): Promise<Statement> {
  // The day matters for DIEM only.
  const book = bookOf(accountId, 'USD', 0)
  let balance = await store.balance(book)
  for (let tries = 1; ; tries++) {
    const statement = await walk(store, accountId, book, balance, offset, limit)
    const then = await store.balance(book)
    if (then === balance || tries === READ_TRIES) return statement
    balance = then
  }
}

async function walk(
  store: Pick<Store, 'movements'>,
  accountId: string,
  book: string,
  balance: Amount,
  offset: number,
  limit: number,
): Promise<Statement> {
  const lines: StatementLine[] = []
  let after = balance
  let seen = 0
  let last: Movement | null = null
  // One more than was asked for tells whether there are more.
  for (let skip = 0; seen <= offset + limit; skip += READ_AT_ONCE) {
    const page = await store.movements(accountId, skip, READ_AT_ONCE)
    for (const movement of page) {
      // Pages shift when something new comes in front of them: what is not older than the last one was seen.
      if (last && !isOlder(movement, last)) continue
      last = movement
      if (!touches(movement, book)) continue
      if (seen >= offset && lines.length < limit) lines.push(lineOf(movement, book, after))
      after -= signed(movement, book)
      if (++seen > offset + limit) break
    }
    if (page.length < READ_AT_ONCE) break
  }
  return { balance, lines, hasMore: seen > offset + limit }
}

const isOlder = (a: Movement, b: Movement): boolean => a.at < b.at || (a.at === b.at && a.seq < b.seq)

const touches = ({ fromBook, toBook }: Movement, book: string): boolean => fromBook === book || toBook === book

const signed = ({ toBook, amount }: Movement, book: string): Amount => (toBook === book ? amount : -amount)

function lineOf(movement: Movement, book: string, balanceAfter: Amount): StatementLine {
  const { id, at, requestId, model } = movement
  return { id, amount: signed(movement, book), balanceAfter, type: typeOf(movement), at, requestId, model }
}

/** The API knows three: what the operator or the source took back is a refund of what was paid in. */
function typeOf({ kind }: Movement): StatementLine['type'] {
  switch (kind) {
    case 'settle':
      return 'CHARGE'
    case 'refund':
    case 'takeback':
      return 'REFUND'
    case 'topup':
    case 'grant':
    case 'allowance':
      return 'TOP_UP'
  }
}
