import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BadRequest, RequestHead, checkBeginning } from './request-head.ts'

const head = (...lines: readonly string[]): RequestHead => new RequestHead(`${lines.join('\r\n')}\r\n\r\n`)

/** The status that this is refused with, 0 where it is taken. */
function refused(parse: () => unknown): number {
  try {
    parse()
    return 0
  } catch (error) {
    if (error instanceof BadRequest) return error.status
    throw error
  }
}

describe('a head', () => {
  test('gives what was asked and every field that the server knows', () => {
    const { method, target, old, length, authorization, apiKey, contentType, acceptEncoding, accept, origin, traceparent, keepsAlive } =
      head(
        'POST /v1/chat/completions?a=b HTTP/1.1',
        'Host: example.org',
        'AUTHORIZATION: Bearer one',
        'x-api-key:two',
        'Content-Type:\tapplication/json \t',
        'accept-encoding: br',
        'Accept: */*',
        'oRiGiN: https://example.org',
        'traceparent: 00-aa-bb-01',
        'content-length: 12',
      )

    expect([method, target, old, length, keepsAlive]).toEqual(['POST', '/v1/chat/completions?a=b', false, 12, true])
    expect([authorization, apiKey, contentType, acceptEncoding]).toEqual(['Bearer one', 'two', 'application/json', 'br'])
    expect([accept, origin, traceparent]).toEqual(['*/*', 'https://example.org', '00-aa-bb-01'])
  })

  test('gives all fields by lower-case names, none of them from anywhere else', () => {
    const { headers } = head('GET / HTTP/1.1', 'Host: h', 'X-A: 1', '__proto__: 2', 'x-a:  3 ', 'Empty:', 'constructor: 4')

    expect({ ...headers }).toEqual({ host: 'h', 'x-a': '1, 3', ['__proto__']: '2', empty: '', constructor: '4' })
    expect(headers['toString']).toBeUndefined()
  })

  test('keeps the first of two keys, so that nothing in front of the server and the server itself see different ones', () => {
    expect(head('GET / HTTP/1.1', 'Host: h', 'Authorization: one', 'Authorization: two').authorization).toBe('one')
  })

  test.for([
    ['/a', '/a'],
    ['/', '/'],
    ['//a', '//a'],
    ['*', '*'],
    ['http://example.org/a?b', '/a?b'],
    ['HTTPS://example.org:81', '/'],
    ['http://example.org?b', '/?b'],
    ['http://u@h/', '/'],
    ['/\xe4', '/\xe4'],
  ] as const)('of the target %s is for %s', ([target, wanted]) => {
    expect(head(`GET ${target} HTTP/1.1`, 'Host: other').target).toBe(wanted)
  })

  test.for([
    ['1.1', [], true],
    ['1.1', ['Connection: close'], false],
    ['1.1', ['Connection: Keep-Alive'], true],
    ['1.1', ['Connection: keep-alive, Close'], false],
    ['1.1', ['Connection: TE,close '], false],
    ['1.1', ['Connection: closed'], true],
    ['1.1', ['Connection: upgrade', 'Upgrade: websocket'], true],
    ['1.1', ['Connection: keep-alive', 'Connection: close'], false],
    ['1.0', [], false],
    ['1.0', ['Connection: Keep-Alive'], true],
    ['1.0', ['Connection: keep-alive, close'], false],
  ] as const)('of HTTP/%s with %j keeps its connection: %s', ([version, fields, keeps]) => {
    expect(head(`GET / HTTP/${version}`, 'Host: h', ...fields).keepsAlive).toBe(keeps)
  })

  test.for([
    ['Content-Length: 0', { length: 0, chunked: false, bodied: false }],
    ['Content-Length: 007', { length: 7, chunked: false, bodied: true }],
    ['Content-Length: 999999999999999', { length: 999_999_999_999_999, chunked: false, bodied: true }],
    ['Transfer-Encoding: Chunked', { length: -1, chunked: true, bodied: true }],
    ['Expect: 100-Continue', { length: -1, expects: true, bodied: false }],
    ['X: y', { length: -1, chunked: false, expects: false, bodied: false }],
  ] as const)('with %s tells how its body comes', ([field, wanted]) => {
    expect(head('POST / HTTP/1.1', 'Host: h', field)).toMatchObject(wanted)
  })

  test('of HTTP/1.0 needs no host, and gets no word before its body', () => {
    expect(head('POST / HTTP/1.0', 'Expect: 100-continue', 'Content-Length: 1')).toMatchObject({ old: true, expects: false, length: 1 })
  })

  test.for([
    'GET / HTTP/2.0',
    'GET / HTTP/1.2',
    'GET / HTTP/0.9',
    'GET / HTTP/1.10',
    'GET / HTTP/01.1',
    'GET / http/1.1',
    'GET / HTTP/1.1 ',
    'GET /',
    'GET  / HTTP/1.1',
    'GET / a HTTP/1.1',
    'GET\t/ HTTP/1.1',
    ' GET / HTTP/1.1',
    'G@T / HTTP/1.1',
    'GÉT / HTTP/1.1',
    'GET a HTTP/1.1',
    'GET example.org:443 HTTP/1.1',
    'CONNECT example.org:443 HTTP/1.1',
    'GET ftp://example.org/ HTTP/1.1',
    'GET http:/a HTTP/1.1',
    'GET /\0 HTTP/1.1',
    'GET /\x7f HTTP/1.1',
    'GET /\t HTTP/1.1',
    'GET /\n HTTP/1.1',
    'GET /\r HTTP/1.1',
    '',
  ])('that begins with %j is refused', (line) => {
    expect(refused(() => head(line, 'Host: h'))).toBe(400)
  })

  test.for([
    [['Content-Length: 1', 'Transfer-Encoding: chunked']],
    [['Transfer-Encoding: chunked', 'Content-Length: 1']],
    [['Content-Length: 1', 'Content-Length: 1']],
    [['Content-Length: 1, 1']],
    [['Content-Length: +1']],
    [['Content-Length: -1']],
    [['Content-Length: 0x1']],
    [['Content-Length: 1e1']],
    [['Content-Length: 1.0']],
    [['Content-Length: 1 1']],
    [['Content-Length: \xb2']],
    [['Content-Length:']],
    [['Content-Length: 1000000000000000']],
    [['Content-Length: 18446744073709551617']],
    [['Transfer-Encoding: identity']],
    [['Transfer-Encoding: gzip, chunked']],
    [['Transfer-Encoding: chunked, identity']],
    [['Transfer-Encoding: chunked;q=1']],
    [['Transfer-Encoding: xchunked']],
    [['Transfer-Encoding: "chunked"']],
    [['Transfer-Encoding:']],
    [['Transfer-Encoding: \x0bchunked']],
    [['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked']],
    [['Transfer-Encoding : chunked']],
    [['Transfer-Encoding\t: chunked']],
    [[' Transfer-Encoding: chunked']],
    [['X: y', ' z']],
    [['X: y', '\tz']],
    [['X: y\rContent-Length: 5']],
    [['X: y\nContent-Length: 5']],
    [['X: y\r\r']],
    [['X: \0']],
    [['X: \x7f']],
    [['X\0: y']],
    [['X']],
    [[': y']],
    [['X(: y']],
    [['X\xe4: y']],
    [['Host: other']],
    [['Expect: 200-ok']],
  ] as const)('with the fields %j is refused', ([fields]) => {
    expect(refused(() => head('POST / HTTP/1.1', 'Host: h', ...fields))).toBe(400)
  })

  test('of HTTP/1.0 that is chunked, and of HTTP/1.1 without a host, are refused', () => {
    expect(refused(() => head('POST / HTTP/1.0', 'Transfer-Encoding: chunked'))).toBe(400)
    expect(refused(() => head('GET / HTTP/1.1'))).toBe(400)
  })

  test('may have 200 fields', () => {
    const fields = (count: number): string[] => ['Host: h', ...Array<string>(count - 1).fill('X: y')]

    expect([200, 201].map((count) => refused(() => head('GET / HTTP/1.1', ...fields(count))))).toEqual([0, 431])
  })
})

