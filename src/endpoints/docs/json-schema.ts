/** Zod → JSON Schema for readers: the schemas of the declarations without what only a validator wants to know. */
import { z } from 'zod'

/** A JSON Schema as far as the documentation reads it. */
export type JsonSchema = {
  type?: string | string[]
  title?: string
  description?: string
  enum?: unknown[]
  const?: unknown
  default?: unknown
  properties?: Record<string, JsonSchema>
  required?: string[]
  additionalProperties?: JsonSchema | boolean
  items?: JsonSchema
  anyOf?: JsonSchema[]
  oneOf?: JsonSchema[]
  minimum?: number
  maximum?: number
  minLength?: number
  maxLength?: number
  minItems?: number
  maxItems?: number
}

type Direction = 'input' | 'output'

/** What a caller may send. Null is accepted for every optional field and not shown: it means that the field is absent. */
export const inputSchema = (schema: z.ZodType): JsonSchema => toSchema(schema, 'input')

/** What a caller gets. Nothing is said to be impossible: an answer may gain fields. */
export const outputSchema = (schema: z.ZodType): JsonSchema => toSchema(schema, 'output')

function toSchema(schema: z.ZodType, io: Direction): JsonSchema {
  const made = z.toJSONSchema(schema, { io, unrepresentable: 'any' })
  delete made.$schema
  // Zod emits the keywords above with exactly these shapes; others are passed on untouched.
  return readable(made as JsonSchema, io)
}

function readable(schema: JsonSchema, io: Direction): JsonSchema {
  const { properties, items, anyOf, oneOf, ...rest } = schema
  const shown: JsonSchema = { ...rest }
  // "An integer that a number can hold" is no limit that anybody needs to read about.
  if (shown.minimum === Number.MIN_SAFE_INTEGER) delete shown.minimum
  if (shown.maximum === Number.MAX_SAFE_INTEGER) delete shown.maximum
  if (io === 'input' && Array.isArray(shown.type)) {
    const [type, ...others] = shown.type.filter((one) => one !== 'null')
    if (type !== undefined) shown.type = others.length > 0 ? [type, ...others] : type
  }
  if (isAnything(shown.additionalProperties) || (io === 'output' && shown.additionalProperties === false)) delete shown.additionalProperties
  if (properties) shown.properties = Object.fromEntries(Object.entries(properties).map(([name, field]) => [name, readable(field, io)]))
  if (items) shown.items = readable(items, io)
  const choices = (anyOf ?? oneOf)
    ?.filter((choice) => io === 'output' || choice.type !== 'null')
    .map((choice) => titled(readable(choice, io)))
  if (!choices) return shown
  const [only] = choices
  if (choices.length === 1 && only) return { ...only, ...shown }
  return anyOf ? { ...shown, anyOf: choices } : { ...shown, oneOf: choices }
}

/** A variant is called by the constant that tells it from the others. */
function titled(schema: JsonSchema): JsonSchema {
  const told = Object.values(schema.properties ?? {}).find((field) => field.const !== undefined)
  return told && schema.title === undefined ? { ...schema, title: String(told.const) } : schema
}

const isAnything = (schema: JsonSchema | boolean | undefined): boolean => typeof schema === 'object' && Object.keys(schema).length === 0
