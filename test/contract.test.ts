/** What holds for every endpoint, read from its declaration and asked of a running server. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { ERRORS } from '../src/core/errors.ts'
import { plansFile } from '../src/catalog/entry.ts'
import { EXAMPLE_KEY_ID } from '../src/endpoints/api-keys/schema.ts'
import type { AnyEndpoint } from '../src/endpoints/endpoint.ts'
import { type EndpointOptions, endpoints } from '../src/endpoints/index.ts'
import { NO_CARDS } from '../src/endpoints/funding/funding.ts'
import { errorBody } from '../src/http/error-reply.ts'
import { type GivenAccount, giveAccount, giveSpareKey } from './harness/accounts.ts'
import { type Rialto, startRialto } from './harness/rialto.ts'
import { type Answered, type Asked, ask } from './harness/talk.ts'

/** A stranger may fail so often before its address is turned away: each block of endpoints gets a server of its own. */
const STRANGERS_FAILURES = 20

const plans = plansFile.parse(JSON.parse(readFileSync(join(import.meta.dirname, '..', 'config', 'plans.json'), 'utf8')))
const NOTHING_BEHIND = { audio: {}, keyring: {}, web3Keys: {}, rateLimits: {}, billing: {}, admin: {} } as Pick<
  EndpointOptions,
  'audio' | 'keyring' | 'web3Keys' | 'rateLimits' | 'billing' | 'admin'
>
const all: readonly AnyEndpoint[] = endpoints({
  systemPrompt: '',
  health: { readiness: () => Promise.resolve({ ready: true, checks: {} }), metrics: () => Promise.resolve('') },
  about: { version: '0', plans, errorBody },
  cards: NO_CARDS,
  x402: null,
  // Only what is declared is read here; the handlers are those of the server.
  ...NOTHING_BEHIND,
})
const scoped = all.filter(({ scope }) => scope !== 'public')
const withBody = all.filter(({ body, form }) => body !== undefined && form === undefined)
/** What an example gets on a fresh installation: what the operator has not set up says so. */
const statusOf = ({ needs }: AnyEndpoint): number => (needs === undefined ? 200 : 404)
const setUp = all.filter(({ needs }) => needs === undefined)
const nameOf = ({ method, path }: AnyEndpoint): string => `${method} ${path}`
const named = (list: readonly AnyEndpoint[]): [string, AnyEndpoint][] => list.map((endpoint) => [nameOf(endpoint), endpoint])

let rialto: Rialto
let guest: GivenAccount
/** The id of a key of the operator. */
let spare: string
beforeAll(async () => {
  rialto = await startRialto()
  // Of a plan without limits: it fails more often here than others may.
  guest = await giveAccount(rialto.home, { plan: 'operator' })
  spare = await giveSpareKey(rialto.home)
})
afterAll(() => rialto?.stop())

/** Where the example of an endpoint is asked for. */
function pathOf({ path, example }: AnyEndpoint): string {
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(example.params?.[name] ?? ''))
  return example.query ? `${filled}?${new URLSearchParams(example.query).toString()}` : filled
}

/** The endpoint with an example about this key, where it is about one. */
function about(endpoint: AnyEndpoint, keyId: string): AnyEndpoint {
  const example = JSON.stringify(endpoint.example)
  return example.includes(EXAMPLE_KEY_ID) ? { ...endpoint, example: JSON.parse(example.replaceAll(EXAMPLE_KEY_ID, keyId)) } : endpoint
}

/** The body of an endpoint's example: JSON, or the form that it takes. */
function bodyOf({ example, form }: AnyEndpoint): unknown {
  if (!form || !example.file) return example.body
  const body = new FormData()
  body.set(form.file, new File([new Uint8Array(example.file.bytes)], example.file.name))
  for (const [name, value] of Object.entries(Object(example.body))) body.set(name, String(value))
  return body
}

/** Sends the example of an endpoint, with the operator's key; where it ends a key, that is another one each time. */
async function send(endpoint: AnyEndpoint, asked: Asked = {}, base = rialto.url): Promise<Answered> {
  const sent = about(endpoint, endpoint.method === 'DELETE' ? await giveSpareKey(rialto.home) : spare)
  return ask(`${base}${pathOf(sent)}`, { method: endpoint.method, key: rialto.key, body: bodyOf(sent), ...asked })
}

function expectRefusal(answer: Answered, status: number, code: string): void {
  const { headers } = answer
  expect([answer.status, answer.json()['code']]).toEqual([status, code])
  expect(answer.json()['error']).toMatch(/\w+ \w+/)
  expect(headers.get('content-type')).toBe('application/json')
  expect(headers.get('x-request-id')).toMatch(/^[0-9a-f]{32}$/)
  expect(headers.get('cf-ray')).toBe(headers.get('x-request-id'))
  expect(headers.get('x-venice-version')).toMatch(/^\d{8}\.\d{6}$/)
}

