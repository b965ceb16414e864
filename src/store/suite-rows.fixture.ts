/** Rows that the suite writes and expects back. */
import { dayOf } from '../core/book.ts'
import type { AccountRow, AuditRow, Bill, KeyRow, RefusalRow, Transfer, UsageRow } from '../core/store.ts'

export const ACCOUNT: AccountRow = {
  id: 'a1',
  name: 'Ada',
  plan: 'paid',
  creditNano: 5_000_000_000n,
  diemAllowanceNano: 2n ** 60n,
  wallet: '0xa1',
  createdAt: 1_763_880_000_123,
  closedAt: null,
}

export const KEY: KeyRow = {
  id: 'k1',
  accountId: 'a1',
  hash: 'ab'.repeat(32),
  last6: 'abc123',
  scope: 'INFERENCE',
  description: 'laptop',
  caps: { period: 'MONTH', usd: 2n ** 60n, diem: 0n },
  capVcuNano: 7n,
  modelPrivacy: 'PRIVATE_TEXT',
  models: ['m1', 'm"2'],
  createdAt: 1_763_880_000_123,
  expiresAt: 1_795_416_000_000,
  revokedAt: null,
  lastUsedAt: null,
}

export const AT = 1_763_880_000_123
export const DAY = dayOf(AT)
export const DAY_MS = 86_400_000
export const NO_CAPS = { period: 'LIFETIME', usd: null, diem: null } as const

/** More than a float holds exactly. */
export const LARGE = 2n ** 53n + 1n

export const audit = (at: number): AuditRow => ({
  at,
  byKeyId: 'k1',
  action: 'credit.grant',
  object: 'a1',
  details: { amount: 5, why: 'x"y', none: null },
})

export const refusal = (at: number, accountId = 'a1'): RefusalRow => ({ at, accountId, keyId: 'k1', model: 'm', kind: 'RPM' })

export function topUp(paymentId: string, amount: bigint): Transfer {
  return { id: `topup:bank:${paymentId}`, at: AT, currency: 'USD', fromBook: 'bank', toBook: 'account:a1', amount, kind: 'topup' }
}

/** The bill of a text run with two lines that sum up to the amount. */
export function bill(requestId: string, amount: bigint, keyId = 'k1'): Bill {
  const input = amount / 3n
  return {
    kind: 'settle',
    requestId,
    at: AT,
    accountId: 'a1',
    keyId,
    model: 'm',
    modality: 'text',
    executionMs: 250,
    diemDay: DAY,
    lines: [
      { unit: 'inputToken', count: 12, priceNano: 30, amount: input, currency: 'USD' },
      { unit: 'outputToken', count: 12, priceNano: 30, amount: amount - input, currency: 'USD' },
    ],
  }
}

/** A run that three currencies paid for: 20 DIEM, 30 bundled credits, 40 dollars. */
export const mixed = (requestId: string): Bill => ({
  ...bill(requestId, 0n),
  lines: [
    { unit: 'inputToken', count: 12, priceNano: 5, amount: 20n, currency: 'DIEM' },
    { unit: 'outputToken', count: 5, priceNano: 6, amount: 30n, currency: 'BUNDLED_CREDITS' },
    { unit: 'outputToken', count: 7, priceNano: 6, amount: 40n, currency: 'USD' },
  ],
})

export function rowsOf({ requestId, at, accountId, keyId, model, modality, executionMs, lines }: Bill): UsageRow[] {
  return lines.map((line) => ({ requestId, at, accountId, keyId, model, modality, line, executionMs }))
}
