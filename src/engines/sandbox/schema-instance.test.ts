/** What the sandbox fills into calls and structured answers fits the schema, as an independent validator sees it. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { instanceOf } from './schema-instance.ts'

type Schema = Record<string, unknown>

describe('instanceOf', () => {
  it('fits any schema of the kinds that tools use', () => {
    fc.assert(
      fc.property(anySchema, (schema) => {
        const made = instanceOf(schema)

        expect({ schema, made, issues: z.fromJSONSchema(schema).safeParse(made?.value).error?.issues }).toEqual({
          schema,
          made,
          issues: undefined,
        })
      }),
      { numRuns: 500 },
    )
  })

  it('is the same for the same schema', () => {
    fc.assert(
      fc.property(anySchema, (schema) => {
        expect(instanceOf(schema)).toEqual(instanceOf(structuredClone(schema)))
      }),
    )
  })

  it.each<[string, Schema, unknown]>([
    ['an empty schema', {}, 'sandbox'],
    ['an object without properties', { type: 'object' }, {}],
    [
      'optional properties at the top only',
      object({ a: { type: 'string' }, b: object({ c: { type: 'string' } }) }),
      { a: 'sandbox', b: {} },
    ],
    ['required names that are not described', { type: 'object', required: ['a'] }, { a: 'sandbox' }],
    [
      'a name that the language knows',
      object({ ['__proto__']: { const: 1 }, constructor: { const: 2 } }),
      JSON.parse('{"__proto__":1,"constructor":2}'),
    ],
    ['a type that the keywords tell', { properties: { a: { minimum: 3 } } }, { a: 3 }],
    ['the first type that is not null', { type: ['null', 'integer'] }, 1],
    ['nullable', { type: 'string', nullable: true, enum: [null] }, null],
    ['const', { const: { deep: [1] } }, { deep: [1] }],
    ['enum with other bounds', { enum: ['a', 7, 9], type: 'integer', minimum: 8 }, 9],
    ['anyOf with one way', { anyOf: [{ type: 'string', maxLength: -1 }, { type: 'boolean' }] }, true],
    ['anyOf of two constraints', { type: 'integer', anyOf: [{ minimum: 10 }, { maximum: -10 }] }, 10],
    ['oneOf that only one may fit', { oneOf: [{ type: 'number' }, { type: 'integer' }, { type: 'null' }] }, 1.5],
    [
      'allOf of several objects',
      { allOf: [object({ a: { type: 'integer' } }, ['a']), object({ b: { type: 'integer' } }, ['b'])] },
      { a: 1, b: 1 },
    ],
    [
      'allOf that narrows one property',
      { allOf: [object({ a: { minimum: 5 } }, ['a']), object({ a: { type: 'integer', maximum: 5 } })] },
      { a: 5 },
    ],
    ['number and integer in common', { allOf: [{ type: 'number', minimum: 1.5 }, { type: 'integer' }] }, 2],
    ['not', { type: 'integer', not: { const: 1 } }, 0],
    [
      'if and then',
      {
        ...object({ kind: { enum: ['b', 'a'] }, x: { type: 'integer' } }, ['kind']),
        if: object({ kind: { const: 'a' } }, ['kind']),
        then: { required: ['x'] },
        else: false,
      },
      { kind: 'a', x: 1 },
    ],
    [
      'dependentRequired',
      { type: 'object', required: ['a'], dependentRequired: { a: ['b'], b: ['c'] } },
      { a: 'sandbox', b: 'sandbox', c: 'sandbox' },
    ],
    ['minProperties', { type: 'object', minProperties: 2, additionalProperties: { type: 'null' } }, { property1: null, property2: null }],
    [
      'patternProperties',
      { type: 'object', required: ['n_1'], patternProperties: { '^n_': { const: 4 } }, additionalProperties: false },
      { n_1: 4 },
    ],
    ['tuples', { type: 'array', prefixItems: [{ const: 1 }, { const: 2 }], items: false }, [1, 2]],
    ['tuples in the old spelling', { type: 'array', items: [{ const: 1 }], additionalItems: { const: 2 }, minItems: 3 }, [1, 2, 2]],
    ['different items', { type: 'array', items: { enum: [1, 1, 2, 3] }, minItems: 3, uniqueItems: true }, [1, 2, 3]],
    [
      'different objects',
      { type: 'array', items: object({ id: { type: 'integer' } }, ['id']), minItems: 2, uniqueItems: true },
      [{ id: 1 }, { id: 0 }],
    ],
    ['contains', { type: 'array', items: { type: 'integer' }, contains: { minimum: 5 }, minContains: 2, minItems: 3 }, [5, 5, 1]],
    ['exclusive bounds', { type: 'number', exclusiveMinimum: 0, exclusiveMaximum: 1 }, 0.5],
    ['exclusive bounds in the old spelling', { type: 'integer', minimum: 1, exclusiveMinimum: true }, 2],
    ['decimal steps', { type: 'number', multipleOf: 0.1, minimum: 0.25 }, 0.3],
    ['two steps', { type: 'integer', allOf: [{ multipleOf: 4 }, { multipleOf: 6 }], minimum: 1 }, 12],
    ['a reference', { $ref: '#/$defs/a~1b%20c', $defs: { 'a/b c': { const: 1 } } }, 1],
    ['a list that may go on', { ...object({ next: { anyOf: [{ $ref: '#' }, { type: 'null' }] } }, ['next']) }, { next: { next: null } }],
    [
      'a tree',
      {
        $ref: '#/definitions/node',
        definitions: { node: object({ children: { type: 'array', items: { $ref: '#/definitions/node' } } }, ['children']) },
      },
      { children: [] },
    ],
  ])('makes %s', (_, schema, value) => {
    expect(instanceOf(schema)).toEqual({ value })
  })

  it.each<[string, unknown]>([
    ['false', false],
    ['no schema', 'string'],
    ['bounds that exclude each other', { type: 'integer', minimum: 2, maximum: 1 }],
    ['types that exclude each other', { allOf: [{ type: 'string' }, { type: 'object' }] }],
    ['a required property that is forbidden', { type: 'object', required: ['a'], additionalProperties: false }],
    ['more different items than there are', { type: 'array', items: { type: 'boolean' }, minItems: 3, uniqueItems: true }],
    ['recursion without an end', object({ next: { $ref: '#' } }, ['next'])],
    ['a reference to itself', { $ref: '#' }],
    ['a reference to elsewhere', { $ref: 'https://example.com/schema.json' }],
    ['a pattern that is not read', { type: 'string', pattern: '(?=a)b' }],
    ['a text beyond all bounds', { type: 'string', minLength: 1e9 }],
    ['a list beyond all bounds', { type: 'array', minItems: 1e9 }],
  ])('makes nothing of %s', (_, schema) => {
    expect(instanceOf(schema)).toBeNull()
  })

  it('ends on schemas that are made to go on', () => {
    let deep: unknown = { type: 'string' }
    for (let i = 0; i < 20_000; i++) deep = object({ a: deep }, ['a'])
    const wide = { allOf: Array.from({ length: 12 }, () => ({ anyOf: Array.from({ length: 12 }, () => ({ type: 'integer', not: {} })) })) }
    const doubling = {
      $defs: { a: { type: 'array', prefixItems: [{ $ref: '#/$defs/a' }, { $ref: '#/$defs/a' }], minItems: 2 } },
      $ref: '#/$defs/a',
    }
    const evil = { type: 'string', allOf: [{ pattern: '^a{400}b$' }, { pattern: '^(((a?)*){900}){900}$' }] }

    const list = (items: unknown) => ({ type: 'array', minItems: 1000, items })
    const huge = list(list(list({ type: 'string', minLength: 90_000 })))
    const quadratic = { enum: Array.from({ length: 100_000 }, (_, i) => i), not: { type: 'integer' } }

    expect([deep, wide, doubling, evil, huge, quadratic].map(instanceOf)).toEqual([null, null, null, null, null, null])
  })
})

function object(properties: Schema, required?: string[]): Schema {
  return { type: 'object', properties, ...(required && { required }) }
}

const leaf: fc.Arbitrary<Schema> = fc.oneof(
  fc.record({ type: fc.constantFrom('boolean', 'null', 'string', 'integer', 'number') }),
  fc.record({ enum: fc.uniqueArray(fc.oneof(fc.string(), fc.integer(), fc.constant(null)), { minLength: 1, maxLength: 4 }) }),
  fc.record({ const: fc.oneof(fc.string(), fc.integer(), fc.boolean()) }),
  fc.record({
    type: fc.constant('string'),
    format: fc.constantFrom('date', 'date-time', 'time', 'email', 'uri', 'uuid', 'ipv4', 'ipv6', 'duration'),
  }),
  fc.record({
    type: fc.constant('string'),
    pattern: fc.constantFrom(
      '^[a-z]+$',
      '^\\d{3}-\\d{4}$',
      '[A-Z]',
      '^(foo|bar)\\.[^.]+$',
      '^a?b*c{2,}$',
      '\\w+@\\w+',
      '^[\\w.-]+/[\\w.-]+$',
      '^.{3,5}$',
      '^\\$',
      '\\s',
      '^(?:x|y)z$',
    ),
  }),
  fc.tuple(fc.nat(20), fc.nat(20)).map(([min, more]) => ({ type: 'string', minLength: min, maxLength: min + more })),
  fc
    .tuple(fc.integer({ min: -1000, max: 1000 }), fc.nat(100), fc.boolean())
    .map(([min, more, whole]) => ({ type: whole ? 'integer' : 'number', minimum: min, maximum: min + more })),
  fc
    .tuple(fc.integer({ min: -1000, max: 1000 }), fc.integer({ min: 2, max: 100 }))
    .map(([min, more]) => ({ type: 'number', exclusiveMinimum: min, exclusiveMaximum: min + more })),
  fc
    .tuple(fc.integer({ min: -100, max: 100 }), fc.integer({ min: 1, max: 20 }))
    .map(([min, step]) => ({ type: 'integer', minimum: min, multipleOf: step })),
)

const { anySchema } = fc.letrec<{ anySchema: Schema }>((tie) => ({
  anySchema: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    leaf,
    fc
      .tuple(
        fc.dictionary(fc.stringMatching(/^[a-z_]{1,8}$/), tie('anySchema'), { maxKeys: 4 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.boolean(),
      )
      .map(([properties, share, closed]) => ({
        type: 'object',
        properties,
        required: Object.keys(properties).filter((_, i, all) => i < all.length * share),
        ...(closed && { additionalProperties: false }),
      })),
    fc
      .tuple(tie('anySchema'), fc.nat(3), fc.nat(3))
      .map(([items, min, more]) => ({ type: 'array', items, minItems: min, maxItems: min + more })),
    fc
      .array(tie('anySchema'), { minLength: 1, maxLength: 3 })
      .map((prefixItems) => ({ type: 'array', prefixItems, minItems: prefixItems.length })),
    fc.array(tie('anySchema'), { minLength: 1, maxLength: 3 }).map((anyOf) => ({ anyOf })),
    tie('anySchema').map((one) => ({ allOf: [one] })),
  ),
}))