describe('every endpoint', () => {
  test.for(named(all))('%s works as its example says, under each base', async ([, endpoint]) => {
    for (const base of [rialto.url, `${rialto.origin}/v1`, rialto.origin]) {
      const { status, headers, text } = await send(endpoint, {}, base)

      if (endpoint.needs === undefined) {
        expect([status, text.slice(0, status === 200 ? 0 : 500)]).toEqual([200, ''])
        expect(Object.keys(endpoint.answers)).toContain(headers.get('content-type')?.split(';')[0])
      } else expect([status, JSON.parse(text)]).toEqual([404, { error: expect.any(String), code: 'NOT_CONFIGURED' }])
      expect(headers.get('x-request-id')).toMatch(/^[0-9a-f]{32}$/)
      expect(headers.get('cf-ray')).toBe(headers.get('x-request-id'))
    }
  })

  test.for(named(setUp.filter(({ answers }) => answers['application/json'])))(
    '%s answers with its schema, field by field',
    async ([, endpoint]) => {
      const schema = endpoint.answers['application/json']?.schema ?? z.never()

      const answer = (await send(endpoint)).json()
      const read = schema.safeParse(answer)

      expect(read.error?.issues).toBeUndefined()
      // What the schema does not know it leaves out: then the answer had an undeclared field.
      expect(read.data).toEqual(answer)
    },
  )

  test.for(named(all.filter(({ answers }) => answers['application/json'])))('%s documents an answer of its schema', ([, endpoint]) => {
    const schema = endpoint.answers['application/json']?.schema ?? z.never()

    expect(schema.safeParse(endpoint.example.answer).error?.issues).toBeUndefined()
  })

  test.for(named(all))('%s says which methods its path takes', async ([, endpoint]) => {
    const here = all.filter(({ path }) => path === endpoint.path).map(({ method }) => method)
    const method = (['DELETE', 'PATCH', 'PUT', 'POST'] as const).find((other) => !here.includes(other)) ?? 'GET'

    const answer = await send(endpoint, { method, body: undefined })

    expectRefusal(answer, 405, 'METHOD_NOT_ALLOWED')
    expect(answer.headers.get('allow')?.split(', ').sort()).toEqual([...here].sort())
  })

  test.for(named(all))('%s may be asked by the script of any web page', async ([, endpoint]) => {
    const headers = {
      origin: 'https://app.example',
      'access-control-request-method': endpoint.method,
      'access-control-request-headers': 'authorization, content-type, x-stainless-os',
    }

    const preflight = await ask(`${rialto.url}${pathOf(endpoint)}`, { method: 'OPTIONS', headers })
    const answer = await send(endpoint, { headers: { origin: 'https://app.example' } })

    expect([preflight.status, preflight.text]).toEqual([204, ''])
    expect(preflight.headers.get('access-control-allow-origin')).toBe('*')
    expect(preflight.headers.get('access-control-allow-methods')).toContain(endpoint.method)
    expect(preflight.headers.get('access-control-allow-headers')).toBe(headers['access-control-request-headers'])
    expect(answer.headers.get('access-control-allow-origin')).toBe('*')
    expect(answer.headers.get('access-control-expose-headers')).toContain('x-request-id')
  })
})

describe('an endpoint with a scope', () => {
  const words = new Set<string>()

  test('is closed to who brings no key', async () => {
    for (let at = 0; at < scoped.length; at += STRANGERS_FAILURES) {
      const door = await startRialto()
      try {
        for (const endpoint of scoped.slice(at, at + STRANGERS_FAILURES)) {
          const { method, body } = { ...endpoint, body: bodyOf(endpoint) }
          const answer = await ask(`${door.url}${pathOf(endpoint)}`, { method, body })

          expectRefusal(answer, 401, 'AUTHENTICATION_FAILED')
          expect(Object.keys(answer.json())).toEqual(['error', 'code'])
          expect(answer.headers.get('www-authenticate')).toBe('Bearer')
        }
      } finally {
        await door.stop()
      }
    }
  })

  test.for([
    ['another key', { authorization: 'Bearer rialto_wrong' }],
    ['an empty key', { authorization: 'Bearer ' }],
    ['another scheme', { authorization: 'Basic cmlhbHRvOng=' }],
    ['another key in x-api-key', { 'x-api-key': 'rialto_wrong' }],
    ['a key that is far too long', { authorization: `Bearer ${'x'.repeat(4_000)}` }],
  ] as const)('is closed to %s, in the same words', async ([, headers]) => {
    const [endpoint] = scoped
    const answer = await ask(`${rialto.url}${endpoint ? pathOf(endpoint) : ''}`, { method: endpoint?.method ?? 'GET', headers })

    expectRefusal(answer, 401, 'AUTHENTICATION_FAILED')
    expect(answer.json()['error']).toMatch(/^Authentication failed: /)
    words.add(String(answer.json()['error']))
    expect(words.size).toBe(1)
  })

  test.for(named(scoped.filter(({ scope }) => scope !== 'INFERENCE')))('%s is closed to a key for inference', async ([, endpoint]) => {
    expectRefusal(await send(endpoint, { key: guest.key }), 403, 'UNAUTHORIZED')
  })

  test('is closed to another account’s administrator where it is the operator’s', async () => {
    const { key } = await giveAccount(rialto.home, { scope: 'ADMIN', plan: 'operator' })

    for (const endpoint of scoped.filter(({ scope }) => scope === 'OPERATOR'))
      expectRefusal(await send(endpoint, { key }), 403, 'UNAUTHORIZED')
  })

  test.for(named(scoped.filter(({ scope }) => scope === 'INFERENCE')))(
    '%s takes a key for inference, in either header',
    async ([, endpoint]) => {
      const own = about(endpoint, guest.id)
      const asked = { method: own.method, body: bodyOf(own), headers: { 'x-api-key': guest.key } }

      expect((await send(own, { key: guest.key })).status).toBe(statusOf(endpoint))
      expect((await ask(`${rialto.url}${pathOf(own)}`, asked)).status).toBe(statusOf(endpoint))
    },
  )
})

