/** Brings the schema up to date. A start that finds it so looks at one table, and loads neither kysely nor the steps. */
import type { DatabaseSync } from 'node:sqlite'
import { whenFree } from './database.ts'
import { STEP_NAMES } from './migrations/names.ts'
import type { QueryBuilder } from './query-builder.ts'

/** Safe for several processes at once. Rejects where the database is of a later release. */
export async function migrate(db: DatabaseSync, builder: QueryBuilder): Promise<void> {
  // Steps are committed together, so what is in the list is in the tables.
  if (await whenFree(() => isUpToDate(db))) return
  const [kysely, { Migrator }, { provider }] = await Promise.all([
    builder(),
    import('kysely/migration'),
    import('./migrations/provider.ts'),
  ])
  // All steps in one transaction, which also keeps other processes out: SQLite's DDL rolls back like any write.
  await whenFree(() => db.exec('begin immediate'))
  try {
    const { error } = await new Migrator({ db: kysely, provider }).migrateToLatest()
    if (error) throw error instanceof Error ? error : new Error('the migration failed')
    db.exec('commit')
  } catch (error) {
    if (db.isTransaction) db.exec('rollback')
    throw error
  }
}

/** By the list that kysely's migrator keeps. One that differs in any way is the migrator's to judge. */
function isUpToDate(db: DatabaseSync): boolean {
  if (!db.prepare("select 1 from sqlite_schema where type = 'table' and name = 'kysely_migration'").get()) return false
  const done = db.prepare('select name from kysely_migration order by name').all()
  return done.length === STEP_NAMES.length && STEP_NAMES.every((name, i) => done[i]?.['name'] === name)
}
