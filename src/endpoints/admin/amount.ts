/** Dollars in requests: decimal strings, or numbers as they were written; exact to the nano-dollar, or refused. */
import { z } from 'zod'
import { nanoPerUnit } from '../../catalog/price.ts'
import { failField } from '../../core/errors.ts'
import { type Amount, formatUsd } from '../../core/money.ts'
import { MAX_AMOUNT } from '../../money/purse.ts'

const DECIMAL = /^\d{1,12}(\.\d{1,12})?$/

/** A decimal without a sign. */
export const decimal = z.union([z.number().nonnegative(), z.string().regex(DECIMAL, 'must be a decimal, such as "12.50"')])
export type Decimal = z.infer<typeof decimal>

/** Throws a 400 that names the field for what is finer than a nano-dollar, or more than one movement may be. */
export function amountOf(value: Decimal, field: string): Amount {
  const nano = nanoPerUnit(value, 0)
  if (nano === null) throw failField(field, 'must be a whole number of nano-dollars: nine decimals at most')
  if (nano > MAX_AMOUNT) throw failField(field, `must be at most ${formatUsd(MAX_AMOUNT)}`)
  return nano
}

/** The same for what must be something. */
export function positiveOf(value: Decimal, field: string): Amount {
  const amount = amountOf(value, field)
  if (amount === 0n) throw failField(field, 'must be more than 0')
  return amount
}