describe('an endpoint with a body', () => {
  test.for(named(withBody))('%s takes nothing that is not JSON', async ([, endpoint]) => {
    for (const body of ['', ' \n', '{"model":', '{model: "x"}', '\u0000', 'null,', '[1,2']) {
      const answer = await send(endpoint, { body })

      expectRefusal(answer, 400, 'INVALID_REQUEST')
      expect(answer.json()['error']).toMatch(/JSON/)
      expect(answer.json()).toMatchObject({ issues: [{ path: [] }], details: { _errors: [expect.any(String)] } })
    }
  })

  test.for(named(withBody))('%s takes nothing but an object', async ([, endpoint]) => {
    for (const body of ['[]', '"text"', '7', 'null', 'true', '[[[[]]]]']) {
      expectRefusal(await send(endpoint, { body }), 400, 'INVALID_REQUEST')
    }
  })

  test.for(named(withBody))('%s names every field of a wrong type', async ([, endpoint]) => {
    const fields = fieldsOf(endpoint)
    expect(fields.length).toBeGreaterThan(0)

    for (const [field, body] of fields) {
      const answer = await send(endpoint, { body })

      expectRefusal(answer, 400, 'INVALID_REQUEST')
      expect(answer.json()['error']).toContain(field)
      expect(answer.json()).toMatchObject({ details: { _errors: [], [field]: expect.anything() }, issues: expect.any(Array) })
      expect(z.array(z.looseObject({ path: z.array(z.union([z.string(), z.number()])) })).parse(answer.json()['issues'])[0]?.path[0]).toBe(
        field,
      )
    }
  })

  test.for(named(withBody))('%s names a field that there is not, and one that is missing', async ([, endpoint]) => {
    const example = z.record(z.string(), z.unknown()).parse(endpoint.example.body)

    const unknown = await send(endpoint, { body: { ...example, temprature: 1 } })
    const prototype = await send(endpoint, { body: JSON.stringify(example).replace('{', '{"__proto__":{"a":1},') })

    expectRefusal(unknown, 400, 'INVALID_REQUEST')
    expect(unknown.json()['error']).toContain('temprature')
    expect(unknown.json()).toMatchObject({
      issues: [{ code: 'unrecognized_keys', keys: ['temprature'] }],
      details: { _errors: [expect.any(String)] },
    })
    expect(prototype.status).toBeLessThan(500)
    for (const field of requiredOf(endpoint)) {
      const { [field]: _missing, ...rest } = example
      const answer = await send(endpoint, { body: rest })

      expectRefusal(answer, 400, 'INVALID_REQUEST')
      expect(answer.json()['error']).toContain(field)
    }
  })

  test.for(named(withBody))('%s never answers 500 for what is nested too deep', async ([, endpoint]) => {
    const depth = 20_000
    const example = JSON.stringify(endpoint.example.body).slice(0, -1)

    for (const field of ['nonsense', ...fieldsOf(endpoint).map(([name]) => name)]) {
      const { status } = await send(endpoint, { body: `${example},"${field}":${'{"a":'.repeat(depth)}[]${'}'.repeat(depth + 1)}` })

      expect([field, status < 500]).toEqual([field, true])
    }
  })

  test.for(named(withBody))('%s takes no other content type', async ([, endpoint]) => {
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
      'application/jsonp',
      'json',
      '',
    ]) {
      expectRefusal(await send(endpoint, { headers: { 'content-type': type } }), 415, 'INVALID_CONTENT_TYPE')
    }
    for (const type of ['application/json; charset=utf-8', 'Application/JSON']) {
      expect((await send(endpoint, { headers: { 'content-type': type } })).status).toBe(statusOf(endpoint))
    }
  })

  test.for(named(withBody.filter(({ example }) => Object.hasOwn(Object(example.body), 'model'))))(
    '%s tells of no model that there is not',
    async ([, endpoint]) => {
      const example = z.looseObject({ model: z.string() }).parse(endpoint.example.body)

      expectRefusal(await send(endpoint, { body: { ...example, model: 'no-such-model' } }), 404, 'MODEL_NOT_FOUND')
    },
  )
})

