/**
 * Whether a value fits a JSON schema: draft 2020-12 as tool and answer schemas use it, with the older spellings that
 * are still about. Keywords that it does not know constrain nothing; `format` is for the maker to obey.
 */
import { isDeepStrictEqual } from 'node:util'
import { readPattern } from './pattern.ts'
import type { Pattern } from './pattern.ts'
import { matches } from './pattern-text.ts'
import type { Budget } from './pattern-text.ts'

/** A schema that is an object. */
export type Rule = Readonly<Record<string, unknown>>

/** What one job with one schema shares: where references point, what was read before, and how much work is left. */
export type Job = { readonly root: unknown; readonly patterns: Map<string, Pattern | null>; readonly budget: Budget }

/** Proposals, one after the other, made only as they are asked for. */
export type Supply<T = unknown> = Generator<T, undefined, undefined>

/** How deep schemas may be nested in one another, references followed included. */
const MAX_NESTING = 200
const CHARACTERS_PER_STEP = 16

export const isRule = (schema: unknown): schema is Rule => typeof schema === 'object' && schema !== null && !Array.isArray(schema)

export function fits(schema: unknown, value: unknown, job: Job, nesting = 0): boolean {
  if (typeof schema === 'boolean') return schema
  if (!isRule(schema) || nesting > MAX_NESTING || --job.budget.left < 0) return false
  const deeper = (inner: unknown, of: unknown = value): boolean => fits(inner, of, job, nesting + 1)

  if (typeof schema['$ref'] === 'string' && !deeper(resolve(job.root, schema['$ref']))) return false
  if (!fitsType(schema, value)) return false
  if ('const' in schema && !isDeepStrictEqual(schema['const'], value)) return false
  if (Array.isArray(schema['enum'])) {
    job.budget.left -= schema['enum'].length
    if (!schema['enum'].some((allowed) => isDeepStrictEqual(allowed, value))) return false
  }
  if (!listOf(schema, 'allOf').every((inner) => deeper(inner))) return false
  if (schema['anyOf'] && !listOf(schema, 'anyOf').some((inner) => deeper(inner))) return false
  if (schema['oneOf'] && listOf(schema, 'oneOf').filter((inner) => deeper(inner)).length !== 1) return false
  if ('not' in schema && deeper(schema['not'])) return false
  if ('if' in schema && !deeper((deeper(schema['if']) ? schema['then'] : schema['else']) ?? true)) return false

  if (typeof value === 'string') return fitsString(schema, value, job)
  if (typeof value === 'number') return fitsNumber(schema, value)
  if (Array.isArray(value)) return fitsArray(schema, value, deeper)
  return isRule(value) ? fitsObject(schema, value, job, deeper) : true
}

/** The schema that a reference within the document points at; undefined where it points nowhere or elsewhere. */
export function resolve(root: unknown, reference: string): unknown {
  if (!reference.startsWith('#')) return undefined
  let at = root
  for (const step of reference.slice(1).split('/').slice(1)) {
    const name = unescaped(step)
    if (Array.isArray(at)) at = at[Number(name)]
    else at = isRule(at) && Object.hasOwn(at, name) ? at[name] : undefined
  }
  return at
}

/** The schemas that the value of one property must fit: named, by pattern, or by being none of these. */
export function schemasOfProperty(rule: Rule, name: string, job: Job): unknown[] {
  const out: unknown[] = []
  const named = rule['properties']
  if (isRule(named) && Object.hasOwn(named, name)) out.push(named[name])
  const byPattern = rule['patternProperties']
  if (isRule(byPattern)) for (const [source, schema] of Object.entries(byPattern)) if (occurs(source, name, job)) out.push(schema)
  if (out.length === 0 && 'additionalProperties' in rule) out.push(rule['additionalProperties'])
  return out
}

/** The schema of the item at an index; true where there is none. */
export function schemaOfItem(rule: Rule, index: number): unknown {
  const tuple = Array.isArray(rule['items']) ? rule['items'] : listOf(rule, 'prefixItems')
  if (index < tuple.length) return tuple[index]
  return (Array.isArray(rule['items']) ? rule['additionalItems'] : rule['items']) ?? true
}

export const listOf = (rule: Rule, keyword: string): readonly unknown[] => {
  const list = rule[keyword]
  return Array.isArray(list) ? list : []
}

export const numberOf = (rule: Rule, keyword: string): number | undefined => {
  const number = rule[keyword]
  return typeof number === 'number' ? number : undefined
}

