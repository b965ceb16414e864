/**
 * kysely over the store's one connection, for lists, pages and what administrators do. It is 250 modules, some 4 MB and 60 ms,
 * and a server that only serves runs never asks for it: so it is loaded with the first query that does.
 * Invariant: what is loaded at a start imports the types of kysely at most.
 */
import type { DatabaseSync } from 'node:sqlite'
import type { Kysely } from 'kysely'
import type { Schema } from '../schema.ts'
import { forKysely } from './database.ts'

export type QueryBuilder = () => Promise<Kysely<Schema>>

/** Nothing is to be closed: it has no connection of its own, and rejects once the database is closed. */
export function queryBuilder(db: DatabaseSync): QueryBuilder {
  let made: Kysely<Schema> | null = null
  return async () => {
    if (made) return made
    // Node remembers the modules; where they could not be read, the next query tries again.
    const { Kysely, SqliteDialect } = await import('kysely')
    return (made ??= new Kysely<Schema>({ dialect: new SqliteDialect({ database: forKysely(db) }) }))
  }
}
