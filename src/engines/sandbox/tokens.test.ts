/** The sandbox's tokens, of which its usage is made. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { countTokens, countWords, startOf, tokensOf } from './tokens.ts'

describe('tokens', () => {
  it('are the text, are counted without being made, and keep characters whole', () => {
    fc.assert(
      fc.property(
        fc.string({
          unit: fc.oneof(fc.constantFrom(' ', '\n', 'a', '🦩'), fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 })),
          maxLength: 60,
        }),
        (text) => {
          const tokens = tokensOf(text)

          expect(tokens.join('')).toBe(text)
          expect(countTokens(text)).toBe(tokens.length)
          expect(tokens.every((token) => token.isWellFormed() && token.length > 0)).toBe(true)
        },
      ),
    )
  })

  it('are words with the space before them, long ones in pieces', () => {
    expect(tokensOf('one  two\nextraordinarily ')).toEqual(['one', '  two', '\nextraordin', 'arily', ' '])
  })
})

describe('words and beginnings', () => {
  it('are parted by white space and never end within a character', () => {
    expect(['', ' ', 'a', ' a  b\n'].map(countWords)).toEqual([0, 0, 1, 2])
    expect([startOf('abc', 5), startOf('abc', 2), startOf('a🦩', 2)]).toEqual(['abc', 'ab', 'a'])
  })
})
