/**
 * Checks a value against a schema, at the price of the fields that are there. A chat has some forty optional fields and a
 * request about six of them, which zod's interpreter looks at one by one; what it compiles a schema to costs a quarter.
 */
import { z } from 'zod'
import { invalid } from './invalid.ts'

export type Checker = (value: unknown) => unknown

/**
 * The checked value. Throws a 400 that names the field. A schema is compiled when the first value comes.
 * Invariant: the schema itself says what is wrong; the compiled one only says that something is.
 */
export function checkerOf(schema: z.ZodType): Checker {
  let compiled: z.ZodType | null = null
  return (value) => {
    compiled ??= z.compile(schema)
    const quick = compiled.safeParse(value)
    if (quick.success) return quick.data
    const { data, error } = schema.safeParse(value)
    if (error) throw invalid(error)
    return data
  }
}
