/**
 * JSON schemas as structured outputs take them. What the API cannot enforce (bounds, lengths and the like) is
 * told to the model in the description instead; objects are closed, as they must be there.
 */
import { isFields } from '../fields.ts'
import type { Fields } from '../fields.ts'

/** Deeper schemas are cut off at this depth, where anything fits: the API itself takes far less. */
const MAX_DEPTH = 64

const KEPT: ReadonlySet<string> = new Set(['$ref', 'type', 'enum', 'const', 'title', 'default', 'required', 'pattern'])
const FORMATS: ReadonlySet<unknown> = new Set(['date-time', 'time', 'date', 'duration', 'email', 'hostname', 'uri', 'ipv4', 'ipv6', 'uuid'])
const IGNORED: ReadonlySet<string> = new Set(['$schema', '$id', '$comment', 'examples', 'additionalProperties', 'description'])

/** Null where the schema has an object of any properties somewhere: closed, it could only ever be empty. */
export function closedSchema(schema: unknown): unknown {
  const seen = { open: false }
  const closed = close(schema, 0, seen)
  return seen.open ? null : closed
}

type Seen = { open: boolean }

function close(schema: unknown, depth: number, seen: Seen): unknown {
  if (!isFields(schema)) return schema
  if (depth > MAX_DEPTH) return {}
  if (typeof schema['$ref'] === 'string' && depth > 0) return { $ref: schema['$ref'] }
  const out: Record<string, unknown> = {}
  const told: string[] = typeof schema['description'] === 'string' ? [schema['description']] : []
  for (const [keyword, value] of Object.entries(schema)) {
    const kept = keep(keyword, value, depth, seen)
    if (kept) out[kept.keyword] = kept.value
    else if (!IGNORED.has(keyword)) told.push(`${keyword}: ${JSON.stringify(value)}`)
  }
  if (isObject(schema)) {
    if (isOpen(schema)) seen.open = true
    out['additionalProperties'] = false
  }
  if (told.length > 0) out['description'] = told.join('; ')
  return out
}

function isOpen({ properties, additionalProperties }: Fields): boolean {
  return additionalProperties !== false && !(isFields(properties) && Object.keys(properties).length > 0)
}

function keep(keyword: string, value: unknown, depth: number, seen: Seen): { readonly keyword: string; readonly value: unknown } | null {
  if (KEPT.has(keyword)) return { keyword, value }
  switch (keyword) {
    case 'properties':
    case '$defs':
    case 'definitions':
      return { keyword, value: isFields(value) ? eachClosed(value, depth, seen) : value }
    case 'items':
      return Array.isArray(value) ? null : { keyword, value: close(value, depth + 1, seen) }
    case 'anyOf':
    case 'allOf':
    case 'oneOf':
      // One of several is taken for any of several.
      return Array.isArray(value)
        ? { keyword: keyword === 'oneOf' ? 'anyOf' : keyword, value: value.map((inner) => close(inner, depth + 1, seen)) }
        : null
    case 'format':
      return FORMATS.has(value) ? { keyword, value } : null
    case 'minItems':
      return value === 0 || value === 1 ? { keyword, value } : null
    default:
      return null
  }
}

const eachClosed = (schemas: Fields, depth: number, seen: Seen): Fields =>
  Object.fromEntries(Object.entries(schemas).map(([name, inner]) => [name, close(inner, depth + 1, seen)]))

function isObject({ type, properties }: Fields): boolean {
  return type === 'object' || (Array.isArray(type) && type.includes('object')) || (type === undefined && isFields(properties))
}
