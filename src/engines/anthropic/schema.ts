/**
 * JSON schemas as structured outputs take them. What the API cannot enforce (bounds, lengths, patterns of counts) is
 * told to the model in the description instead; objects are closed, as they must be there.
 */
import { isFields } from './wire.ts'
import type { Fields } from './wire.ts'

/** Deeper schemas are cut off at this depth, where anything fits: the API itself takes far less. */
const MAX_DEPTH = 64

const KEPT: ReadonlySet<string> = new Set(['$ref', 'type', 'enum', 'const', 'title', 'default', 'required', 'pattern'])
const FORMATS: ReadonlySet<unknown> = new Set(['date-time', 'time', 'date', 'duration', 'email', 'hostname', 'uri', 'ipv4', 'ipv6', 'uuid'])
const IGNORED: ReadonlySet<string> = new Set(['$schema', '$id', '$comment', 'examples', 'additionalProperties', 'description'])

export function closedSchema(schema: unknown, depth = 0): unknown {
  if (!isFields(schema)) return schema
  if (depth > MAX_DEPTH) return {}
  const out: Record<string, unknown> = {}
  const told: string[] = typeof schema['description'] === 'string' ? [schema['description']] : []
  for (const [keyword, value] of Object.entries(schema)) {
    const kept = keep(keyword, value, depth)
    if (kept) out[kept.keyword] = kept.value
    else if (!IGNORED.has(keyword)) told.push(`${keyword}: ${JSON.stringify(value)}`)
  }
  if (isObject(schema)) out['additionalProperties'] = false
  if (told.length > 0) out['description'] = told.join('; ')
  return out
}

function keep(keyword: string, value: unknown, depth: number): { readonly keyword: string; readonly value: unknown } | null {
  if (KEPT.has(keyword)) return { keyword, value }
  switch (keyword) {
    case 'properties':
    case '$defs':
    case 'definitions':
      return { keyword, value: isFields(value) ? eachClosed(value, depth) : value }
    case 'items':
      return Array.isArray(value) ? null : { keyword, value: closedSchema(value, depth + 1) }
    case 'anyOf':
    case 'allOf':
    case 'oneOf':
      // One of several is taken for any of several.
      return Array.isArray(value)
        ? { keyword: keyword === 'oneOf' ? 'anyOf' : keyword, value: value.map((inner) => closedSchema(inner, depth + 1)) }
        : null
    case 'format':
      return FORMATS.has(value) ? { keyword, value } : null
    case 'minItems':
      return value === 0 || value === 1 ? { keyword, value } : null
    default:
      return null
  }
}

const eachClosed = (schemas: Fields, depth: number): Fields =>
  Object.fromEntries(Object.entries(schemas).map(([name, inner]) => [name, closedSchema(inner, depth + 1)]))

function isObject({ type, properties }: Fields): boolean {
  return type === 'object' || (Array.isArray(type) && type.includes('object')) || (type === undefined && isFields(properties))
}
