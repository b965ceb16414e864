/** Who plays in the world of the ledger: accounts with and without credit and stakes, each with keys of several caps. */
import type { Caller } from '../../src/core/call.ts'
import type { Period, ReferenceCaller } from './reference-ledger.ts'

export const DIEM = 100_000_000

/** Without credit, with some, and without a bottom; two of them stake. */
export const CREDITS = [0, 700, null] as const
export const ALLOWANCES = [3 * DIEM, 0, DIEM] as const
export const ACCOUNTS = ['a0', 'a1', 'a2'] as const
export const CURRENCIES = ['DIEM', 'BUNDLED_CREDITS', 'USD'] as const
const CAPS: readonly { readonly period: Period; readonly usdCap: number | null; readonly diemCap: number | null }[] = [
  { period: 'LIFETIME', usdCap: null, diemCap: null },
  { period: 'EPOCH', usdCap: 900, diemCap: DIEM },
  { period: 'MONTH', usdCap: 4_000, diemCap: null },
  { period: 'LIFETIME', usdCap: 30_000, diemCap: 0 },
]
export const CALLERS: readonly ReferenceCaller[] = ACCOUNTS.flatMap((account) =>
  CAPS.map((caps, i) => ({ account, key: `${account}-k${i}`, ...caps })),
)

export const callerOf = ({ account, key, period, usdCap, diemCap }: ReferenceCaller): Caller => ({
  accountId: account,
  keyId: key,
  scope: 'INFERENCE',
  plan: 'default',
  caps: { period, usd: usdCap === null ? null : BigInt(usdCap), diem: diemCap === null ? null : BigInt(diemCap) },
  modelPrivacy: 'ALL',
  models: null,
})
