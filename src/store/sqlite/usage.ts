/** Usage as it is read back row by row: of a request, and in pages by account and time. Daily sums are in usage-days.ts. */
import { setImmediate as others } from 'node:timers/promises'
import type { Kysely } from 'kysely'
import { dayOf, dayStartMs } from '../../core/book.ts'
import type { UsageEntry, UsageFilter, UsagePage, UsagePlace, UsageRow } from '../../core/store.ts'
import type { Schema } from '../schema.ts'
import { requestOf, settleIds } from './commits.ts'
import type { QueryBuilder } from './query-builder.ts'
import type { UsageDays } from './usage-days.ts'

/** A bound for queries that want none. */
const NO_LIMIT = -1
const FIRST_PLACE: UsagePlace = { at: -1, seq: -1, line: -1 }
/** So many rows are looked through at once, about. */
const ROWS_AT_ONCE = 50_000
/** Far away. */
const LAST_DAY = 10_000_000

/** A part of what a filter asks for, and how many rows it has, where that is known. */
type Stretch = UsageFilter & { readonly rows: number | null }

export class Usages {
  readonly #builder: QueryBuilder
  readonly #days: UsageDays

  constructor(builder: QueryBuilder, days: UsageDays) {
    this.#builder = builder
    this.#days = days
  }

  async ofRequest(requestId: string): Promise<UsageRow[]> {
    const db = await this.#builder()
    const rows = await usageRows(db).where('transfer.id', 'in', settleIds(requestId)).orderBy('usage_record.line').execute()
    return rows.map(rowOf)
  }

  async page(filter: UsageFilter, order: 'asc' | 'desc', skip: number, limit: number): Promise<readonly UsageEntry[]> {
    const db = await this.#builder()
    const found: Found[] = []
    let left = skip
    for await (const stretch of this.#stretches(filter, order)) {
      if (stretch.rows !== null && stretch.rows <= left) {
        left -= stretch.rows
        continue
      }
      const some = await ordered(db, stretch, order)
        .limit(limit - found.length)
        .offset(left)
        .execute()
      found.push(...some)
      if (found.length === limit) break
      // What was left out lies in stretches that are over.
      if (left > 0) left = some.length > 0 ? 0 : left - (await countRows(db, stretch))
    }
    return entries(db, found)
  }

  async after(filter: UsageFilter, after: UsagePlace | null, limit: number): Promise<UsagePage> {
    const db = await this.#builder()
    const { at, seq, line } = after ?? FIRST_PLACE
    const found: Found[] = []
    for await (const stretch of this.#stretches({ ...filter, from: Math.max(filter.from ?? 0, at) }, 'asc')) {
      const some = await ordered(db, stretch, 'asc')
        .where(({ eb, refTuple, tuple }) =>
          eb(
            refTuple('usage_record.at', 'usage_record.transfer_seq', 'usage_record.line'),
            '>',
            tuple(BigInt(at), BigInt(seq), BigInt(line)),
          ),
        )
        .limit(limit + 1 - found.length)
        .execute()
      found.push(...some)
      if (found.length > limit) break
    }
    const rows = found.slice(0, limit)
    const last = rows.at(-1)
    const next = last && found.length > limit ? { at: Number(last.at), seq: Number(last.transfer_seq), line: Number(last.line) } : null
    return { rows: await entries(db, rows), next }
  }

  /** Whole days are counted by their sums; only what is left at the two ends is counted row by row. */
  async count({ accountId, currency, from, to }: UsageFilter): Promise<number> {
    const db = await this.#builder()
    const firstDay = from === null ? null : dayOf(from - 1) + 1
    const endDay = to === null ? null : dayOf(to)
    if (firstDay !== null && endDay !== null && firstDay >= endDay) return countRows(db, { accountId, currency, from, to })
    const days = await db
      .selectFrom('usage_day')
      .innerJoin('payer', 'payer.seq', 'usage_day.payer_seq')
      .innerJoin('usage_kind', 'usage_kind.seq', 'usage_day.kind_seq')
      .select(({ fn }) => fn.sum<bigint | null>('requests').as('count'))
      .where('payer.id', '=', accountId)
      .$if(firstDay !== null, (query) => query.where('day', '>=', BigInt(firstDay ?? 0)))
      .$if(endDay !== null, (query) => query.where('day', '<', BigInt(endDay ?? 0)))
      .$if(currency !== null, (query) => query.where('usage_kind.currency', '=', currency ?? 'USD'))
      .executeTakeFirstOrThrow()
    const before = firstDay === null ? 0 : await countRows(db, { accountId, currency, from, to: dayStartMs(firstDay) })
    const after = endDay === null ? 0 : await countRows(db, { accountId, currency, from: dayStartMs(endDay), to })
    return before + Number(days.count ?? 0n) + after
  }

