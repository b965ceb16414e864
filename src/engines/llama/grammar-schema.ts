/**
 * A JSON Schema as a grammar: whatever the model would rather say, what it can say fits the schema. Properties come in the order
 * of the schema. Where a schema leaves something open (more properties than it names), the narrower answer is taken.
 */
import { isFields, listIn } from '../fields.ts'
import type { Fields } from '../fields.ts'
import { integerRange } from './grammar-numbers.ts'
import { MAX_REPEAT, jsonLiteral, literal, oneOf, repeated } from './grammar-rules.ts'
import type { Rules } from './grammar-rules.ts'

/** A keyword that no grammar can express, or not this one. `keyword` is of JSON Schema, never of the caller. */
export class SchemaProblem extends Error {
  override readonly name = 'SchemaProblem'
  readonly keyword: string

  constructor(keyword: string) {
    super(keyword)
    this.keyword = keyword
  }
}

const MAX_DEPTH = 48

/** What restricts a value in ways that a grammar without memory cannot follow. */
const BEYOND = [
  'pattern',
  'multipleOf',
  'uniqueItems',
  'contains',
  'not',
  'if',
  'patternProperties',
  'propertyNames',
  'minProperties',
  'maxProperties',
  'dependentRequired',
  'dependentSchemas',
] as const

const STRING_FORMATS: Readonly<Record<string, string>> = {
  date: '[0-9]{4} "-" ("0" [1-9] | "1" [0-2]) "-" ("0" [1-9] | "1" [0-9] | "2" [0-8])',
  time: '([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9] ":" [0-5] [0-9] "Z"',
  uuid: '[0-9a-f]{8} "-" [0-9a-f]{4} "-" [0-9a-f]{4} "-" [0-9a-f]{4} "-" [0-9a-f]{12}',
}

/** Puts the rules of one schema among `rules` and gives the name of the one for the whole. */
export class SchemaGrammar {
  readonly #root: unknown
  readonly #rules: Rules
  readonly #strict: boolean
  readonly #refs = new Map<string, string>()

  /** Where it is not strict, what cannot be expressed is left out; where it is, a `SchemaProblem` is thrown. */
  constructor(root: unknown, rules: Rules, strict: boolean) {
    this.#root = root
    this.#rules = rules
    this.#strict = strict
  }

  rule(): string {
    return this.#rules.add(this.#of(this.#root, 0))
  }

