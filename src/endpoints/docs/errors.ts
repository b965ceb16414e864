/** Which errors an endpoint answers with, each as an example in the wire shape: from the error table and the declaration. */
import { z } from 'zod'
import { ERRORS, type ErrorCode, type Failure, fail, type Issue } from '../../core/errors.ts'
import type { AnyEndpoint } from '../endpoint.ts'

const CODES = Object.keys(ERRORS).filter(isCode)

/** Any error answer. The tests hold it against the body of every code. */
export const errorSchema = z.object({
  error: z
    .union([
      z.string(),
      z
        .object({ message: z.string(), type: z.string(), param: z.string(), code: z.string() })
        .describe('Of `TOO_MANY_TOKENS` only, as OpenAI has it.'),
    ])
    .describe('What went wrong, for people.'),
  code: z.enum(CODES).describe('What went wrong, for programs.'),
  message: z
    .string()
    .optional()
    .describe('Of a payment by x402 that was not taken: what went wrong, for people; `error` has the code then.'),
  details: z.record(z.string(), z.unknown()).optional().describe('Of a 400: the wrong fields as a tree, each with its `_errors`.'),
  issues: z
    .array(z.looseObject({ code: z.string(), path: z.array(z.union([z.string(), z.number()])), message: z.string() }))
    .optional()
    .describe('Of a 400: the wrong fields as a list.'),
})

/** What any answer may be. */
const ALWAYS: readonly ErrorCode[] = ['RATE_LIMIT_EXCEEDED', 'UNKNOWN_ERROR', 'SHUTTING_DOWN']
const WITH_BODY: readonly ErrorCode[] = ['INVALID_REQUEST', 'REQUEST_TOO_SLOW', 'PAYLOAD_TOO_LARGE', 'INVALID_CONTENT_TYPE']
/** What serving a run may end in, wherever a model is named in a body. */
const WITH_RUN: readonly ErrorCode[] = [
  'INVALID_MODEL',
  'INSUFFICIENT_BALANCE',
  'API_KEY_USD_SPEND_LIMIT_EXCEEDED',
  'MODEL_OVERLOADED',
  'INFERENCE_FAILED',
  'MODEL_OFFLINE',
  'MODEL_AT_CAPACITY',
  'REQUEST_TIMEOUT',
]

/** Every code an endpoint can answer with, in the order of the table. */
export function errorsOf(endpoint: AnyEndpoint): ErrorCode[] {
  const codes = new Set<ErrorCode>([...ALWAYS, ...endpoint.errors])
  const add = (more: readonly ErrorCode[]): void => more.forEach((code) => codes.add(code))
  if (endpoint.body) add(WITH_BODY)
  if (endpoint.query) add(['INVALID_REQUEST'])
  if (endpoint.scope !== 'public') add(['AUTHENTICATION_FAILED'])
  if (endpoint.scope === 'ADMIN' || endpoint.scope === 'OPERATOR') add(['UNAUTHORIZED'])
  if (endpoint.scope === 'INFERENCE' && endpoint.body && endpoint.errors.includes('MODEL_NOT_FOUND')) add(WITH_RUN)
  return CODES.filter((code) => codes.has(code))
}

/** A failure of this code as the endpoint would really throw it. */
export function exampleOf(code: ErrorCode, endpoint: AnyEndpoint): Failure {
  if (code !== 'INVALID_REQUEST') return fail(code)
  const issues = issuesOf(endpoint)
  const first = issues[0]
  if (!first) return fail(code)
  const path = first.path.join('.')
  return fail(code, { say: `${ERRORS[code].message}: ${path ? `${path}: ` : ''}${first.message}`, issues })
}

/** What the endpoint's own schema says of the simplest wrong request. */
function issuesOf({ body, query }: AnyEndpoint): Issue[] {
  const schema = body ?? query
  if (!schema) return []
  const fields = schema instanceof z.ZodObject ? Object.keys(schema.shape) : []
  for (const wrong of [{}, ...fields.map((field) => ({ [field]: 'no-such-value' }))]) {
    const { error } = schema.safeParse(wrong)
    const issue = error?.issues[0]
    if (issue)
      return [{ ...issue, code: issue.code ?? 'custom', path: issue.path.map((key) => (typeof key === 'symbol' ? String(key) : key)) }]
  }
  return []
}

function isCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERRORS, code)
}
