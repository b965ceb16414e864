import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Failure } from '../core/errors.ts'
import { FormReader, type FormFields, boundaryOf } from './form.ts'

const RULES = { file: 'file', maxBytes: 1024, first: 'model' }

type Sent = { readonly head: string; readonly content: Buffer | string }
const field = (name: string, content: string): Sent => ({ head: `Content-Disposition: form-data; name="${name}"`, content })
const upload = (content: Buffer | string, name = 'a.wav'): Sent => ({
  head: `Content-Disposition: form-data; name="file"; filename="${name}"\r\nContent-Type: audio/wav`,
  content,
})

function formOf(parts: readonly Sent[], boundary = 'X', end = '--\r\n'): Buffer {
  const pieces = parts.flatMap(({ head, content }) => [
    Buffer.from(`--${boundary}\r\n${head}\r\n\r\n`),
    Buffer.from(content),
    Buffer.from('\r\n'),
  ])
  return Buffer.concat([...pieces, Buffer.from(`--${boundary}${end}`)])
}

/** What a form is when it comes in pieces of so many bytes; `name` is not read. */
function parse(body: Buffer, boundary = 'X', pieceBytes = body.length + 1): { fields: FormFields; file: Buffer | null } {
  let [pieces, ended]: [Buffer[] | null, boolean] = [null, false]
  const reader = new FormReader(boundary, RULES, {
    begin: () => void (pieces = []),
    write: (bytes) => void pieces?.push(Buffer.from(bytes)),
    end: () => void (ended = true),
  })
  for (let at = 0; at < body.length; at += pieceBytes) reader.feed(body.subarray(at, at + pieceBytes))
  reader.end()
  // It is assigned in the taker above, which the compiler does not see.
  const file = pieces as Buffer[] | null
  if (file !== null && !ended) throw new Error('the file has no end')
  return { fields: reader.fields, file: file && Buffer.concat(file) }
}

const read = (parts: readonly Sent[]) => parse(formOf(parts))

