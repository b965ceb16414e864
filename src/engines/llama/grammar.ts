/** What an answer must look like, as a grammar: JSON of any shape, JSON of one schema, or calls of tools. */
import type { Format, TextRequest, Tool } from '../../core/modalities/text.ts'
import { Rules, jsonLiteral, literal, oneOf, repeated } from './grammar-rules.ts'
import { SchemaGrammar, SchemaProblem } from './grammar-schema.ts'

/** How a model writes a call: what goes before the first one, between two, and after the last, and how its arguments are called. */
export type CallStyle = {
  readonly opens: string
  readonly separates: string
  readonly closes: string
  /** What surely ends calls, so that more text may follow; empty where nothing but calls follows calls. */
  readonly ends: string
  readonly argumentsKey: 'arguments' | 'parameters'
  readonly several: boolean
}

/** More calls at once help nobody, and a model that repeats itself would never stop. */
const MOST_CALLS = 16

export function formatGrammar(format: Format): string {
  const rules = new Rules()
  if (format.type === 'json_object') return rules.text(rules.json('object'))
  return rules.text(new SchemaGrammar(format.schema, rules, format.strict === true).rule())
}

/** Calls of the given tools, at least one; `opens` is not in it, because the prompt ends with it. */
export function callsGrammar(tools: readonly Tool[], { separates, closes, argumentsKey, several }: CallStyle, parallel: boolean): string {
  const rules = new Rules()
  const ws = rules.json('ws')
  const call = rules.add(
    oneOf(
      tools.map(({ function: { name, parameters, strict } }) => {
        const schema = new SchemaGrammar(parameters ?? { type: 'object', properties: {} }, rules, strict === true)
        return `"{" ${ws} "\\"name\\":" ${ws} ${jsonLiteral(name)} "," ${ws} "\\"${argumentsKey}\\":" ${ws} ${schema.rule()} ${ws} "}"`
      }),
    ),
  )
  const more = parallel && several ? repeated(`${literal(separates)} ${call}`, 0, MOST_CALLS - 1) : ''
  return rules.text(`${call} ${more} ${closes === '' ? '' : `(${literal(closes)})?`}`)
}

/** The tools of which one must be called; empty where the model may decide. */
export function forcedTools({ tools, toolChoice }: Pick<TextRequest, 'tools' | 'toolChoice'>): readonly Tool[] {
  if (toolChoice === 'required') return tools
  if (typeof toolChoice !== 'object' || toolChoice === null) return []
  return tools.filter(({ function: { name } }) => name === toolChoice.function.name)
}

/** The wire name of what in the request's schemas no grammar can promise, or null. */
export function schemaProblem(request: TextRequest): string | null {
  try {
    if (request.format !== null) formatGrammar(request.format)
  } catch (error) {
    return problemIn('response_format.json_schema.schema', error)
  }
  try {
    const forced = forcedTools(request)
    if (forced.length > 0)
      callsGrammar(forced, { opens: '', separates: '', closes: '', ends: '', argumentsKey: 'arguments', several: true }, true)
  } catch (error) {
    return problemIn('tools.function.parameters', error)
  }
  return null
}

const problemIn = (field: string, error: unknown): string => (error instanceof SchemaProblem ? `${field}.${error.keyword}` : field)
