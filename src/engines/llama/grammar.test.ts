import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { PLAIN } from '../text-run.fixture.ts'
import { integerRange } from './grammar-numbers.ts'
import { formatGrammar, schemaProblem } from './grammar.ts'

/** A range is made of digits, classes, counts and brackets only: with the blanks and quotes gone it is a regular expression. */
const asPattern = (range: string): RegExp => new RegExp(`^(${range.replaceAll('"', '').replaceAll(' ', '')})$`)

describe('a range of whole numbers', () => {
  test('takes what is in it and nothing else', () => {
    const bound = fc.integer({ min: -3_000, max: 3_000 })
    fc.assert(
      fc.property(bound, bound, fc.array(fc.integer({ min: -10_000, max: 10_000 }), { minLength: 20 }), (a, b, numbers) => {
        const [least, most] = [Math.min(a, b), Math.max(a, b)]
        const pattern = asPattern(integerRange(least, most))

        for (const number of [...numbers, least, most, least - 1, most + 1, 0])
          expect(pattern.test(String(number))).toBe(number >= least && number <= most)
        expect(pattern.test(`0${most}`)).toBe(false)
      }),
    )
  })

  test('may be open to one side, as far as numbers are exact', () => {
    const pattern = asPattern(integerRange(5, null))

    expect([4, 5, 10, 999_999_999_999_999].map((number) => pattern.test(String(number)))).toEqual([false, true, true, true])
    expect(() => integerRange(5, 4)).toThrow(RangeError)
  })
})

describe('a schema', () => {
  const problem = (schema: Record<string, unknown>, strict = true): string | null =>
    schemaProblem({ ...PLAIN, format: { type: 'json_schema', name: 'a', strict, schema } })

  test.for(['pattern', 'multipleOf', 'uniqueItems', 'not', 'patternProperties', 'minProperties'])(
    'with %s is refused by that name where it is strict',
    (keyword) => {
      const value =
        keyword === 'uniqueItems' ? true : keyword === 'minProperties' ? 2 : keyword === 'pattern' ? 'a' : keyword === 'multipleOf' ? 3 : {}

      expect(problem({ type: 'object', properties: { a: { type: 'string', [keyword]: value } } })).toBe(
        `response_format.json_schema.schema.${keyword}`,
      )
      expect(problem({ type: 'object', properties: { a: { type: 'string', [keyword]: value } } }, false)).toBeNull()
    },
  )

  test('is refused where it points nowhere, or to itself for ever, or asks for an empty range', () => {
    expect(problem({ $ref: '#/$defs/none' })).toMatch(/\$ref$/)
    expect(problem({ $ref: 'https://example.com/schema' })).toMatch(/\$ref$/)
    expect(problem({ type: 'integer', minimum: 3, maximum: 2 })).toMatch(/minimum$/)
    expect(problem({ allOf: [{ $ref: '#' }] })).toMatch(/\$ref$/)
  })

  test('of the common libraries is taken: bounds that every number keeps, references, nullable, everything optional', () => {
    const safe = { type: 'integer', minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER }

    expect(
      problem({ type: 'object', properties: { n: safe, s: { type: 'string', nullable: true }, o: { $ref: '#/properties/n' } } }),
    ).toBeNull()
    expect(problem({ allOf: [{ type: 'object', properties: { a: true } }, { required: ['a'] }] })).toBeNull()
    expect(problem({})).toBeNull()
  })

  test('of any shape becomes a grammar or a refusal, never a defect', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom('type', 'properties', 'items', 'enum', 'anyOf', 'required', '$ref', 'minimum'), fc.jsonValue()),
        (schema) => {
          const said = problem(schema)

          if (said === null) expect(formatGrammar({ type: 'json_schema', name: 'a', strict: true, schema })).toMatch(/^root ::= /)
          else expect(said).toMatch(/^response_format\.json_schema\.schema/)
        },
      ),
    )
  })
})
