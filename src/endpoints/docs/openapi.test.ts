import { describe, expect, test } from 'vitest'
import { ERRORS, fail, failField } from '../../core/errors.ts'
import { errorBody } from '../../http/error-reply.ts'
import { ABOUT, ALL, FORGET, GET_SAID, SAY } from './docs.fixture.ts'
import { errorSchema, errorsOf, exampleOf } from './errors.ts'
import { openApi, operationId } from './openapi.ts'

// What JSON makes of it is what callers see.
const document = JSON.parse(JSON.stringify(openApi(ALL, ABOUT)))

describe('the OpenAPI document', () => {
  test('has every endpoint once, under its path and method, with a name of its own', () => {
    const operations = Object.entries<Record<string, { operationId: string }>>(document.paths).flatMap(([path, item]) =>
      Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`),
    )

    expect(operations.sort()).toEqual(['DELETE /said/{id}', 'GET /said/{id}', 'POST /say'])
    expect(ALL.map(operationId)).toEqual(['postSay', 'getSaidById', 'deleteSaidById'])
  })

  test('points at nothing that is not there', () => {
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)].map(([, name]) => name)

    expect(references.length).toBeGreaterThan(3)
    for (const name of references) expect(document.components.schemas).toHaveProperty([String(name)])
  })

  test('says of a body what the schema says: required fields, limits, meanings, and no null for what may be absent', () => {
    const schema = document.components.schemas.PostSayRequest

    expect(schema.required).toEqual(['model', 'words'])
    expect(schema.additionalProperties).toBe(false)
    expect(schema.properties.model).toEqual({ type: 'string', minLength: 1, description: 'Who says it.' })
    expect(schema.properties.volume).toEqual({ type: 'integer', minimum: 0, maximum: 11, default: 5 })
    expect(schema.properties.tone).toEqual({ type: 'string', enum: ['calm', 'loud'] })
    expect(schema.properties.parts.items.oneOf.map((variant: { title: string }) => variant.title)).toEqual(['a', 'b'])
  })

  test('shows the declared example with the answer it gets', () => {
    const { requestBody, responses } = document.paths['/say'].post

    expect(requestBody.content['application/json'].example).toEqual(SAY.example.body)
    expect(responses['200'].content['application/json'].example).toEqual(SAY.example.answer)
    expect(responses['200'].content['text/plain']).toEqual({ schema: { type: 'string' } })
  })

  test('has the parameters of path and query', () => {
    expect(document.paths['/said/{id}'].get.parameters).toEqual([
      { name: 'id', in: 'path', required: true, schema: { type: 'string' }, example: '7' },
      {
        name: 'lang',
        in: 'query',
        required: false,
        description: 'In which language.',
        schema: { type: 'string', enum: ['en', 'de'], default: 'en' },
        example: 'de',
      },
    ])
  })

  test('asks for a key where one is needed', () => {
    expect(document.paths['/say'].post.security).toEqual([{ bearer: [] }])
    expect(document.paths['/said/{id}'].get.security).toEqual([])
    expect(document.paths['/said/{id}'].delete.description).toContain('ADMIN')
  })
})

describe('errors', () => {
  test('an endpoint answers with its own codes, those of its scope, and those of the work behind it', () => {
    expect(errorsOf(SAY)).toEqual(
      expect.arrayContaining(['INVALID_REQUEST', 'TOO_MANY_TOKENS', 'AUTHENTICATION_FAILED', 'INSUFFICIENT_BALANCE', 'MODEL_OFFLINE']),
    )
    expect(errorsOf(GET_SAID)).toEqual(['INVALID_REQUEST', 'NOT_FOUND', 'RATE_LIMIT_EXCEEDED', 'UNKNOWN_ERROR', 'SHUTTING_DOWN'])
    expect(errorsOf(FORGET)).toEqual(['AUTHENTICATION_FAILED', 'UNAUTHORIZED', 'RATE_LIMIT_EXCEEDED', 'UNKNOWN_ERROR', 'SHUTTING_DOWN'])
  })

  test('the example of a wrong request is what the schema really says', () => {
    const failure = exampleOf('INVALID_REQUEST', SAY)

    expect(failure.issues).toEqual([expect.objectContaining({ code: 'invalid_type', path: ['model'] })])
    expect(exampleOf('INVALID_REQUEST', GET_SAID).issues).toEqual([expect.objectContaining({ code: 'invalid_value', path: ['lang'] })])
  })

  test('the documented shape is the shape of every error there is', () => {
    const failures = [
      ...Object.keys(ERRORS).map((code) => fail(code as keyof typeof ERRORS)),
      failField('model', 'is unknown'),
      exampleOf('INVALID_REQUEST', SAY),
    ]

    for (const failure of failures)
      expect(errorSchema.strict().parse(JSON.parse(JSON.stringify(errorBody(failure, 'id'))))).toMatchObject({ code: failure.code })
  })

  test('every status of an endpoint has an example of each of its codes', () => {
    const { responses } = document.paths['/say'].post

    expect(Object.keys(responses['429'].content['application/json'].examples)).toEqual(['RATE_LIMIT_EXCEEDED', 'MODEL_OVERLOADED'])
    expect(responses['402'].content['application/json'].examples.INSUFFICIENT_BALANCE.value).toEqual(
      errorBody(fail('INSUFFICIENT_BALANCE'), 'id'),
    )
    expect(responses['429'].headers).toHaveProperty('Retry-After')
  })
})
