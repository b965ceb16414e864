/** The OpenAPI 3.1 document, made of nothing but the declarations and the error table. */
import { ERRORS, type ErrorCode } from '../../core/errors.ts'
import type { AnyEndpoint } from '../endpoint.ts'
import { type About, BASE_PATH, SUMMARY, TITLE } from './about.ts'
import { errorSchema, errorsOf, exampleOf } from './errors.ts'
import { inputSchema, type JsonSchema, outputSchema } from './json-schema.ts'

type Json = Record<string, unknown>

/** A request id for examples: the shape of a real one. */
const EXAMPLE_ID = '8d1f0c7e5a3b4c2d9e6f7a8b9c0d1e2f'

export function openApi(all: readonly AnyEndpoint[], about: About): Json {
  const schemas: Record<string, JsonSchema> = { Error: outputSchema(errorSchema) }
  const paths: Record<string, Record<string, Json>> = {}
  for (const endpoint of all) {
    const item = (paths[endpoint.path] ??= {})
    item[endpoint.method.toLowerCase()] = operation(endpoint, about, schemas)
  }
  return {
    openapi: '3.1.0',
    info: { title: TITLE, version: about.version, description: SUMMARY },
    servers: [{ url: BASE_PATH, description: 'This server.' }],
    tags: [...new Set(all.map(({ tag }) => tag))].map((name) => ({ name })),
    paths,
    components: {
      schemas,
      securitySchemes: {
        bearer: {
          type: 'http',
          scheme: 'bearer',
          description: 'A key of this server. Clients that send `x-api-key: <key>` instead are served, too.',
        },
      },
    },
  }
}

/** `getModelsById` for `GET /models/{id}`: the same for the same declaration, always. */
export function operationId({ method, path }: AnyEndpoint): string {
  const words = path
    .replaceAll('{', 'by-')
    .split(/[^A-Za-z0-9]+/)
    .filter(Boolean)
  return method.toLowerCase() + words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('')
}

function operation(endpoint: AnyEndpoint, about: About, schemas: Record<string, JsonSchema>): Json {
  const id = operationId(endpoint)
  const name = id.charAt(0).toUpperCase() + id.slice(1)
  const parameters = [...pathParameters(endpoint), ...queryParameters(endpoint)]
  if (endpoint.body) schemas[`${name}Request`] = inputSchema(endpoint.body)
  return {
    operationId: id,
    tags: [endpoint.tag],
    summary: endpoint.summary,
    description: describe(endpoint),
    ...(parameters.length > 0 && { parameters }),
    ...(endpoint.body && {
      requestBody: {
        required: true,
        content: contentOf(endpoint, reference(`${name}Request`)),
      },
    }),
    responses: { '200': answer(endpoint, name, schemas), ...errors(endpoint, about) },
    security: endpoint.scope === 'public' ? [] : [{ bearer: [] }],
  }
}

/** A form has its file beside the fields of its schema. */
function contentOf({ form, example }: AnyEndpoint, fields: Json): Json {
  if (!form) return { 'application/json': { schema: fields, example: example.body } }
  const file = { type: 'object', properties: { [form.file]: { type: 'string', format: 'binary' } }, required: [form.file] }
  return { 'multipart/form-data': { schema: { allOf: [fields, file] } } }
}

const KEYS = { INFERENCE: '', ADMIN: ' of type `ADMIN`', OPERATOR: ' of type `ADMIN` of the operator’s account' } as const

function describe({ description, scope }: AnyEndpoint): string {
  if (scope === 'public') return description
  return `${description}\n\n*Needs a key${KEYS[scope]}.*`
}

function pathParameters({ path, example }: AnyEndpoint): Json[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
    ...(example.params?.[name] !== undefined && { example: example.params[name] }),
  }))
}

function queryParameters({ query, example }: AnyEndpoint): Json[] {
  if (!query) return []
  const { properties = {}, required = [] } = inputSchema(query)
  return Object.entries(properties).map(([name, { description, ...schema }]) => ({
    name,
    in: 'query',
    required: required.includes(name),
    ...(description !== undefined && { description }),
    schema,
    ...(example.query?.[name] !== undefined && { example: example.query[name] }),
  }))
}

/** The example belongs to the first kind of answer, which is what the example request gets. */
function answer({ answers, example }: AnyEndpoint, name: string, schemas: Record<string, JsonSchema>): Json {
  const content: Record<string, Json> = {}
  for (const [index, [type, { schema }]] of Object.entries(answers).entries()) {
    const media: Json = {}
    if (schema) {
      schemas[`${name}Response`] = outputSchema(schema)
      media['schema'] = reference(`${name}Response`)
    } else media['schema'] = { type: 'string', ...(!/^text\/|json/.test(type) && { format: 'binary' }) }
    if (index === 0) media['example'] = example.answer
    content[type] = media
  }
  const descriptions = Object.entries(answers).map(([type, { description }], _index, list) =>
    list.length > 1 ? `\`${type}\`: ${description}` : description,
  )
  return { description: descriptions.join('\n\n'), content }
}

/** One answer per status, with an example per code. */
function errors(endpoint: AnyEndpoint, about: About): Record<string, Json> {
  const byStatus = new Map<number, ErrorCode[]>()
  for (const code of errorsOf(endpoint)) {
    const { status } = ERRORS[code]
    byStatus.set(status, [...(byStatus.get(status) ?? []), code])
  }
  const answers: Record<string, Json> = {}
  for (const [status, codes] of [...byStatus].sort(([a], [b]) => a - b)) {
    const examples: [string, unknown][] = codes.map((code) => [
      code,
      { summary: code, value: about.errorBody(exampleOf(code, endpoint), EXAMPLE_ID) },
    ])
    answers[status] = {
      description: codes.map((code) => `\`${code}\`: ${ERRORS[code].message}.`).join('\n\n'),
      ...(codes.some((code) => ERRORS[code].retryable) && { headers: retryAfter }),
      content: { 'application/json': { schema: reference('Error'), examples: Object.fromEntries(examples) } },
    }
  }
  return answers
}

const retryAfter: Json = {
  'Retry-After': { description: 'Seconds until a retry is worth it, where that is known.', schema: { type: 'integer' } },
}

const reference = (name: string): Json => ({ $ref: `#/components/schemas/${name}` })
