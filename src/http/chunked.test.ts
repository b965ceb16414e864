import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Chunked } from './chunked.ts'
import { BadRequest } from './request-head.ts'

type Read = { readonly body: string; readonly rest: string }

/** Reads pieces one after another; null where they are refused, or are no whole body. */
function read(pieces: readonly string[]): Read | null {
  const chunked = new Chunked()
  let body = ''
  let rest = ''
  try {
    for (const piece of pieces) {
      const bytes = Buffer.from(piece, 'latin1')
      const used = chunked.done ? 0 : chunked.feed(bytes, 0, (part) => (body += part.toString('latin1')))
      rest += piece.slice(used)
    }
  } catch (error) {
    if (error instanceof BadRequest) return null
    throw error
  }
  return chunked.done ? { body, rest } : null
}

/** The same rules, read all at once by the grammar. */
function reference(text: string): Read | null {
  const size = /([0-9a-fA-F]{1,8})(?:;[\t -~\x80-\xff]*)?\r\n/y
  const trailers = /(?:[\t -~\x80-\xff]+\r\n)*\r\n/y
  let body = ''
  for (let at = 0; ; ) {
    size.lastIndex = at
    const length = Number.parseInt(size.exec(text)?.[1] ?? 'x', 16)
    if (Number.isNaN(length)) return null
    at = size.lastIndex
    if (length === 0) {
      trailers.lastIndex = at
      return trailers.test(text) ? { body, rest: text.slice(trailers.lastIndex) } : null
    }
    if (text.slice(at + length, at + length + 2) !== '\r\n') return null
    body += text.slice(at, at + length)
    at += length + 2
  }
}

function split(text: string, places: readonly number[]): string[] {
  const cuts = [0, ...places.map((place) => place % (text.length + 1)), text.length].sort((a, b) => a - b)
  return cuts.slice(1).map((cut, index) => text.slice(cuts[index], cut))
}

const byte = fc.oneof(fc.constantFrom(9, 10, 13, 48, 59), fc.integer({ min: 0, max: 255 })).map((code) => String.fromCharCode(code))
const bytes = (options: { minLength?: number; maxLength: number }) => fc.array(byte, options).map((all) => all.join(''))
const extension = fc.constantFrom('', '', ';', ';a', ';a="b c"', ';\x80')
const size = (length: number, upper: boolean, zeros: number): string => {
  const digits = length.toString(16).padStart(zeros, '0')
  return upper ? digits.toUpperCase() : digits
}
const chunk = fc
  .tuple(bytes({ minLength: 1, maxLength: 40 }), extension, fc.boolean(), fc.integer({ min: 0, max: 8 }))
  .map(([data, more, upper, zeros]) => ({ data, text: `${size(data.length, upper, zeros)}${more}\r\n${data}\r\n` }))
const body = fc
  .tuple(
    fc.array(chunk, { maxLength: 5 }),
    fc.constantFrom('0', '000', '00000000'),
    extension,
    fc.constantFrom('', 'a: b\r\n', 'a\r\nb:\r\n'),
  )
  .map(([chunks, last, more, trailers]) => ({
    body: chunks.map(({ data }) => data).join(''),
    text: `${chunks.map(({ text }) => text).join('')}${last}${more}\r\n${trailers}\r\n`,
  }))
const places = fc.array(fc.nat(), { maxLength: 8 })

describe('a body in chunks', () => {
  test('is the same however its bytes are split, and ends where it ends', () => {
    fc.assert(
      fc.property(body, bytes({ maxLength: 10 }), places, (made, rest, at) => {
        expect(read(split(made.text + rest, at))).toEqual({ body: made.body, rest })
        expect(read(Array.from(made.text + rest))).toEqual({ body: made.body, rest })
      }),
      { numRuns: 500 },
    )
  })

  test('that is damaged is refused, or read as a second, simple reader reads it', () => {
    fc.assert(
      fc.property(body, fc.nat(), byte, fc.constantFrom(0, 1), places, (made, place, inserted, cut, at) => {
        const where = place % made.text.length
        const damaged = made.text.slice(0, where) + inserted + made.text.slice(where + cut)
        expect(read(split(damaged, at))).toEqual(reference(damaged))
      }),
      { numRuns: 3_000 },
    )
  })

  test.for([
    '\r\n',
    ';a\r\n',
    '+5\r\nabcde\r\n0\r\n\r\n',
    '-1\r\n',
    '0x1\r\na\r\n0\r\n\r\n',
    ' 1\r\na\r\n0\r\n\r\n',
    '1 \r\na\r\n0\r\n\r\n',
    '1 ;a\r\na\r\n0\r\n\r\n',
    '000000001\r\na\r\n0\r\n\r\n',
    'fffffffff\r\n',
    '10000000000000001\r\na\r\n0\r\n\r\n',
    '1\na\n0\n\n',
    '1\r\na\n0\r\n\r\n',
    '1\r\nab\r\n0\r\n\r\n',
    '1\r\na0\r\n\r\n',
    '1\r\na\r\n\r\n0\r\n\r\n',
    '1;a\nb\r\na\r\n0\r\n\r\n',
    '1;\0\r\na\r\n0\r\n\r\n',
    '0\r\na: b\n\r\n',
    '0\r\n\n',
    '0\r\n\rx',
    'g\r\n',
  ])('%j is refused', (text) => {
    expect(() => new Chunked().feed(Buffer.from(text, 'latin1'), 0, () => undefined)).toThrow(BadRequest)
  })

  test('may say no more than 16 KB besides itself', () => {
    const chunks = (count: number, extra: string): string => `1;${extra}\r\na\r\n`.repeat(count)

    expect(read([`${chunks(16, 'x'.repeat(1_024))}0\r\n\r\n`])?.body).toBe('a'.repeat(16))
    expect(read([`${chunks(16, 'x'.repeat(1_024))}0;x\r\n\r\n`])).toBeNull()
    expect(read([`0\r\n${'a: b\r\n'.repeat(4_096)}\r\n`])?.body).toBe('')
    expect(read([`0\r\n${'a: b\r\n'.repeat(4_097)}\r\n`])).toBeNull()
  })
})
