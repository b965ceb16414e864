/**
 * SQL that a start or a request needs: prepared once, when it is first used, because the tables are made after the store.
 * Whole numbers come as bigint: the database is opened that way. Everything rejects when the database is closed.
 */
import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite'

/** The columns of a row by their names, as `:name` in the text. */
type Named = Readonly<Record<string, SQLInputValue>>

/** `Row` is what the text selects: columns of `schema.ts`, which SQLite keeps to their types because all tables are strict. */
export class Statement<Row = never> {
  readonly #db: DatabaseSync
  readonly #text: string
  #prepared: StatementSync | null = null

  constructor(db: DatabaseSync, text: string) {
    this.#db = db
    this.#text = text
  }

  async one(...values: readonly SQLInputValue[]): Promise<Row | undefined> {
    // As `Row` says, and whoever wrote the text beside it.
    return Promise.resolve(this.#statement().get(...values) as Row | undefined)
  }

  async all(...values: readonly SQLInputValue[]): Promise<Row[]> {
    // Likewise.
    return Promise.resolve(this.#statement().all(...values) as Row[])
  }

  /** Resolves with how many rows it wrote. */
  async run(...values: readonly SQLInputValue[]): Promise<number> {
    return Promise.resolve(Number(this.#statement().run(...values).changes))
  }

  /** Likewise, of a row by the names of its columns. */
  async write(row: Named): Promise<number> {
    return Promise.resolve(Number(this.#statement().run(row).changes))
  }

  #statement(): StatementSync {
    return (this.#prepared ??= this.#db.prepare(this.#text))
  }
}

/** The beginning of a statement that inserts a row by the names of its columns. */
export const insertInto = (table: string, columns: readonly string[]): string =>
  `insert into ${table} (${columns.join(', ')}) values (${columns.map((column) => `:${column}`).join(', ')})`

/** The same for one that changes the row that has the id `:id`. */
export const updateById = (table: string, columns: readonly string[]): string =>
  `update ${table} set ${columns.map((column) => `${column} = :${column}`).join(', ')} where id = :id`
