/** The SQLite schema, one step per release that changes it, one file per step. A step that has shipped is never edited. */
import type { Migration, MigrationProvider } from 'kysely/migration'
import { first } from './0001-first.ts'
import { currencies } from './0002-currencies.ts'

/** In code rather than in a scanned folder: what runs is what was reviewed. Names sort in the order they apply. */
const STEPS: Readonly<Record<string, Migration>> = {
  '0001-first': first,
  '0002-currencies': currencies,
}

export const provider: MigrationProvider = { getMigrations: () => Promise.resolve({ ...STEPS }) }
