/** Reads one file of the catalogue, already parsed as JSON: the typed data, or one sentence that says where it is wrong. */
import type { z } from 'zod'
import { problem } from './problem.ts'

/**
 * `file` is the name by which the operator knows it, such as `models/text.json`.
 * Throws a `CatalogProblem` that names the file, the entry (by its id where it has one), the field and what it takes.
 */
export function readFile<T>(schema: z.ZodType<T>, raw: unknown, file: string): T {
  const read = schema.safeParse(raw)
  if (read.success) return read.data
  const issue = read.error.issues[0]
  const [head, ...rest] = issue?.path ?? []
  const where = [file, ...(head === undefined ? [] : [entryName(raw, head)]), ...(rest.length === 0 ? [] : [rest.map(String).join('.')])]
  throw problem(`${where.join(': ')}: ${issue?.message ?? 'is not valid'}`)
}

/** The id of the entry at this place of a list, or the place itself. */
function entryName(raw: unknown, place: PropertyKey): string {
  const entry: unknown = Array.isArray(raw) && typeof place === 'number' ? raw[place] : undefined
  if (typeof entry === 'object' && entry !== null && 'id' in entry && typeof entry.id === 'string') return entry.id
  return typeof place === 'number' ? `entry ${place + 1}` : String(place)
}
