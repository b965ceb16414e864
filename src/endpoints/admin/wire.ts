/** The shapes that the operator's endpoints share: accounts, pages, times, ids. */
import { z } from 'zod'
import type { AccountBalances } from '../../accounts/credits.ts'
import { CURRENCIES, formatUsd } from '../../core/money.ts'
import type { AccountRow, Movement } from '../../core/store.ts'

export const TAG = 'Administration'
/** The account that every installation has. */
export const EXAMPLE_ACCOUNT = 'operator'

/** What an operator may call an account, which is named in paths, logs and books. A `:` is in those of wallets only. */
export const newAccountId = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,63}$/, 'must be 1 to 64 lower-case letters, digits and . _ -')

/** Any account's id, wherever it came from. */
export const accountId = z.string().regex(/^[\x21-\x7e]{1,128}$/, 'must be the id of an account')

export const MAX_PAGE = 500
const DEFAULT_PAGE = 50
export const limit = z.coerce.number().int().min(1).max(MAX_PAGE).default(DEFAULT_PAGE).describe(`How many: 1 to ${MAX_PAGE}.`)

export const time = z.string().describe('An ISO time in UTC.')
export const amount = z.string().describe('Dollars (or DIEM), a decimal string.')

export const isoOf = (at: number): string => new Date(at).toISOString()

const account = {
  id: z.string(),
  name: z.string(),
  plan: z.string().describe('Which limits apply.'),
  creditUsd: amount.nullable().describe('How far below zero its dollars may go; null is without limit.'),
  diemAllowance: amount.describe('The DIEM that it may spend each UTC day.'),
  wallet: z.string().nullable(),
  createdAt: time,
  closedAt: time.nullable().describe('From then on its keys are refused; null while it is open.'),
}
export const accountSchema = z.object(account)

const balance = z.object({ balance: amount, held: amount.describe('Of that, what runs under way hold.') })
export const balancesSchema = z.object({ DIEM: balance, BUNDLED_CREDITS: balance, USD: balance })
export const fullAccountSchema = z.object({ ...account, balances: balancesSchema })

export const showAccount = (row: AccountRow): z.infer<typeof accountSchema> => ({
  id: row.id,
  name: row.name,
  plan: row.plan,
  creditUsd: row.creditNano === null ? null : formatUsd(row.creditNano),
  diemAllowance: formatUsd(row.diemAllowanceNano),
  wallet: row.wallet,
  createdAt: isoOf(row.createdAt),
  closedAt: row.closedAt === null ? null : isoOf(row.closedAt),
})

export function showBalances(balances: AccountBalances): z.infer<typeof balancesSchema> {
  const shown = CURRENCIES.map((currency) => {
    const { balance: there, held } = balances[currency]
    return [currency, { balance: formatUsd(there), held: formatUsd(held) }] as const
  })
  // One entry per currency, which is what the shape has.
  return Object.fromEntries(shown) as z.infer<typeof balancesSchema>
}

export const movementSchema = z.object({
  seq: z.number().describe('Its place among all movements.'),
  id: z.string(),
  at: time,
  kind: z.enum(['topup', 'grant', 'takeback', 'allowance', 'refund', 'settle']),
  currency: z.enum(CURRENCIES),
  from: z.string().describe('The book that it came from.'),
  to: z.string().describe('The book that it went to.'),
  amountUsd: amount,
  requestId: z.string().nullable().describe('Of a charge: the request.'),
  model: z.string().nullable(),
})

export const showMovement = (movement: Movement): z.infer<typeof movementSchema> => ({
  seq: movement.seq,
  id: movement.id,
  at: isoOf(movement.at),
  kind: movement.kind,
  currency: movement.currency,
  from: movement.fromBook,
  to: movement.toBook,
  amountUsd: formatUsd(movement.amount),
  requestId: movement.requestId,
  model: movement.model,
})

export const EXAMPLE_BALANCES = {
  DIEM: { balance: '0', held: '0' },
  BUNDLED_CREDITS: { balance: '0', held: '0' },
  USD: { balance: '12.5', held: '0.0031' },
}
