/**
 * Rows for one table, several to a statement: what a statement costs besides its rows is paid an eighth as often.
 * Values wait in one array that is used again and again, so that a row makes no garbage.
 */
import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite'

/** More at once gains nothing that could be measured, and small batches would use it less. */
const ROWS_AT_ONCE = 8

/** As wide as both tables that it is for. */
const WIDTH = 8

export class Rows {
  readonly #several: StatementSync
  readonly #one: StatementSync
  readonly #values: SQLInputValue[]
  #at = 0
  #written = 0

  /** `or fail`: SQLite need not remember how to undo half a statement, for the transaction is undone as a whole. */
  constructor(db: DatabaseSync, table: string, conflict = '') {
    const row = `(${Array.from({ length: WIDTH }, () => '?').join(', ')})`
    const prepare = (rows: number): StatementSync => {
      const values = Array.from({ length: rows }, () => row).join(', ')
      const statement = db.prepare(`insert or fail into ${table} values ${values} ${conflict}`)
      statement.setReadBigInts(false)
      return statement
    }
    this.#several = prepare(ROWS_AT_ONCE)
    this.#one = prepare(1)
    this.#values = Array.from({ length: WIDTH * ROWS_AT_ONCE }, () => null)
  }

  /** Forgets what waits, which is there only after a failure. */
  begin(): void {
    this.#at = 0
    this.#written = 0
  }

  add8(
    a: SQLInputValue,
    b: SQLInputValue,
    c: SQLInputValue,
    d: SQLInputValue,
    e: SQLInputValue,
    f: SQLInputValue,
    g: SQLInputValue,
    h: SQLInputValue,
  ): void {
    const values = this.#values
    const at = this.#at
    values[at] = a
    values[at + 1] = b
    values[at + 2] = c
    values[at + 3] = d
    values[at + 4] = e
    values[at + 5] = f
    values[at + 6] = g
    values[at + 7] = h
    this.#to(at + 8)
  }

  /** Writes what waits. Returns how many rows were written since `begin`. */
  end(): number {
    for (let at = 0; at < this.#at; at += WIDTH) this.#run(this.#one, this.#values.slice(at, at + WIDTH))
    this.#at = 0
    return this.#written
  }

  #to(at: number): void {
    this.#at = at
    if (at < this.#values.length) return
    this.#run(this.#several, this.#values)
    this.#at = 0
  }

  #run(statement: StatementSync, values: readonly SQLInputValue[]): void {
    this.#written += Number(statement.run(...values).changes)
  }
}