  /**
   * Times that together hold all that is wanted, in order. All of a currency may be a few rows among millions, and other
   * requests wait for whoever looks through these: so days without it are passed over by their sums, and large ones are taken
   * in pieces, with a turn for the others in between.
   */
  async *#stretches(filter: UsageFilter, order: 'asc' | 'desc'): AsyncGenerator<Stretch> {
    const { accountId, currency, from, to } = filter
    if (currency === null) {
      yield { ...filter, rows: null }
      return
    }
    let firstDay = from === null ? 0 : dayOf(from)
    let lastDay = to === null ? LAST_DAY : dayOf(to - 1)
    for (;;) {
      const found = this.#days.nearest(accountId, currency, firstDay, lastDay, order)
      if (!found) return
      const { day, ofCurrency, all } = found
      const start = Math.max(dayStartMs(day), from ?? 0)
      const end = Math.min(dayStartMs(day + 1), to ?? Infinity)
      const whole = end - start === dayStartMs(1)
      const pieces = Math.ceil(all / ROWS_AT_ONCE)
      for (let i = 0; i < pieces; i++) {
        const piece = order === 'asc' ? i : pieces - 1 - i
        const edge = (of: number): number => start + Math.floor(((end - start) * of) / pieces)
        yield { ...filter, from: edge(piece), to: edge(piece + 1), rows: whole && pieces === 1 ? ofCurrency : null }
        await others()
      }
      if (order === 'asc') firstDay = day + 1
      else lastDay = day - 1
    }
  }
}

function ordered(db: Kysely<Schema>, filter: UsageFilter, order: 'asc' | 'desc') {
  return filtered(db, filter)
    .orderBy('usage_record.at', order)
    .orderBy('usage_record.transfer_seq', order)
    .orderBy('usage_record.line', order)
}

function usageRows(db: Kysely<Schema>) {
  return db
    .selectFrom('usage_record')
    .innerJoin('transfer', 'transfer.seq', 'usage_record.transfer_seq')
    .innerJoin('usage_kind', 'usage_kind.seq', 'usage_record.kind_seq')
    .innerJoin('payer', 'payer.seq', 'usage_record.payer_seq')
    .select(['transfer.id as transfer_id', 'payer.id as account_id', 'usage_record.at', 'transfer_seq', 'line'])
    .select(['key_id', 'model', 'modality', 'unit', 'price_nano', 'currency'])
    .select(['count', 'usage_record.amount', 'execution_ms'])
    .$castTo<Found>()
}

function filtered(db: Kysely<Schema>, { accountId, currency, from, to }: UsageFilter) {
  return (
    usageRows(db)
      // A subquery rather than the join, so that the range of one account is read, and in order.
      .where('usage_record.payer_seq', '=', ({ selectFrom }) => selectFrom('payer as p').select('p.seq').where('p.id', '=', accountId))
      .$if(from !== null, (query) => query.where('usage_record.at', '>=', BigInt(from ?? 0)))
      .$if(to !== null, (query) => query.where('usage_record.at', '<', BigInt(to ?? 0)))
      .$if(currency !== null, (query) => query.where('usage_kind.currency', '=', currency ?? 'USD'))
  )
}

async function countRows(db: Kysely<Schema>, { accountId, currency, from, to }: UsageFilter): Promise<number> {
  if (from !== null && to !== null && from >= to) return 0
  const row = await db
    .selectFrom('usage_record')
    .innerJoin('usage_kind', 'usage_kind.seq', 'usage_record.kind_seq')
    .select(({ fn }) => fn.countAll<bigint>().as('count'))
    .where('usage_record.payer_seq', '=', ({ selectFrom }) => selectFrom('payer').select('payer.seq').where('payer.id', '=', accountId))
    .$if(from !== null, (query) => query.where('at', '>=', BigInt(from ?? 0)))
    .$if(to !== null, (query) => query.where('at', '<', BigInt(to ?? 0)))
    .$if(currency !== null, (query) => query.where('usage_kind.currency', '=', currency ?? 'USD'))
    .executeTakeFirstOrThrow()
  return Number(row.count)
}

/** Adds the tokens of the whole run, parts of which may be on another page or in another currency. */
async function entries(db: Kysely<Schema>, found: readonly Found[]): Promise<UsageEntry[]> {
  const first = found[0]
  if (!first) return []
  const all = await usageRows(db)
    .where('usage_record.payer_seq', '=', ({ selectFrom }) => selectFrom('payer as p').select('p.seq').where('p.id', '=', first.account_id))
    .where('usage_record.at', 'in', [...new Set(found.map(({ at }) => at))])
    .limit(NO_LIMIT)
    .execute()
  const tokens = new Map<string, { prompt: number; completion: number }>()
  for (const row of all) {
    const requestId = requestOf(row.transfer_id)
    const run = tokens.get(requestId) ?? { prompt: 0, completion: 0 }
    tokens.set(requestId, run)
    if (row.unit === 'outputToken') run.completion += Number(row.count)
    else if (row.unit === 'inputToken' || row.unit === 'cacheReadToken' || row.unit === 'cacheWriteToken') run.prompt += Number(row.count)
  }
  return found.map((one) => {
    const row = rowOf(one)
    const run = tokens.get(row.requestId)
    return { ...row, promptTokens: run?.prompt ?? 0, completionTokens: run?.completion ?? 0 }
  })
}

type Found = {
  readonly transfer_id: string
  readonly account_id: string
  readonly at: bigint
  readonly transfer_seq: bigint
  readonly line: bigint
  readonly key_id: string
  readonly model: string
  readonly modality: UsageRow['modality']
  readonly unit: UsageRow['line']['unit']
  readonly price_nano: bigint
  readonly currency: UsageRow['line']['currency']
  readonly count: bigint
  readonly amount: bigint
  readonly execution_ms: bigint
}

const rowOf = (row: Found): UsageRow => ({
  requestId: requestOf(row.transfer_id),
  at: Number(row.at),
  accountId: row.account_id,
  keyId: row.key_id,
  model: row.model,
  modality: row.modality,
  line: { unit: row.unit, count: Number(row.count), priceNano: Number(row.price_nano), amount: row.amount, currency: row.currency },
  executionMs: Number(row.execution_ms),
})
