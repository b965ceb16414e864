/** The SQLite schema, one step per release that changes it, one file per step. A step that has shipped is never edited. */
import type { Migration, MigrationProvider } from 'kysely/migration'
import { first } from './0001-first.ts'
import { currencies } from './0002-currencies.ts'
import type { StepName } from './names.ts'

/** In code rather than in a scanned folder: what runs is what was reviewed. */
const STEPS: Readonly<Record<StepName, Migration>> = {
  '0001-first': first,
  '0002-currencies': currencies,
}

export const provider: MigrationProvider = { getMigrations: () => Promise.resolve({ ...STEPS }) }
