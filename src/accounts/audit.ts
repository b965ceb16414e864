/**
 * The record of what administrators did.
 * Invariant: the line is written before the deed, so nothing is done that nobody can read of; a deed that failed, or of which it is
 * not known, has a second line that says so. A line holds ids, names of fields, numbers, and the operator's own words for why; no key and no content.
 */
import type { Caller } from '../core/call.ts'
import type { Clock } from '../core/clock.ts'
import type { AuditRow, Store } from '../core/store.ts'

export type Details = AuditRow['details']

/** Longer reasons are refused: a reason is a reference, not a letter. */
export const MAX_REASON_CHARS = 200

export class Audit {
  readonly #store: Pick<Store, 'insertAudit' | 'audit'>
  readonly #clock: Pick<Clock, 'now'>

  constructor(store: Pick<Store, 'insertAudit' | 'audit'>, clock: Pick<Clock, 'now'>) {
    this.#store = store
    this.#clock = clock
  }

  /** Writes down what is about to be done, and does it. Rejects without doing it where it cannot be written down. */
  async done<T>(by: Pick<Caller, 'keyId'>, action: string, object: string, details: Details, deed: () => Promise<T>): Promise<T> {
    await this.note(by, action, object, details)
    try {
      return await deed()
    } catch (error) {
      // The first line is there and must not be taken for a success. Where the store is away, so is this one: then the ledger tells.
      await this.note(by, `${action}.failed`, object, details).catch(() => undefined)
      throw error
    }
  }

  note(by: Pick<Caller, 'keyId'>, action: string, object: string, details: Details): Promise<void> {
    return this.#store.insertAudit({ at: Math.round(this.#clock.now()), byKeyId: by.keyId, action, object, details })
  }

  /** The latest first; those before the place `before`. `next` is the place of the next page, null where there is none. */
  async page(before: number | null, limit: number): Promise<{ rows: (AuditRow & { readonly seq: number })[]; next: number | null }> {
    const rows = await this.#store.audit(before, limit + 1)
    const shown = rows.slice(0, limit)
    return { rows: shown, next: rows.length > limit ? (shown.at(-1)?.seq ?? null) : null }
  }
}