describe('a form', () => {
  test.for([
    ['the file first', [upload('abc'), field('model', 'm')]],
    ['the file last', [field('model', 'm'), upload('abc')]],
    ['the file between', [field('model', 'm'), upload('abc'), field('language', 'en')]],
  ] as const)('gives its fields and its file with %s', ([, parts]) => {
    const { fields, file } = read([...parts])

    expect(fields['model']).toBe('m')
    expect(file?.toString()).toBe('abc')
  })

  test('gives whatever bytes its file has, in whatever order its parts come, at whatever boundary, in whatever pieces', () => {
    const boundary = fc.stringMatching(/^[0-9A-Za-z'()+_,./:=?-]{1,70}$/)
    const text = fc.string({ maxLength: 40, unit: 'grapheme' })
    fc.assert(
      fc.property(
        boundary,
        fc.uint8Array({ maxLength: 300 }),
        fc.array(text, { maxLength: 5 }),
        fc.nat(),
        fc.integer({ min: 1, max: 90 }),
        (between, bytes, values, place, pieceBytes) => {
          const content = Buffer.from(bytes)
          const fields = values.map((value, at) => field(`f${at}`, value))
          fc.pre([content, ...values.map((value) => Buffer.from(value))].every((one) => !one.includes(`--${between}`)))
          const at = place % (fields.length + 1)

          const form = parse(formOf([...fields.slice(0, at), upload(content), ...fields.slice(at)], between), between, pieceBytes)

          expect(form.file?.equals(content)).toBe(true)
          expect(Object.values(form.fields)).toEqual(values)
        },
      ),
    )
  })

  test('is never a defect, whatever was sent as one', () => {
    const pieces = fc.constantFrom(
      '--X',
      '--X--',
      '\r\n',
      '\r\n\r\n',
      'Content-Disposition: form-data; name="file"',
      '; filename="x"',
      '"',
      ':',
      'a',
      '\0',
    )
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 20 }), (parts) => {
        try {
          parse(Buffer.from(parts.join('')), 'X', 1 + parts.length)
        } catch (error) {
          expect(error).toBeInstanceOf(Failure)
          expect(error).toMatchObject({ status: expect.toSatisfy((status: number) => status === 400 || status === 413) })
        }
      }),
    )
  })

  test('keeps what looks like a boundary and is none', () => {
    const content = '\r\n--Y\r\n--\r\n-X\r\nContent-Disposition: form-data; name="model"\r\n\r\nz'

    expect(read([upload(content)]).file?.toString()).toBe(content)
  })

  test('gives the values of a field whose name ends in [] as a list', () => {
    expect(read([field('t[]', 'word'), field('t[]', 'segment'), field('a', '1')]).fields).toEqual({ 't[]': ['word', 'segment'], a: '1' })
  })

  test('has text before its first and after its last boundary that is nobody’s', () => {
    const body = Buffer.concat([Buffer.from('preamble\r\n'), formOf([field('a', '1')], 'X', '--\r\nepilogue')])

    for (const pieceBytes of [1, 3, 100]) expect(parse(body, 'X', pieceBytes).fields).toEqual({ a: '1' })
  })

  test('has names in quotes with quotes in them, and fields that inherit nothing', () => {
    const { fields, file } = read([upload('x', String.raw`a\"b\\c.wav`), field('__proto__', 'p')])

    expect(file?.toString()).toBe('x')
    expect(Object.keys(fields)).toEqual(['__proto__'])
  })

  test.for([
    ['no part', Buffer.from('nothing'), 'has no part'],
    ['no end', Buffer.from('--X\r\nContent-Disposition: form-data; name="a"\r\n\r\n1'), 'has no end'],
    ['no blank line', Buffer.from('--X\r\nContent-Disposition: form-data; name="a"\r\n--X--'), 'no end'],
    ['a part without a name', formOf([{ head: 'Content-Type: text/plain', content: '' }]), 'has no name'],
    ['a part with two names', formOf([{ head: 'Content-Disposition: form-data; name="a"; name="b"', content: '' }]), 'two names'],
    ['something after a boundary', Buffer.from('--Xy\r\n'), 'followed by something else'],
    ['too many parts', formOf(Array.from({ length: 65 }, (_, at) => field(`f${at}`, ''))), 'more than 64 parts'],
  ] as const)('with %s is refused in words that quote nothing', ([, body, words]) => {
    for (const pieceBytes of [1, 10_000])
      expect(() => parse(body, 'X', pieceBytes)).toThrow(
        expect.objectContaining({ code: 'INVALID_REQUEST', message: expect.stringContaining(words) }),
      )
  })

  test.for([
    ['a field twice', [field('a', '1'), field('a', '2')], 'a'],
    ['two files', [upload('1'), upload('2')], 'file'],
    ['a file under another name', [{ ...upload('1'), head: 'Content-Disposition: form-data; name="audio"; filename="x"' }], 'audio'],
    ['the file as a text', [field('file', 'base64')], 'file'],
  ] as const)('with %s is refused by the name of the field', ([, parts, param]) => {
    expect(() => read([...parts])).toThrow(expect.objectContaining({ code: 'INVALID_REQUEST', param }))
  })

  test('with too large a file is refused as too large', () => {
    expect(() => read([upload(Buffer.alloc(1025))])).toThrow(expect.objectContaining({ code: 'PAYLOAD_TOO_LARGE', param: 'file' }))
    expect(read([upload(Buffer.alloc(1024))]).file?.length).toBe(1024)
  })

  test('with too much around its file is refused as too large', () => {
    expect(() => read([field('a', 'x'.repeat(200_000)), field('b', 'x'.repeat(200_000))])).toThrow(
      expect.objectContaining({ code: 'PAYLOAD_TOO_LARGE' }),
    )
  })

  test('that does not stop after its end is refused as too large', () => {
    const body = formOf([field('a', '1'), upload('abc')])
    expect(parse(Buffer.concat([body, Buffer.alloc(1_000)])).file?.toString()).toBe('abc')
    expect(() => parse(Buffer.concat([body, Buffer.alloc(300_000)]), 'X', 1_000)).toThrow(
      expect.objectContaining({ code: 'PAYLOAD_TOO_LARGE' }),
    )
  })

  test('says where its file begins, and what must come after it at least', () => {
    const body = formOf([field('a', '1'), upload('abc')], 'X', '--')
    const places: number[] = []
    const taker = {
      begin: (before: number, after: number) => void places.push(before, after),
      write: () => undefined,
      end: () => undefined,
    }
    for (const pieceBytes of [1, 1_000]) {
      const reader = new FormReader('X', RULES, taker)
      for (let at = 0; at < body.length; at += pieceBytes) reader.feed(body.subarray(at, at + pieceBytes))
    }

    const begins = body.indexOf('abc')
    expect(places).toEqual([begins, body.length - begins - 3, begins, body.length - begins - 3])
  })
})

describe('the content type of a form', () => {
  test.for([
    ['multipart/form-data; boundary=abc', 'abc'],
    ['Multipart/Form-Data; charset=utf-8; Boundary="a b:c"', 'a b:c'],
    ['multipart/form-data;boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW', '----WebKitFormBoundary7MA4YWxkTrZu0gW'],
  ] as const)('%s has the boundary %s', ([type, boundary]) => {
    expect(boundaryOf(type)).toBe(boundary)
  })

  test.for([undefined, '', 'application/json', 'multipart/mixed; boundary=a', 'multipart/form-dataX; boundary=a'])('is not %s', (type) => {
    expect(() => boundaryOf(type)).toThrow(expect.objectContaining({ code: 'INVALID_CONTENT_TYPE' }))
  })

  test.for([
    'multipart/form-data',
    'multipart/form-data; boundary=',
    'multipart/form-data; boundary=a; boundary=b',
    'multipart/form-data; boundary="a "',
  ])('needs one valid boundary, which %s has not', (type) => {
    expect(() => boundaryOf(type)).toThrow(expect.objectContaining({ code: 'INVALID_REQUEST' }))
  })
})
