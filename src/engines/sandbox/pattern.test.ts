/** Patterns are matched as the language would, and made texts match, without ever running the language's own. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readPattern } from './pattern.ts'
import { matches, textFor } from './pattern-text.ts'

const budget = () => ({ left: 10_000_000 })

const atom: fc.Arbitrary<string> = fc.constantFrom(
  'a',
  'b',
  'c',
  '.',
  '\\d',
  '\\w',
  '\\s',
  '\\S',
  '[ab]',
  '[^a]',
  '[a-c0-2]',
  '[\\d-]',
  '\\.',
  '\\x61',
  '\\u0062',
  '\\n',
  '[^\\w]',
)
const { pattern } = fc.letrec<{ pattern: string }>((tie) => ({
  pattern: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    atom,
    fc.tuple(tie('pattern'), tie('pattern')).map(([a, b]) => a + b),
    fc.tuple(tie('pattern'), tie('pattern')).map(([a, b]) => `(?:${a}|${b})`),
    fc.tuple(atom, fc.constantFrom('*', '+', '?', '{2}', '{1,3}', '{2,}', '+?')).map(([a, count]) => a + count),
    tie('pattern').map((a) => `(${a})*`),
    tie('pattern').map((a) => `^${a}$`),
  ),
}))
const text = fc.string({ unit: fc.constantFrom('a', 'b', 'c', '0', '2', '.', '-', ' ', '\n', '_', 'é'), maxLength: 8 })

describe('patterns', () => {
  it('match what the language matches', () => {
    fc.assert(
      fc.property(pattern, text, (source, input) => {
        const read = readPattern(source)

        expect([source, input, read && matches(read, input, budget())]).toEqual([source, input, new RegExp(source).test(input)])
      }),
      { numRuns: 2000 },
    )
  })

  it('make texts that match, as long as asked for where that can be', () => {
    for (const source of ['^[a-z]+$', '[A-Z]{2}\\d', '^(\\+\\d{1,3})?\\d{4,}$', 'x|y', '^[^@]+@[^@]+\\.[a-z]{2,}$', '^$', '']) {
      const read = readPattern(source)
      const made = read && [0, 1, 2].map((variant) => textFor(read, source === '^$' ? 0 : 12, variant, budget()) ?? '')

      expect(made?.map((one) => new RegExp(source).test(one) && (source === '^$' || one.length >= 12))).toEqual([true, true, true])
    }
  })

  it('are null where they are more than is read', () => {
    const beyond = [
      '(?=a)',
      '(?!a)',
      '(?<=a)b',
      '(a)\\1',
      '\\bword',
      '\\p{L}',
      'a**',
      '*a',
      '(a',
      'a)',
      '[a',
      'a{3,2}',
      'a{1001}',
      '(?<n',
      '\\',
      'x'.repeat(1001),
      '('.repeat(60) + ')'.repeat(60),
    ]

    expect(beyond.map(readPattern)).toEqual(beyond.map(() => null))
  })

  it('give up within the budget where the language would never end', () => {
    const read = readPattern('^((a+)+)+$')
    const spent = { left: 100_000 }

    expect(read && matches(read, `${'a'.repeat(1000)}b`, spent)).toBe(false)
    expect(spent.left).toBeGreaterThan(-10_000)
  })
})
