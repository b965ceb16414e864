/** Why money refuses a run, in words that name the amounts. */
import type { Caller } from '../core/call.ts'
import { type Failure, fail } from '../core/errors.ts'
import { type Amount, formatUsd } from '../core/money.ts'
import type { AccountState } from './books.ts'
import { type KeyState, atLeastZero, freeIn, roomOf, within } from './purse.ts'

/** The true cause: the balance where even a key without caps would be refused, else the cap that is in the way. */
export function refusalOf(caller: Caller, account: AccountState, key: KeyState, least: Amount): Failure {
  const diem = freeIn(account.diem)
  const usd = freeIn(account.bundled) + atLeastZero(account.usd.balance - account.usd.held + (account.creditNano ?? 0n))
  const bottomless = account.creditNano === null
  if (!bottomless && diem + usd < least) return balanceRefusal(least, usd, diem)
  const room = roomOf(key, caller.caps)
  // Whether the dollars would do if only their cap were lifted, DIEM being capped as it is.
  const diemWithin = within(diem, room.diem)
  if (room.usd !== null && (bottomless || diemWithin + usd >= least)) return capRefusal('USD', caller, least, room.usd)
  if (room.diem !== null && diem + within(bottomless ? least : usd, room.usd) >= least) return capRefusal('DIEM', caller, least, room.diem)
  return room.usd === null ? capRefusal('DIEM', caller, least, room.diem ?? 0n) : capRefusal('USD', caller, least, room.usd)
}

function balanceRefusal(least: Amount, usd: Amount, diem: Amount): Failure {
  const more = diem > 0n ? ` and ${formatUsd(diem)} DIEM` : ''
  return fail('INSUFFICIENT_BALANCE', {
    say: `Insufficient balance: this request may cost ${formatUsd(least)} USD or more, and ${formatUsd(usd)} USD${more} are available. Top up, send less input, or wait for requests under way to end`,
    internal: 'balance',
  })
}

function capRefusal(currency: 'USD' | 'DIEM', { caps }: Caller, least: Amount, left: Amount): Failure {
  const cap = (currency === 'USD' ? caps.usd : caps.diem) ?? 0n
  return fail(currency === 'USD' ? 'API_KEY_USD_SPEND_LIMIT_EXCEEDED' : 'API_KEY_DIEM_SPEND_LIMIT_EXCEEDED', {
    say: `API key ${currency} spend limit exceeded: this request may cost ${formatUsd(least)} ${currency} or more, and ${formatUsd(left)} ${currency} of the key's ${formatUsd(cap)} ${currency} ${PER[caps.period]} are left`,
    internal: 'spend cap',
  })
}

const PER = { EPOCH: 'per day', MONTH: 'per month', LIFETIME: 'in its lifetime' } as const

export const tooDear = (amount: Amount): Failure =>
  fail('INSUFFICIENT_BALANCE', {
    say: `This request could cost ${formatUsd(amount)} USD, more than one request may; ask for less output`,
    internal: 'hold above the maximum',
  })

export const unpriced = (): Failure =>
  fail('INVALID_MODEL', {
    say: 'The model has no price for what this request uses, so it cannot be served to an account that pays. The operator can set one',
    internal: 'unpriced',
  })