describe('any text at all', () => {
  const TOKEN = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+"
  const SHAPE = new RegExp(`^(${TOKEN}) ([!-~\\x80-\\xff]+) HTTP/1\\.([01])\r\n((?:${TOKEN}:[\\t -~\\x80-\\xff]*\r\n)*)\r\n$`)

  /** The same rules said in another way: by a grammar first, then field by field over a list. Null where it is refused. */
  function reference(text: string): object | null {
    const [whole, method, asked = '', minor, lines = ''] = SHAPE.exec(text) ?? []
    if (whole === undefined) return null
    const target = asked.startsWith('/') || asked === '*' ? asked : /^https?:\/\/[^/?#]*(.*)$/i.exec(asked)?.[1]
    if (target === undefined) return null
    const fields = lines
      .split('\r\n')
      .slice(0, -1)
      .map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).replace(/^[ \t]+|[ \t]+$/g, '')])
    const all = (name: string): string[] => fields.flatMap(([key, value = '']) => (key === name ? [value] : []))
    const [hosts, lengths, codings] = [all('host'), all('content-length'), all('transfer-encoding')]
    if (hosts.length > 1 || (hosts.length === 0 && minor === '1') || lengths.length + codings.length > 1 || fields.length > 200) return null
    if (lengths.some((length) => !/^[0-9]{1,15}$/.test(length))) return null
    if (codings.some((coding) => minor === '0' || coding.toLowerCase() !== 'chunked')) return null
    if (all('expect').some((value) => value.toLowerCase() !== '100-continue')) return null
    const options = all('connection').flatMap((value) => value.split(',').map((option) => option.trim().toLowerCase()))
    return {
      method,
      target: target === '*' || target.startsWith('/') ? target : `/${target}`,
      old: minor === '0',
      length: lengths.length > 0 ? Number(lengths[0]) : -1,
      chunked: codings.length > 0,
      expects: minor === '1' && all('expect').length > 0,
      keepsAlive: !options.includes('close') && (minor === '1' || options.includes('keep-alive')),
      authorization: all('authorization')[0],
      names: new Set(fields.map(([name]) => name)),
    }
  }

  function read(text: string): object | null {
    try {
      const { method, target, old, length, chunked, expects, keepsAlive, authorization, headers } = new RequestHead(text)
      return { method, target, old, length, chunked, expects, keepsAlive, authorization, names: new Set(Object.keys(headers)) }
    } catch (error) {
      if (error instanceof BadRequest) return null
      throw error
    }
  }

  const field = fc.oneof(
    fc.constantFrom('Host: h', 'content-length: 5', 'Transfer-Encoding: chunked', 'Connection: close', 'connection: a, keep-alive'),
    fc.constantFrom('Expect: 100-continue', 'Authorization: Bearer k', 'X:', ' folded', 'no colon', 'Content-Length: +5', 'x : y'),
    fc.tuple(fc.stringMatching(/^[!-~]{1,17}$/), fc.stringMatching(/^[ -~\t\x80-\xff]{0,9}$/)).map(([name, value]) => `${name}:${value}`),
  )
  const line = fc
    .tuple(
      fc.constantFrom('GET', 'POST', 'G:T', ''),
      fc.oneof(fc.constantFrom('/', '/a?b', '*', 'http://h/a', 'https://h', 'h:80'), fc.stringMatching(/^\/[ -~]{0,9}$/)),
      fc.constantFrom('HTTP/1.1', 'HTTP/1.0', 'HTTP/1.1', 'HTTP/1.0', 'HTTP/2.0'),
    )
    .map((parts) => parts.join(' '))
  const likely = fc.tuple(line, fc.array(field, { maxLength: 6 })).map(([first, fields]) => [first, ...fields, '', ''].join('\r\n'))
  const byte = fc
    .oneof(fc.constantFrom(0, 9, 10, 13, 32, 58, 127), fc.integer({ min: 0, max: 255 }))
    .map((code) => String.fromCharCode(code))
  const mutated = fc
    .tuple(likely, fc.nat(), byte, fc.constantFrom(0, 1))
    .map(([text, at, inserted, cut]) => text.slice(0, at % text.length) + inserted + text.slice((at % text.length) + cut))

  test('is either refused or read as a second, simple reader reads it', () => {
    let taken = 0
    fc.assert(
      fc.property(fc.oneof(likely, likely, mutated), (text) => {
        // The connection cuts a head at its first empty line.
        const whole = text.slice(0, text.indexOf('\r\n\r\n') + 4)
        const wanted = reference(whole)
        if (wanted !== null) taken++
        expect(read(whole)).toEqual(wanted)
      }),
      { numRuns: 3_000 },
    )
    expect(taken).toBeGreaterThan(100)
  })

  test('never makes the reader fail in another way, nor read without end', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.array(byte, { maxLength: 80 }).map((bytes) => bytes.join('')),
          mutated,
        ),
        fc.nat(),
        (text, end) => {
          expect(() => read(text)).not.toThrow()
          expect(() => read(text.slice(0, end % (text.length + 1)))).not.toThrow()
        },
      ),
      { numRuns: 2_000 },
    )
  })

  test('that is the beginning of a head is never refused for that', () => {
    fc.assert(
      fc.property(likely, (text) => {
        const whole = text.slice(0, text.indexOf('\r\n\r\n') + 4)
        if (read(whole) === null) return
        for (let end = 1; end < whole.length - 1; end++) checkBeginning(Buffer.from(whole.slice(0, end), 'latin1'), 0)
      }),
      { numRuns: 300 },
    )
  })

  test.for([
    '\x16\x03\x01\x02\x00\x01',
    'SSH-2.0-OpenSSH_9\r\n',
    'EHLO me\r\n',
    'PRI * HTTP/2.0\r\n',
    'GET /\r\n',
    'GET / HTTP/1.1\n',
    'GET / HTTP/1.1\r\nHost: h\nX: y',
    '\n',
    '\rG',
    '\0',
    '{"a":1}',
  ])('that begins with %j is refused before it is whole', (text) => {
    expect(refused(() => checkBeginning(Buffer.from(text, 'latin1'), 0))).toBe(400)
  })
})