describe('a path that is no endpoint', () => {
  test.for(['/nothing', '/chat', '/chat/completions/more', '/..%2fetc', '/%', '//', '/v2/models'])('%s is not found', async (path) => {
    for (const method of ['GET', 'POST']) {
      expectRefusal(await ask(`${rialto.url}${path}`, { method, key: rialto.key }), 404, 'NOT_FOUND')
    }
  })
})

describe('the documentation', () => {
  test('of every endpoint is in the OpenAPI document, whose references all lead somewhere', async () => {
    const document = (await ask(`${rialto.url}/openapi.json`)).json()
    const { paths, components } = openApi.parse(document)

    for (const { method, path, scope, answers, summary, errors } of all) {
      const operation = operationSchema.parse(paths[path]?.[method.toLowerCase()])
      expect(operation.summary).toBe(summary)
      expect(operation.security).toEqual(scope === 'public' ? [] : [{ bearer: [] }])
      expect(Object.keys(operation.responses['200']?.content ?? {})).toEqual(Object.keys(answers))
      expect(Object.keys(operation.responses).includes('401')).toBe(
        scope !== 'public' || errors.some((code) => ERRORS[code].status === 401),
      )
      const inPath = operation.parameters.filter((parameter) => parameter.in === 'path').map(({ name }) => name)
      expect(inPath).toEqual([...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name))
    }
    const ids = Object.values(paths).flatMap((item) => Object.values(item).map((operation) => operationSchema.parse(operation).operationId))
    expect(new Set(ids).size).toBe(all.length)
    expect(ids.length).toBe(all.length)
    for (const [, reference = ''] of JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)) {
      expect(Object.keys(components.schemas)).toContain(/^#\/components\/schemas\/(\w+)$/.exec(reference)?.[1])
    }
  })

  test('of every endpoint is in the text for language models', async () => {
    const { text } = await ask(`${rialto.url}/llms-full.txt`)

    for (const { method, path } of all) expect(text).toMatch(new RegExp(`${method} \\S*${path.replaceAll(/[{}./]/g, String.raw`\$&`)}`))
  })
})

const openApi = z.object({
  openapi: z.literal('3.1.0'),
  info: z.object({ title: z.string().min(1), version: z.string().min(1) }),
  servers: z.array(z.object({ url: z.string() })).min(1),
  paths: z.record(z.string().startsWith('/'), z.record(z.string().regex(/^(get|post|put|patch|delete)$/), z.unknown())),
  components: z.object({
    schemas: z.record(z.string(), z.looseObject({})),
    securitySchemes: z.object({ bearer: z.object({ type: z.literal('http') }) }),
  }),
})

const operationSchema = z.object({
  operationId: z.string().min(1),
  summary: z.string(),
  security: z.array(z.unknown()),
  parameters: z.array(z.object({ name: z.string(), in: z.enum(['path', 'query']), required: z.boolean() })).default([]),
  responses: z.record(z.string(), z.object({ description: z.string().min(1), content: z.record(z.string(), z.looseObject({})) })),
})

const requiredOf = ({ body }: AnyEndpoint): readonly string[] =>
  body ? z.object({ required: z.array(z.string()).default([]) }).parse(z.toJSONSchema(body, { io: 'input' })).required : []

/** Each field that the body's schema declares, and the example with something in it that the schema refuses. */
function fieldsOf({ body: schema, example }: AnyEndpoint): [string, object][] {
  if (!schema) return []
  const { properties } = z.object({ properties: z.record(z.string(), z.unknown()) }).parse(z.toJSONSchema(schema, { io: 'input' }))
  const wrong = [{ nonsense: [true] }, 'nonsense', 12_345.5, [[{}]], true]
  return Object.keys(properties).map((field) => {
    const bodies = wrong.map((value) => ({ ...z.record(z.string(), z.unknown()).parse(example.body), [field]: value }))
    const refused = bodies.find((body) => !schema.safeParse(body).success)
    if (!refused) throw new Error(`${field} takes anything`)
    return [field, refused]
  })
}
