/**
 * Daily sums of usage, read in bulk: a year of a large account is some hundred thousand of them, so rows come as arrays,
 * by a statement of its own (kysely would take twice as long).
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { setImmediate as others } from 'node:timers/promises'
import type { Currency } from '../../core/money.ts'
import type { UsageDay } from '../../core/store.ts'

/** So many days are read at once; other requests get their turn in between. */
const DAYS_AT_ONCE = 31

type Writable = { -readonly [Field in keyof UsageDay]: UsageDay[Field] }
/** What a kind says of a sum. Kinds that differ in their price only have one `group`. */
type Kind = Pick<UsageDay, 'keyId' | 'model' | 'modality' | 'unit' | 'currency'> & { readonly group: Group }
/** The sum that was read last of this group. */
type Group = { last: Writable | null }

/** How many rows a day has: of one currency, and of all. */
export type DayRows = { readonly day: number; readonly ofCurrency: number; readonly all: number }

export class UsageDays {
  readonly #db: DatabaseSync
  // Prepared when first used: the tables are made after this.
  #kinds: StatementSync | null = null
  #days: StatementSync | null = null
  readonly #nearest: { asc: StatementSync | null; desc: StatementSync | null } = { asc: null, desc: null }
  #rows: StatementSync | null = null

  constructor(db: DatabaseSync) {
    this.#db = db
  }

  /** Both days included, in the order of days. */
  async read(accountId: string, fromDay: number, toDay: number): Promise<UsageDay[]> {
    this.#kinds ??= arraysOf(
      this.#db,
      `select kind.seq, kind.payer_seq, key_id, model, modality, unit, currency from payer
         join usage_kind as kind on kind.payer_seq = payer.seq where payer.id = ?`,
    )
    this.#days ??= arraysOf(
      this.#db,
      'select day, kind_seq, count, amount, requests from usage_day where payer_seq = ? and day >= ? and day <= ? order by day',
    )
    const { payer, kinds } = kindsOf(this.#kinds.all(accountId))
    const sums: UsageDay[] = []
    if (payer === null) return sums
    for (let day = fromDay; day <= toDay; day += DAYS_AT_ONCE) {
      if (day > fromDay) await others()
      addTo(sums, this.#days.all(payer, day, Math.min(toDay, day + DAYS_AT_ONCE - 1)), kinds)
    }
    return sums
  }

  /**
   * The first day (`asc`) or the last one (`desc`) between these two, both included, with usage that was paid in this
   * currency; null where there is none.
   */
  nearest(accountId: string, currency: Currency, fromDay: number, toDay: number, order: 'asc' | 'desc'): DayRows | null {
    const nearest = (this.#nearest[order] ??= arraysOf(
      this.#db,
      `select usage_day.payer_seq, day from payer join usage_day on usage_day.payer_seq = payer.seq
         where payer.id = ?1 and day >= ?3 and day <= ?4
           and kind_seq in (select kind.seq from usage_kind as kind where kind.payer_seq = payer.seq and currency = ?2)
         order by day ${order} limit 1`,
    ))
    this.#rows ??= arraysOf(
      this.#db,
      `select sum(iif(currency = ?, requests, 0)), sum(requests) from usage_day join usage_kind as kind on kind.seq = kind_seq
         where usage_day.payer_seq = ? and day = ?`,
    )
    const [found] = pairsOf(nearest.all(accountId, currency, fromDay, toDay))
    if (!found) return null
    const [payer, day] = found
    const [rows] = pairsOf(this.#rows.all(currency, payer, day))
    return { day: Number(day), ofCurrency: Number(rows?.[0] ?? 0), all: Number(rows?.[1] ?? 0) }
  }
}

/** Rows of two whole numbers, in the order of the statement's columns. */
const pairsOf = (rows: unknown): readonly (readonly [bigint, bigint])[] => rows as readonly (readonly [bigint, bigint])[]

function arraysOf(db: DatabaseSync, text: string): StatementSync {
  const statement = db.prepare(text)
  statement.setReturnArrays(true)
  return statement
}

function kindsOf(rows: unknown): { payer: bigint | null; kinds: ReadonlyMap<bigint, Kind> } {
  const kinds = new Map<bigint, Kind>()
  const groups = new Map<string, Group>()
  let payer: bigint | null = null
  // Arrays in the order of the statement's columns, which are strict.
  for (const row of rows as readonly [bigint, bigint, string, string, UsageDay['modality'], UsageDay['unit'], UsageDay['currency']][]) {
    const [seq, payerSeq, keyId, model, modality, unit, currency] = row
    const name = JSON.stringify([keyId, model, modality, unit, currency])
    const group = groups.get(name) ?? { last: null }
    groups.set(name, group)
    kinds.set(seq, { keyId, model, modality, unit, currency, group })
    payer = payerSeq
  }
  return { payer, kinds }
}

function addTo(sums: UsageDay[], rows: unknown, kinds: ReadonlyMap<bigint, Kind>): void {
  // As above.
  for (const [day, seq, count, amount, requests] of rows as readonly [bigint, bigint, bigint, bigint, bigint][]) {
    const kind = kinds.get(seq)
    // One that was written after the kinds were read: a moment later it would have been in neither.
    if (!kind) continue
    const { keyId, model, modality, unit, currency, group } = kind
    if (group.last?.day === Number(day)) {
      group.last.count += Number(count)
      group.last.amount += amount
      group.last.requests += Number(requests)
      continue
    }
    group.last = { day: Number(day), keyId, model, modality, unit, currency, count: Number(count), amount, requests: Number(requests) }
    sums.push(group.last)
  }
}
