/** The tables as kysely sees them. Every whole number comes back as bigint: money never passes through a float. */
import type { Generated } from 'kysely'
import type { KeyScope } from '../core/call.ts'
import type { Modality } from '../core/modality.ts'
import type { RefusalRow, Settlement } from '../core/store.ts'
import type { Unit } from '../core/usage.ts'

export type Schema = {
  account: AccountTable
  api_key: ApiKeyTable
  transfer: TransferTable
  book: BookTable
  key_spend: KeySpendTable
  usage_kind: UsageKindTable
  usage_record: UsageTable
  refusal: RefusalTable
}

type AccountTable = {
  id: string
  name: string
  plan: string
  credit_nano: bigint | null
  created_at: bigint
}

type ApiKeyTable = {
  id: string
  account_id: string
  hash: string
  last6: string
  scope: KeyScope
  description: string
  spend_cap_nano: bigint | null
  created_at: bigint
  expires_at: bigint | null
  revoked_at: bigint | null
}

/**
 * One movement of money, never changed. A run that cost nothing has one as well, of nothing and between no books:
 * its id is what keeps the run's usage from being written twice.
 */
type TransferTable = {
  seq: Generated<bigint>
  id: string
  at: bigint
  from_book: bigint | null
  to_book: bigint | null
  amount: bigint
  kind: Settlement['kind']
}

/** Sums of all transfers, written in the same transaction as they are. */
type BookTable = { seq: Generated<bigint>; id: string; balance: bigint }

/** Sums of what was charged by key, likewise. */
type KeySpendTable = { key_id: string; spent: bigint }

/** What many usage records have in common, written once. */
type UsageKindTable = {
  seq: Generated<bigint>
  account_id: string
  key_id: string
  model: string
  modality: Modality
  unit: Unit
  price_nano: bigint
}

/** Ordered by (transfer, line), so that rows are appended and need no index of their own. The time is the transfer's. */
type UsageTable = {
  transfer_seq: bigint
  line: bigint
  kind_seq: bigint
  count: bigint
  amount: bigint
  execution_ms: bigint
}

type RefusalTable = {
  seq: Generated<bigint>
  at: bigint
  account_id: string
  key_id: string
  model: string
  kind: RefusalRow['kind']
}