/** The types that a schema names, `null` included where it is nullable in the manner of OpenAPI 3.0; null for all. */
export function typesOf(rule: Rule): readonly unknown[] | null {
  const type = rule['type']
  if (type === undefined) return null
  const types: readonly unknown[] = Array.isArray(type) ? type : [type]
  return rule['nullable'] === true ? [...types, 'null'] : types
}

/** Whether a regular expression occurs in a text. One that cannot be read occurs nowhere. */
export function occurs(source: string, text: string, job: Job): boolean {
  const pattern = patternOf(source, job)
  return pattern !== null && matches(pattern, text, job.budget)
}

export function patternOf(source: string, { patterns, budget }: Job): Pattern | null {
  const known = patterns.get(source)
  if (known !== undefined) return known
  budget.left -= source.length
  const pattern = readPattern(source)
  patterns.set(source, pattern)
  return pattern
}

function fitsType(rule: Rule, value: unknown): boolean {
  const types = typesOf(rule)
  if (!types) return true
  if (value === null) return types.includes('null')
  if (Array.isArray(value)) return types.includes('array')
  if (typeof value === 'number') return types.includes('number') || (Number.isInteger(value) && types.includes('integer'))
  return types.includes(typeof value)
}

function fitsString(rule: Rule, text: string, job: Job): boolean {
  // Every text that was made comes by here, so the budget bounds the size of the whole as well.
  job.budget.left -= text.length / CHARACTERS_PER_STEP
  if (text.length < (numberOf(rule, 'minLength') ?? 0) || text.length > (numberOf(rule, 'maxLength') ?? Infinity)) return false
  return typeof rule['pattern'] !== 'string' || occurs(rule['pattern'], text, job)
}

function fitsNumber(rule: Rule, number: number): boolean {
  const minimum = numberOf(rule, 'minimum') ?? -Infinity
  const maximum = numberOf(rule, 'maximum') ?? Infinity
  if (number < minimum || number > maximum) return false
  // Draft 4 has `exclusiveMinimum: true` beside `minimum`.
  if (number <= (rule['exclusiveMinimum'] === true ? minimum : (numberOf(rule, 'exclusiveMinimum') ?? -Infinity))) return false
  if (number >= (rule['exclusiveMaximum'] === true ? maximum : (numberOf(rule, 'exclusiveMaximum') ?? Infinity))) return false
  const step = numberOf(rule, 'multipleOf')
  if (step === undefined || step <= 0) return true
  const nearest = Math.round(number / step) * step
  return Math.abs(number - nearest) <= 1e-9 * Math.max(step, Math.abs(number))
}

function fitsArray(rule: Rule, items: readonly unknown[], deeper: (inner: unknown, of: unknown) => boolean): boolean {
  if (items.length < (numberOf(rule, 'minItems') ?? 0) || items.length > (numberOf(rule, 'maxItems') ?? Infinity)) return false
  if (rule['uniqueItems'] === true && new Set(items.map((item) => JSON.stringify(item))).size < items.length) return false
  if (!items.every((item, index) => deeper(schemaOfItem(rule, index), item))) return false
  if (!('contains' in rule)) return true
  const found = items.filter((item) => deeper(rule['contains'], item)).length
  return found >= (numberOf(rule, 'minContains') ?? 1) && found <= (numberOf(rule, 'maxContains') ?? Infinity)
}

function fitsObject(rule: Rule, object: Rule, job: Job, deeper: (inner: unknown, of: unknown) => boolean): boolean {
  const names = Object.keys(object)
  if (names.length < (numberOf(rule, 'minProperties') ?? 0) || names.length > (numberOf(rule, 'maxProperties') ?? Infinity)) return false
  const has = (name: unknown): boolean => typeof name === 'string' && Object.hasOwn(object, name)
  if (!listOf(rule, 'required').every(has)) return false
  const dependent = rule['dependentRequired']
  if (isRule(dependent) && Object.keys(dependent).some((name) => has(name) && !listOf(dependent, name).every(has))) return false
  return names.every(
    (name) =>
      schemasOfProperty(rule, name, job).every((inner) => deeper(inner, object[name])) &&
      (!('propertyNames' in rule) || deeper(rule['propertyNames'], name)),
  )
}

/** One step of a JSON pointer in a fragment: per cent first, then `~`. */
function unescaped(step: string): string {
  let text = step
  try {
    text = decodeURIComponent(step)
  } catch {
    // A lone per cent sign stands for itself.
  }
  return text.replaceAll('~1', '/').replaceAll('~0', '~')
}
