/** What was charged, as the account reads it: one entry per priced unit and currency of a run, in JSON and in CSV. */
import { formatUsd, toUsd } from '../core/money.ts'
import type { Amount, Currency } from '../core/money.ts'
import type { UsageEntry } from '../core/store.ts'
import { type Column, csvOf } from './csv.ts'
import { billedSize, skuOf } from './sku.ts'

/** The wire shape. Numbers are whole nano-dollars and counts, divided once, so each prints as the decimal that it is. */
export type StatementEntry = {
  /** ISO 8601, UTC: when the run was settled. */
  readonly timestamp: string
  readonly sku: string
  readonly pricePerUnitUsd: number
  readonly units: number
  /** Never positive: a charge. */
  readonly amount: number
  readonly currency: Currency
  readonly notes: string
  readonly inferenceDetails: InferenceDetails
}

export type InferenceDetails = {
  /** The `id` of the chat, or the id in `x-request-id` where the answer has none. */
  readonly requestId: string
  /** Tokens of the whole run, whatever paid for them; null for what is not counted in tokens. */
  readonly promptTokens: number | null
  readonly completionTokens: number | null
  /** Milliseconds. */
  readonly inferenceExecutionTime: number
}

/** All usage that is recorded comes from runs. */
const NOTES = 'API Inference'

export function entryOf(row: UsageEntry): StatementEntry {
  const { unit, count, amount, currency } = row.line
  return {
    timestamp: timestampOf(row),
    sku: skuOf(row.model, row.modality, unit),
    pricePerUnitUsd: toUsd(pricePerUnit(row)),
    units: count / billedSize(unit),
    amount: toUsd(-amount),
    currency,
    notes: NOTES,
    inferenceDetails: detailsOf(row),
  }
}

export const statementCsv = (rows: readonly UsageEntry[]): string => csvOf(COLUMNS, rows)

const COLUMNS: readonly Column<UsageEntry>[] = [
  { name: 'timestamp', type: 'text', of: timestampOf },
  { name: 'sku', type: 'text', of: (row) => skuOf(row.model, row.modality, row.line.unit) },
  { name: 'pricePerUnitUsd', type: 'number', of: (row) => formatUsd(pricePerUnit(row)) },
  { name: 'units', type: 'number', of: ({ line }) => formatUsd((BigInt(line.count) * NANO) / BigInt(billedSize(line.unit))) },
  { name: 'amount', type: 'number', of: ({ line }) => formatUsd(-line.amount) },
  { name: 'currency', type: 'text', of: ({ line }) => line.currency },
  { name: 'notes', type: 'text', of: () => NOTES },
  { name: 'requestId', type: 'text', of: (row) => detailsOf(row).requestId },
  { name: 'inferenceExecutionTime', type: 'number', of: (row) => wholeOf(detailsOf(row).inferenceExecutionTime) },
  { name: 'promptTokens', type: 'number', of: (row) => wholeOf(detailsOf(row).promptTokens) },
  { name: 'completionTokens', type: 'number', of: (row) => wholeOf(detailsOf(row).completionTokens) },
]

/** Nine decimals are enough for millionths, so the division above leaves nothing over. */
const NANO = 1_000_000_000n

const wholeOf = (count: number | null): string | null => (count === null ? null : String(count))

function timestampOf({ at }: UsageEntry): string {
  return new Date(at).toISOString()
}

function pricePerUnit({ line }: UsageEntry): Amount {
  return BigInt(line.priceNano) * BigInt(billedSize(line.unit))
}

function detailsOf({ requestId, modality, promptTokens, completionTokens, executionMs }: UsageEntry): InferenceDetails {
  const counted = modality === 'text' || modality === 'embedding'
  return {
    requestId: modality === 'text' ? `chatcmpl-${requestId}` : requestId,
    promptTokens: counted ? promptTokens : null,
    completionTokens: counted ? completionTokens : null,
    inferenceExecutionTime: executionMs,
  }
}
