/** A JSON Schema as a nested list that can be read: name, type, limits, default, meaning. */
import type { JsonSchema } from './json-schema.ts'

/** Deeper than this a reader is better served by the OpenAPI document. */
const MAX_DEPTH = 5
/** Longer lists of words are cut. */
const MAX_WORDS = 24

/** In a request a field is marked where it must be there, in an answer where it may be missing. */
export type Direction = 'request' | 'answer'

export function fieldLines(schema: JsonSchema, direction: Direction, depth = 0): string[] {
  const lines: string[] = []
  const variants = objectsIn(schema)
  for (const variant of variants) {
    const label = variants.length > 1 ? labelOf(variant) : null
    if (label !== null) lines.push(`${indent(depth)}- ${label}:`)
    if (depth < MAX_DEPTH) lines.push(...propertyLines(variant, direction, label === null ? depth : depth + 1, label))
  }
  return lines
}

function propertyLines(
  { properties = {}, required = [] }: JsonSchema,
  direction: Direction,
  depth: number,
  label: string | null,
): string[] {
  const lines: string[] = []
  for (const [name, field] of Object.entries(properties)) {
    // What tells the variants apart has been said by their heading.
    if (label?.startsWith(`\`${name}: `)) continue
    const isRequired = required.includes(name)
    const mark = direction === 'request' ? (isRequired ? 'required' : null) : isRequired ? null : 'optional'
    lines.push(`${indent(depth)}- \`${name}\`: ${wordsOf(field, mark)}`, ...fieldLines(field, direction, depth + 1))
  }
  return lines
}

function wordsOf(field: JsonSchema, mark: string | null): string {
  const marks = [mark, field.default === undefined ? null : `default ${JSON.stringify(field.default)}`]
  const marked = marks.filter((one) => one !== null).join(', ')
  return `${typeOf(field)}${marked ? ` (${marked})` : ''}${field.description ? `. ${field.description}` : ''}`
}

/** `"on" | "off"`, `number 0 to 2`, `string[]`, `object`. Null stands for absence everywhere and is left out. */
export function typeOf(schema: JsonSchema): string {
  const choices = schema.anyOf ?? schema.oneOf
  if (choices) return unique(choices.filter(({ type }) => type !== 'null').map(typeOf)).join(' | ') || 'null'
  if (schema.const !== undefined) return JSON.stringify(schema.const)
  if (schema.enum) {
    const words = schema.enum.filter((word) => word !== null).map((word) => JSON.stringify(word))
    return words.length > MAX_WORDS ? `${words.slice(0, MAX_WORDS).join(' | ')} | …` : words.join(' | ')
  }
  const types = [schema.type ?? 'any'].flat()
  const type = types.filter((one) => one !== 'null').join(' | ') || 'null'
  if (type === 'array') return `${itemsOf(schema.items ?? {})}[]${range(schema.minItems, schema.maxItems, 'items')}`
  if (type === 'string') return `string${range(schema.minLength, schema.maxLength, 'characters')}`
  if (type === 'number' || type === 'integer') return `${type}${range(schema.minimum, schema.maximum, '')}`
  return type
}

/** What is in a list, without the limits of each. */
function itemsOf(items: JsonSchema): string {
  const { minimum: _least, maximum: _most, minLength: _shortest, maxLength: _longest, minItems: _fewest, maxItems: _all, ...bare } = items
  const type = typeOf(bare)
  return type.includes(' ') ? `(${type})` : type
}

function range(least: number | undefined, most: number | undefined, of: string): string {
  const unit = of ? ` ${of}` : ''
  if (least !== undefined && most !== undefined) return ` ${least} to ${most}${unit}`
  if (most !== undefined) return ` up to ${most}${unit}`
  // "At least one" of something that is there goes without saying.
  return least === undefined || (of !== '' && least <= 1) ? '' : ` from ${least}${unit}`
}

/** The objects with named fields that a value of this schema is, holds, or may be. */
function objectsIn(schema: JsonSchema): JsonSchema[] {
  if (schema.properties) return [schema]
  if (schema.items) return objectsIn(schema.items)
  return (schema.anyOf ?? schema.oneOf ?? []).flatMap(objectsIn)
}

/** What tells one variant from the others: the field with a constant value, or with few. */
function labelOf({ properties = {} }: JsonSchema): string {
  const entries = Object.entries(properties)
  const told = entries.find(([, field]) => field.const !== undefined) ?? entries.find(([, field]) => field.enum !== undefined)
  return told ? `\`${told[0]}: ${typeOf(told[1])}\`` : 'or'
}

const indent = (depth: number): string => '  '.repeat(depth)

const unique = (words: readonly string[]): string[] => [...new Set(words)]
