import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { Failure } from '../core/errors.ts'
import { checkerOf } from './checker.ts'
import { invalid } from './invalid.ts'

const schema = z.strictObject({
  name: z.string(),
  count: z.int().max(9).nullish(),
  mode: z.enum(['a', 'b']).optional(),
  list: z.array(z.object({ x: z.number() })).nullish(),
  size: z.number().default(3),
})

const outcome = (check: () => unknown): unknown => {
  try {
    return { data: check() }
  } catch (error) {
    return error instanceof Failure ? { message: error.message, issues: error.issues } : error
  }
}

const wholly = (value: unknown): unknown => {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  throw invalid(result.error)
}

const anything = fc.oneof(fc.constantFrom(1, 'a', 'c', null, undefined, [], [{ x: 1 }], [{ x: 'y', z: 2 }], {}, true), fc.jsonValue())
const body = fc.dictionary(fc.constantFrom('name', 'count', 'mode', 'list', 'size', 'other', '__proto__', 'toString'), anything)

describe('a check', () => {
  it('gives exactly what the whole schema gives, for whatever comes, in whatever order', () => {
    const check = checkerOf(schema)
    fc.assert(
      fc.property(fc.oneof(body, fc.jsonValue()), (value) => {
        expect(outcome(() => check(value))).toEqual(outcome(() => wholly(value)))
      }),
      { numRuns: 500 },
    )
  })

  it('fills in what has a default, and asks for what must be there', () => {
    const check = checkerOf(schema)

    expect(check({ name: 'x' })).toEqual({ name: 'x', size: 3 })
    expect(() => check({ mode: 'a' })).toThrow('name: ')
  })

  it('leaves schemas alone that take fields they do not name', () => {
    expect(checkerOf(z.looseObject({ a: z.number() }))({ a: 1, b: 2 })).toEqual({ a: 1, b: 2 })
    expect(checkerOf(z.object({ a: z.number() }))({ a: 1, b: 2 })).toEqual({ a: 1 })
  })
})
