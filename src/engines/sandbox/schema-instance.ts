/**
 * Makes a value that fits a JSON schema: what the sandbox fills into tool calls and structured answers. It proposes
 * plausible values, cheapest first, and keeps those that `fits` confirms. Always the same one for the same schema.
 * Schemas come from callers, so depth, size and work are bounded; where a bound is met, nothing is made.
 */
import { numbers } from './schema-numbers.ts'
import { strings } from './schema-strings.ts'
import { fits, isRule, listOf, numberOf, resolve, schemaOfItem, schemasOfProperty, typesOf } from './schema-check.ts'
import type { Job, Rule, Supply } from './schema-check.ts'

/** How often one reference may be followed on the way from the root to a value, tried in this order. */
const RECURSIONS = [1, 2, 4]
const MAX_STEPS = 100_000
const MAX_DEPTH = 48
const MAX_RULES = 200
const MAX_ITEMS = 1000
/** How many different objects of one schema are tried. */
const MAX_VARIANTS = 64

/** The references followed on the way to here. */
type Path = { readonly reference: string; readonly before: Path } | null

/** A way to fit several schemas at once: plain rules, all of which hold. */
type Way = { readonly rules: readonly Rule[]; readonly path: Path }

type Maker = { readonly job: Job; readonly recursions: number }

/** An instance of the schema, or null where none was found within the bounds. */
export function instanceOf(schema: unknown): { readonly value: unknown } | null {
  for (const recursions of RECURSIONS) {
    const maker = { job: { root: schema, patterns: new Map(), budget: { left: MAX_STEPS } }, recursions }
    for (const value of values(maker, [schema], null, 0)) return { value }
  }
  return null
}

/** Values that fit all the schemas, the plainest first. */
function* values(maker: Maker, schemas: readonly unknown[], path: Path, depth: number): Supply {
  if (depth > MAX_DEPTH) return
  for (const way of ways(maker, schemas, [], path)) {
    for (const value of proposals(maker, way, depth)) {
      const good = schemas.every((schema) => fits(schema, value, maker.job))
      // With the budget used up nothing is sure any more, least of all what a `not` rests on.
      if (maker.job.budget.left < 0) return
      if (good) yield value
    }
  }
}

/** Takes references, `allOf` and one branch of every alternative apart, until only plain rules are left. */
function* ways(maker: Maker, pending: readonly unknown[], rules: readonly Rule[], path: Path): Supply<Way> {
  if (--maker.job.budget.left < 0 || rules.length > MAX_RULES) return
  const [schema, ...rest] = pending
  if (pending.length === 0) return yield { rules, path }
  if (schema === true) return yield* ways(maker, rest, rules, path)
  if (!isRule(schema)) return

  const next = [...rest, ...listOf(schema, 'allOf')]
  const reference = schema['$ref']
  if (typeof reference === 'string') {
    if (timesOn(path, reference) >= maker.recursions) return
    next.push(resolve(maker.job.root, reference))
  }
  const followed = typeof reference === 'string' ? { reference, before: path } : path
  for (const branches of combinations(alternatives(schema))) yield* ways(maker, [...next, ...branches], [...rules, schema], followed)
}

/** The groups of schemas of each of which one is to be chosen. `fits` sees to it that a `oneOf` stays with one. */
function alternatives(schema: Rule): (readonly unknown[])[] {
  const groups = ['anyOf', 'oneOf'].filter((keyword) => schema[keyword]).map((keyword) => listOf(schema, keyword))
  if ('if' in schema) groups.push([{ allOf: [schema['if'], schema['then'] ?? true] }, schema['else'] ?? true])
  return groups
}

function* combinations(groups: readonly (readonly unknown[])[]): Supply<readonly unknown[]> {
  const [first, ...rest] = groups
  if (!first) return yield []
  for (const branch of first) for (const others of combinations(rest)) yield [branch, ...others]
}

function* proposals(maker: Maker, way: Way, depth: number): Supply {
  for (const rule of way.rules) {
    if ('const' in rule) return yield rule['const']
    if (Array.isArray(rule['enum'])) return yield* rule['enum']
  }
  for (const type of typesToTry(way.rules)) yield* ofType(type, maker, way, depth)
}

function* ofType(type: unknown, maker: Maker, way: Way, depth: number): Supply {
  switch (type) {
    case 'object':
      return yield* objects(maker, way, depth)
    case 'array':
      return yield* arrays(maker, way, depth)
    case 'string':
      return yield* strings(way.rules, maker.job)
    case 'number':
    case 'integer':
      return yield* numbers(way.rules, type === 'integer')
    case 'boolean':
      return yield* [true, false]
    case 'null':
      return yield null
  }
}

/** The types that all rules allow; where none names one, the type that the keywords speak of, or else a string. */
function typesToTry(rules: readonly Rule[]): readonly unknown[] {
  let types: readonly unknown[] | null = null
  for (const rule of rules) {
    const named = typesOf(rule)
    if (!named) continue
    types = types === null ? named : types.flatMap((type) => (named.includes(type) ? [type] : narrowed(type, named)))
  }
  if (types) return types.toSorted((a, b) => Number(a === 'null') - Number(b === 'null'))
  const spoken = Object.entries(KEYWORDS).filter(([, keywords]) => rules.some((rule) => keywords.some((keyword) => keyword in rule)))
  return [...spoken.map(([type]) => type), 'string', 'object', 'array', 'number', 'boolean', 'null']
}

