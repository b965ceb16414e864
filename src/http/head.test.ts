import fc from 'fast-check'
import { expect, test } from 'vitest'
import { field, preflightHead } from './head.ts'

test('whatever a name of a model, an engine or a caller holds, it stays within its line of a head', () => {
  const hostile = fc.oneof(
    fc.array(fc.integer({ min: 0, max: 0xffff })).map((codes) => String.fromCharCode(...codes)),
    fc.constantFrom('a\r\nset-cookie: b', 'a\n', '\0', '\ud800', 'Grüße', '\x7f', '\x85'),
  )
  fc.assert(
    fc.property(hostile, (value) => {
      expect(field('x-name', value)).toMatch(/^x-name: [ -~]*\r\n$/)
      expect(preflightHead(value)).toMatch(/^(?:[a-z-]+: [ -~]*\r\n){3}$/)
    }),
    { numRuns: 300 },
  )
})

test('what can be read is left as it is', () => {
  expect(field('x-name', 'Llama 3.3 (70B), "fast" & 100%')).toBe('x-name: Llama 3.3 (70B), "fast" & 100%\r\n')
  expect(field('x-count', 7)).toBe('x-count: 7\r\n')
})
