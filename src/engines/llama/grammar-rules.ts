/** The rules of one grammar in llama.cpp's notation (GBNF), each under a name, and the ones that all of JSON is made of. */

/** A schema that becomes more rules than this would take the engine longer to walk than to answer. */
const MAX_RULES = 4_000
/** The longest repetition that llama.cpp takes without falling into its own limits. */
export const MAX_REPEAT = 1_000

/** JSON with little white space: a model that may write as much as it likes sometimes writes nothing else. */
const JSON_RULES: Readonly<Record<string, string>> = {
  ws: String.raw`| " " | "\n" [ \t]{0,20}`,
  char: String.raw`[^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4})`,
  string: String.raw`"\"" char* "\""`,
  digits: '"0" | [1-9] [0-9]{0,14}',
  integer: '"-"? digits',
  fraction: '"." [0-9]{1,15}',
  number: '"-"? digits fraction? ([eE] [-+]? [0-9]{1,2})?',
  boolean: '"true" | "false"',
  null: '"null"',
  value: 'object | array | string | number | boolean | null',
  object: String.raw`"{" ws (string ":" ws value ("," ws string ":" ws value)*)? ws "}"`,
  array: String.raw`"[" ws (value ("," ws value)*)? ws "]"`,
}

/** What a rule of JSON is built of. */
const NEEDS: Readonly<Record<string, readonly string[]>> = {
  string: ['char'],
  integer: ['digits'],
  number: ['digits', 'fraction'],
  value: ['object', 'array', 'string', 'number', 'boolean', 'null'],
  object: ['ws', 'string', 'value'],
  array: ['ws', 'value'],
}

export class Rules {
  readonly #bodies = new Map<string, string>()
  #last = 0

  /** A rule of JSON's own, by its name. */
  json(name: string): string {
    if (this.#bodies.has(name)) return name
    this.#bodies.set(name, JSON_RULES[name] ?? '')
    for (const needed of NEEDS[name] ?? []) this.json(needed)
    return name
  }

  /** A name that no rule has yet. */
  name(): string {
    return `r${++this.#last}`
  }

  /** Gives the body a name, a new one where none is given. */
  add(body: string, name: string = this.name()): string {
    if (this.#bodies.size >= MAX_RULES) throw new RangeError('too many rules')
    this.#bodies.set(name, body)
    return name
  }

  /** The grammar whose root is this expression. */
  text(root: string): string {
    return [`root ::= ${root}`, ...[...this.#bodies].map(([name, body]) => `${name} ::= ${body}`)].join('\n')
  }
}

/** A text as the grammar's notation has it. */
export function literal(text: string): string {
  let out = '"'
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0
    if (character === '"' || character === '\\') out += `\\${character}`
    else if (character === '\n') out += '\\n'
    else if (code < 0x20 || code === 0x7f) out += `\\x${code.toString(16).padStart(2, '0')}`
    else out += character
  }
  return `${out}"`
}

/** A JSON value exactly as `JSON.stringify` writes it. */
export const jsonLiteral = (value: unknown): string => literal(JSON.stringify(value) ?? 'null')

export const oneOf = (alternatives: readonly string[]): string =>
  alternatives.length === 1 ? (alternatives[0] ?? '') : `(${alternatives.join(' | ')})`

/** So many times, at least and at most; null is without an end. */
export function repeated(what: string, least: number, most: number | null): string {
  if (most === null) return least === 0 ? `(${what})*` : `(${what}){${least},}`
  return most === 0 ? '' : `(${what}){${least},${most}}`
}
