/** The tables as kysely sees them. Every whole number comes back as bigint: money never passes through a float. */
import type { Generated } from 'kysely'
import type { CapPeriod, KeyScope, ModelPrivacy } from '../core/call.ts'
import type { Modality } from '../core/modality.ts'
import type { Currency } from '../core/money.ts'
import type { RefusalRow, Settlement } from '../core/store.ts'
import type { Unit } from '../core/usage.ts'

export type Schema = {
  account: AccountTable
  api_key: ApiKeyTable
  payer: PayerTable
  transfer: TransferTable
  book: BookTable
  key_day: KeyDayTable
  usage_kind: UsageKindTable
  usage_record: UsageTable
  usage_day: UsageDayTable
  refusal: RefusalTable
  audit: AuditTable
  price: PriceTable
}

type AccountTable = {
  id: string
  name: string
  plan: string
  credit_nano: bigint | null
  diem_allowance_nano: bigint
  wallet: string | null
  created_at: bigint
  closed_at: bigint | null
}

type ApiKeyTable = {
  id: string
  account_id: string
  hash: string
  last6: string
  scope: KeyScope
  description: string
  cap_period: CapPeriod
  cap_usd_nano: bigint | null
  cap_diem_nano: bigint | null
  cap_vcu_nano: bigint | null
  model_privacy: ModelPrivacy
  /** A JSON array of ids. */
  models: string | null
  created_at: bigint
  expires_at: bigint | null
  revoked_at: bigint | null
  last_used_at: bigint | null
}

/** An account by a small number. */
type PayerTable = { seq: Generated<bigint>; id: string }

/**
 * One movement of money, never changed. A run that cost nothing has one as well, of nothing and between no books:
 * its id is what keeps the run's usage from being written twice.
 */
type TransferTable = {
  seq: Generated<bigint>
  id: string
  at: bigint
  /** Whose books it touches. */
  payer_seq: bigint | null
  from_book: bigint | null
  to_book: bigint | null
  amount: bigint
  kind: Settlement['kind']
}

/** Sums of all transfers, written in the same transaction as they are. */
type BookTable = { seq: Generated<bigint>; id: string; currency: Currency; balance: bigint }

/** Sums of what was charged by key and the day that it was held on, likewise. `usd` has bundled credits in it. */
type KeyDayTable = { key_id: string; day: bigint; usd: bigint; diem: bigint }

/** What many usage records have in common, written once. */
type UsageKindTable = {
  seq: Generated<bigint>
  payer_seq: bigint
  key_id: string
  model: string
  modality: Modality
  unit: Unit
  price_nano: bigint
  currency: Currency
}

/** Ordered by account and time, so that a page of an account's usage is a range, and rows are appended. */
type UsageTable = {
  payer_seq: bigint
  at: bigint
  transfer_seq: bigint
  line: bigint
  kind_seq: bigint
  count: bigint
  amount: bigint
  execution_ms: bigint
}

/** Sums of usage records by the UTC day of their time, written in the same transaction as they are. */
type UsageDayTable = { payer_seq: bigint; day: bigint; kind_seq: bigint; count: bigint; amount: bigint; requests: bigint }

type RefusalTable = {
  seq: Generated<bigint>
  at: bigint
  account_id: string
  key_id: string
  model: string
  kind: RefusalRow['kind']
}

type AuditTable = { seq: Generated<bigint>; at: bigint; by_key_id: string; action: string; object: string; details: string }

type PriceTable = {
  seq: Generated<bigint>
  id: string
  model: string
  unit: Unit
  price_nano: bigint
  extended: bigint
  starts_at: bigint
  created_at: bigint
}