const KEYWORDS: Readonly<Record<string, readonly string[]>> = {
  object: ['properties', 'required', 'additionalProperties', 'patternProperties', 'minProperties'],
  array: ['items', 'prefixItems', 'minItems', 'contains'],
  string: ['minLength', 'maxLength', 'pattern', 'format'],
  number: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
}

/** Whole numbers are what `number` and `integer` have in common. */
const narrowed = (type: unknown, named: readonly unknown[]): readonly unknown[] =>
  (type === 'number' && named.includes('integer')) || (type === 'integer' && named.includes('number')) ? ['integer'] : []

/** At the top with all properties that can be made, deeper with the required ones only, so that recursion ends. */
function* objects(maker: Maker, { rules, path }: Way, depth: number): Supply {
  const named = rules.flatMap((rule) => (isRule(rule['properties']) ? Object.keys(rule['properties']) : []))
  const required = requiredOf(rules)
  const least = Math.max(0, ...rules.map((rule) => numberOf(rule, 'minProperties') ?? 0))
  const spare = Array.from({ length: Math.min(least, MAX_ITEMS) }, (_, i) => `property${i + 1}`)
  const schemasOf = (name: string): unknown[] => rules.flatMap((rule) => schemasOfProperty(rule, name, maker.job))
  const stream = (name: string): Supply => values(maker, schemasOf(name), path, depth + 1)

  for (const optional of depth === 0 ? [named, []] : [[]]) {
    const streams = new Map<string, Supply>()
    const current = new Map<string, unknown>()
    const add = (name: string): boolean => {
      const source = stream(name)
      const first = source.next()
      if (first.done) return false
      streams.set(name, source)
      current.set(name, first.value)
      return true
    }
    if (!required.every(add)) return
    for (const name of optional) if (!streams.has(name)) add(name)
    for (const name of [...named, ...spare]) if (streams.size < least && !streams.has(name)) add(name)

    for (let variant = 0; variant < MAX_VARIANTS; variant++) {
      yield Object.fromEntries(current)
      let moved = false
      for (const [name, source] of streams) {
        const next = source.next()
        if (next.done) streams.delete(name)
        else current.set(name, next.value)
        moved ||= !next.done
      }
      if (!moved) break
    }
  }
}

/** What is required, and what becomes so by it. */
function requiredOf(rules: readonly Rule[]): string[] {
  const names = new Set(rules.flatMap((rule) => listOf(rule, 'required')).filter((name) => typeof name === 'string'))
  for (const name of names) {
    for (const { dependentRequired: dependent } of rules) {
      if (isRule(dependent) && Object.hasOwn(dependent, name))
        for (const more of listOf(dependent, name)) if (typeof more === 'string') names.add(more)
    }
  }
  return [...names]
}

/** One item where there may be any, or as few as there must be. */
function* arrays(maker: Maker, { rules, path }: Way, depth: number): Supply {
  const least = Math.max(0, ...rules.map((rule) => numberOf(rule, 'minItems') ?? 0))
  const most = Math.min(MAX_ITEMS, ...rules.map((rule) => numberOf(rule, 'maxItems') ?? MAX_ITEMS))
  const contained = rules.flatMap((rule) =>
    'contains' in rule ? Array<unknown>(Math.min(MAX_ITEMS, numberOf(rule, 'minContains') ?? 1)).fill(rule['contains']) : [],
  )
  const tuple = Math.max(0, ...rules.map((rule) => listOf(rule, Array.isArray(rule['items']) ? 'items' : 'prefixItems').length))
  const usual = Math.max(least, contained.length, tuple, rules.some((rule) => 'items' in rule) ? 1 : 0)
  const unique = rules.some((rule) => rule['uniqueItems'] === true)

  for (const length of new Set([usual, Math.max(least, contained.length), least, usual + 1])) {
    if (length > most || length < least) continue
    const items: unknown[] = []
    const seen = new Set<string>()
    for (let index = 0; index < length; index++) {
      const alike = index > tuple && index > contained.length && !unique
      const schemas = [...rules.map((rule) => schemaOfItem(rule, index)), ...contained.slice(index, index + 1)]
      const item = alike ? { value: items[index - 1] } : firstUnseen(values(maker, schemas, path, depth + 1), unique ? seen : null)
      if (!item) break
      items.push(item.value)
    }
    if (items.length === length) yield items
  }
}

function firstUnseen(source: Supply, seen: Set<string> | null): { readonly value: unknown } | null {
  for (const value of source) {
    const text = seen && JSON.stringify(value)
    if (text !== null && seen?.has(text)) continue
    if (text !== null) seen?.add(text)
    return { value }
  }
  return null
}

function timesOn(path: Path, reference: string): number {
  let times = 0
  for (let at = path; at; at = at.before) if (at.reference === reference) times++
  return times
}
