/**
 * Checks a value against a schema, at the price of the fields that are there. A chat has some forty optional fields and
 * a request about six of them; zod looks at every field of the schema and allocates for each. So for each set of fields
 * that is seen, a schema of just these is made, once.
 */
import { z } from 'zod'
import { invalid } from './invalid.ts'

/** Sets of fields that are remembered per schema; whatever comes beyond is checked against the whole schema. */
const MAX_SETS = 64

export type Checker = (value: unknown) => unknown

/**
 * The checked value, as the whole schema would give it. Throws a 400 that names the field.
 * Invariant: what passes here passes the whole schema with the same result; what fails is told in the whole schema's words.
 */
export function checkerOf(schema: z.ZodType): Checker {
  const whole: Checker = (value) => {
    const result = schema.safeParse(value)
    if (result.success) return result.data
    throw invalid(result.error)
  }
  const shape = strictShapeOf(schema)
  if (shape === null) return whole
  const needed = Object.keys(shape).filter((field) => !isOptional(shape[field]))
  const known = new Map<string, z.ZodType | null>()
  return (value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return whole(value)
    const fields = Object.keys(value)
    const set = fields.join()
    let part = known.get(set)
    if (part === undefined) {
      if (known.size >= MAX_SETS) return whole(value)
      part = partOf(shape, needed, fields)
      known.set(set, part)
    }
    const result = part?.safeParse(value)
    return result?.success ? result.data : whole(value)
  }
}

type Shape = Readonly<Record<string, z.ZodType>>

/** Null for what is no object, or takes fields that it does not name. */
function strictShapeOf(schema: z.ZodType): Shape | null {
  if (!(schema instanceof z.ZodObject) || !(schema.def.catchall instanceof z.ZodNever)) return null
  const shape: Shape = schema.shape
  return shape
}

/** Whether a field that is absent stays absent: one with a default does not. */
const isOptional = (field: z.ZodType | undefined): boolean => field?._zod.optin === 'optional' && field._zod.optout === 'optional'

/** The schema of these fields, with those that must be there; null where one is unknown, and only the whole one can say so. */
function partOf(shape: Shape, needed: readonly string[], fields: readonly string[]): z.ZodType | null {
  const part: Record<string, z.ZodType> = {}
  for (const field of new Set([...needed, ...fields])) {
    const schema = Object.hasOwn(shape, field) ? shape[field] : undefined
    if (!schema) return null
    part[field] = schema
  }
  return z.strictObject(part)
}