  #of(schema: unknown, depth: number): string {
    if (depth > MAX_DEPTH) throw new SchemaProblem('$ref')
    if (schema === true) return this.#rules.json('value')
    if (!isFields(schema)) throw new SchemaProblem('schema')
    if (this.#strict) for (const keyword of BEYOND) if (restricts(schema, keyword)) throw new SchemaProblem(keyword)
    const ref = schema['$ref']
    if (typeof ref === 'string') return this.#ref(ref, depth)
    if (schema['const'] !== undefined) return jsonLiteral(schema['const'])
    if (Array.isArray(schema['enum'])) return oneOf(schema['enum'].map(jsonLiteral))
    for (const keyword of ['anyOf', 'oneOf'] as const) {
      const list: unknown = schema[keyword]
      if (Array.isArray(list)) return oneOf(list.map((one) => this.#of(merged(without(schema, keyword), one), depth + 1)))
    }
    if (Array.isArray(schema['allOf'])) {
      const whole = schema['allOf']
        .map((one) => this.#resolved(one))
        .reduce((sum: unknown, one) => merged(sum, one), without(schema, 'allOf'))
      return this.#of(whole, depth + 1)
    }
    const types = typesOf(schema)
    const made = oneOf(types.map((type) => this.#typed(type, schema, depth)))
    return schema['nullable'] === true ? oneOf([made, this.#rules.json('null')]) : made
  }

  #typed(type: string, schema: Fields, depth: number): string {
    switch (type) {
      case 'object':
        return this.#object(schema, depth)
      case 'array':
        return this.#array(schema, depth)
      case 'string':
        return this.#string(schema)
      case 'integer':
        return this.#integer(schema)
      case 'number':
        return this.#number(schema)
      case 'boolean':
      case 'null':
      case 'value':
        return this.#rules.json(type)
      default:
        throw new SchemaProblem('type')
    }
  }

  #object(schema: Fields, depth: number): string {
    const rules = this.#rules
    const named = isFields(schema['properties']) ? { ...schema['properties'] } : {}
    const required = new Set((Array.isArray(schema['required']) ? schema['required'] : []).map(String))
    for (const name of required) named[name] ??= true
    const properties = Object.entries(named)
    const ws = rules.json('ws')
    if (properties.length === 0) {
      const more = schema['additionalProperties']
      if (more === false) return `"{" ${ws} "}"`
      if (more === undefined || more === true) return rules.json('object')
      const entry = `${rules.json('string')} ":" ${ws} ${rules.add(this.#of(more, depth + 1))}`
      return `"{" ${ws} (${entry} ("," ${ws} ${entry})*)? ${ws} "}"`
    }
    const pairs = properties.map(([name, value]) => ({
      rule: rules.add(`${jsonLiteral(name)} ":" ${ws} ${this.#of(value, depth + 1)}`),
      required: required.has(name),
    }))
    // From the last to the first: what may follow where something stands before it, and where nothing does.
    let [after, first] = ['', '']
    for (const { rule, required: must } of pairs.toReversed()) {
      const [withComma, without] = [`"," ${ws} ${rule} ${after}`, `${rule} ${after}`]
      if (must) [after, first] = [rules.add(withComma), rules.add(without)]
      else [after, first] = [rules.add(`(${withComma}) | ${after || '""'}`), rules.add(`(${without}) | ${first || '""'}`)]
    }
    return `"{" ${ws} ${first} ${ws} "}"`
  }

  #array(schema: Fields, depth: number): string {
    const rules = this.#rules
    const ws = rules.json('ws')
    const prefix = Array.isArray(schema['prefixItems']) ? schema['prefixItems'] : []
    const closed = schema['items'] === false
    const least = numberIn(schema, 'minItems') ?? 0
    const most = closed ? prefix.length : numberIn(schema, 'maxItems')
    if (least > MAX_REPEAT || (most !== null && (most > MAX_REPEAT || most < least))) throw new SchemaProblem('maxItems')
    const item = closed ? '""' : rules.add(this.#of(schema['items'] ?? true, depth + 1))
    const fixed = prefix.slice(0, most ?? prefix.length).map((one) => rules.add(this.#of(one, depth + 1)))
    if (fixed.length > 0) {
      const tail = closed
        ? ''
        : repeated(`"," ${ws} ${item}`, Math.max(0, least - fixed.length), most === null ? null : most - fixed.length)
      return `"[" ${ws} ${fixed.join(` "," ${ws} `)} ${tail} ${ws} "]"`
    }
    if (most === 0) return `"[" ${ws} "]"`
    const filled = `${item} ${repeated(`"," ${ws} ${item}`, Math.max(0, least - 1), most === null ? null : most - 1)}`
    return least > 0 ? `"[" ${ws} ${filled} ${ws} "]"` : `"[" ${ws} (${filled})? ${ws} "]"`
  }

  #string(schema: Fields): string {
    const { format } = schema
    if (format === 'date-time') return `"\\"" ${STRING_FORMATS['date'] ?? ''} "T" ${STRING_FORMATS['time'] ?? ''} "\\""`
    // Other formats are remarks: that is how JSON Schema has it.
    const known = typeof format === 'string' ? STRING_FORMATS[format] : undefined
    if (known !== undefined) return `"\\"" ${known} "\\""`
    const [least, most] = [numberIn(schema, 'minLength') ?? 0, numberIn(schema, 'maxLength')]
    if (least === 0 && (most === null || most > MAX_REPEAT)) {
      if (most !== null && this.#strict) throw new SchemaProblem('maxLength')
      return this.#rules.json('string')
    }
    if (least > MAX_REPEAT || (most !== null && most < least)) throw new SchemaProblem('minLength')
    if (most !== null && most > MAX_REPEAT && this.#strict) throw new SchemaProblem('maxLength')
    return `"\\"" ${repeated(this.#rules.json('char'), least, most !== null && most > MAX_REPEAT ? null : most)} "\\""`
  }

  #integer(schema: Fields): string {
    const { least, most } = boundsOf(schema, 1)
    if (least === null && most === null) return this.#rules.json('integer')
    try {
      return oneOf([this.#rules.add(integerRange(least, most))])
    } catch {
      throw new SchemaProblem('minimum')
    }
  }

  /** Bounds that are whole and not negative; others cannot be kept by digits alone in a grammar of a sensible size. */
  #number(schema: Fields): string {
    const rules = this.#rules
    const { least, most } = boundsOf(schema, 0)
    const open = numberIn(schema, 'exclusiveMinimum') ?? numberIn(schema, 'exclusiveMaximum')
    if (least === null && most === null && open === null) return rules.json('number')
    const fits = open === null && least !== null && least >= 0 && Number.isInteger(least) && (most === null || Number.isInteger(most))
    if (!fits || (most !== null && most < least)) {
      if (this.#strict) throw new SchemaProblem(open === null ? 'minimum' : 'exclusiveMinimum')
      return rules.json('number')
    }
    const fraction = rules.json('fraction')
    if (most === null) return `(${integerRange(least, null)}) ${fraction}?`
    return most === least ? literal(String(most)) : oneOf([`(${integerRange(least, most - 1)}) ${fraction}?`, literal(String(most))])
  }

  #ref(ref: string, depth: number): string {
    const known = this.#refs.get(ref)
    if (known !== undefined) return known
    const target = this.#pointed(ref)
    const name = this.#rules.name()
    this.#refs.set(ref, name)
    this.#rules.add(this.#of(target, depth + 1), name)
    return name
  }

  #resolved(schema: unknown): unknown {
    return isFields(schema) && typeof schema['$ref'] === 'string' ? this.#pointed(schema['$ref']) : schema
  }

  #pointed(ref: string): unknown {
    if (ref !== '#' && !ref.startsWith('#/')) throw new SchemaProblem('$ref')
    let at: unknown = this.#root
    for (const step of ref.split('/').slice(1)) {
      const key = decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~')
      at = isFields(at) || Array.isArray(at) ? Reflect.get(at, key) : undefined
    }
    if (at === undefined) throw new SchemaProblem('$ref')
    return at
  }
}

function typesOf(schema: Fields): string[] {
  const { type } = schema
  if (typeof type === 'string') return [type]
  if (Array.isArray(type)) return type.map(String)
  if (schema['properties'] !== undefined || schema['required'] !== undefined || schema['additionalProperties'] !== undefined)
    return ['object']
  if (schema['items'] !== undefined || schema['prefixItems'] !== undefined) return ['array']
  if (schema['minLength'] !== undefined || schema['maxLength'] !== undefined) return ['string']
  if (schema['minimum'] !== undefined || schema['maximum'] !== undefined) return ['number']
  return ['value']
}

/** Two schemas that hold at once, as far as one can be laid over the other. */
function merged(under: unknown, over: unknown): unknown {
  if (!isFields(under)) return over
  if (!isFields(over)) return over === true ? under : over
  const both: Record<string, unknown> = { ...under, ...over }
  if (isFields(under['properties']) && isFields(over['properties'])) both['properties'] = { ...under['properties'], ...over['properties'] }
  const required = [...listIn(under['required']), ...listIn(over['required'])]
  if (required.length > 0) both['required'] = required
  return both
}

function without(schema: Fields, keyword: string): Fields {
  const { [keyword]: _left, ...rest } = schema
  return rest
}

function boundsOf(schema: Fields, step: number): { least: number | null; most: number | null } {
  const [low, high] = [numberIn(schema, 'exclusiveMinimum'), numberIn(schema, 'exclusiveMaximum')]
  return {
    least: numberIn(schema, 'minimum') ?? (low === null || step === 0 ? null : Math.floor(low) + step),
    most: numberIn(schema, 'maximum') ?? (high === null || step === 0 ? null : Math.ceil(high) - step),
  }
}

/** Whether the keyword restricts anything here: some say so even where it does not. */
function restricts(schema: Fields, keyword: (typeof BEYOND)[number]): boolean {
  const value = schema[keyword]
  if (value === undefined || value === false) return false
  return keyword !== 'minProperties' || value !== 0
}

function numberIn(schema: Fields, name: string): number | null {
  const value = schema[name]
  return typeof value === 'number' && Number.isFinite(value) ? value : null
}
