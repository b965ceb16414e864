import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { HEAD_BYTES, HEAD_LINES, HttpResponse } from './http-response.ts'

type Seen = {
  status: number
  headers: Readonly<Record<string, unknown>>
  body: string
  /** What the answer left over of the bytes, `null` where it is not done. */
  rest: string | null
  keepsAlive: boolean
  broken: boolean
}

/** Feeds portions of a connection's bytes that is closed after them; a taker that stops after each piece is fed on. */
function read(portions: readonly Buffer[], { stopping = false, closed = false } = {}): Seen {
  const response = new HttpResponse()
  const seen: Seen = { status: 0, headers: {}, body: '', rest: null, keepsAlive: false, broken: false }
  const taker = {
    head(status: number, headers: Readonly<Record<string, unknown>>) {
      seen.status = status
      seen.headers = headers
    },
    body(chunk: Buffer) {
      seen.body += chunk.toString('latin1')
      return !stopping
    },
  }
  let rest = ''
  try {
    for (const bytes of portions) {
      let at = 0
      while (at < bytes.length && !response.done) at = response.feed(bytes, at, taker)
      rest += bytes.toString('latin1', at)
    }
    if (closed) response.close()
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'BAD_ANSWER')) throw error
    return { ...seen, broken: true }
  }
  return { ...seen, rest: response.done ? rest : null, keepsAlive: response.keepsAlive }
}

const readText = (text: string, how?: { stopping?: boolean; closed?: boolean }): Seen => read([Buffer.from(text, 'latin1')], how)

const OK = 'HTTP/1.1 200 OK\r\n'

describe('where an answer ends', () => {
  test.each<[string, string, Partial<Seen>]>([
    ['by its length', `${OK}content-length: 3\r\n\r\nabcHTTP`, { body: 'abc', rest: 'HTTP', keepsAlive: true }],
    ['by its length, which is none', `${OK}Content-Length:0\r\n\r\nmore`, { body: '', rest: 'more' }],
    [
      'by its last chunk',
      `${OK}Transfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n00a\r\n0123456789\r\n0\r\n\r\n!`,
      { body: 'abc0123456789', rest: '!' },
    ],
    [
      'after extensions and trailers',
      `${OK}transfer-encoding: chunked\r\n\r\n1;a="b;c"\r\na\r\n1 \r\nb\r\n0;z\r\nx: 1\r\ncontent-length: 7\r\n\r\n!`,
      { body: 'ab', rest: '!' },
    ],
    ['with lines of LF alone', 'HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\n2\nab\n0\n\n!', { body: 'ab', rest: '!' }],
    ['at once where it has no body', 'HTTP/1.1 204 No Content\r\ncontent-length: 3\r\n\r\nabc', { status: 204, body: '', rest: 'abc' }],
    ['at once where it is not modified', 'HTTP/1.1 304\r\n\r\nabc', { status: 304, body: '', rest: 'abc' }],
    [
      'after interim answers',
      `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\ncontent-length: 9\r\n\r\n${OK}content-length: 1\r\n\r\na`,
      { status: 200, body: 'a', rest: '' },
    ],
    ['not before its length', `${OK}content-length: 4\r\n\r\nabc`, { body: 'abc', rest: null }],
    ['not before its last chunk', `${OK}transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n`, { body: 'abc', rest: null }],
    ['not before its trailers', `${OK}transfer-encoding: chunked\r\n\r\n0\r\n`, { body: '', rest: null }],
    ['with the connection only, where it says nothing', `${OK}\r\nabc`, { body: 'abc', rest: null }],
  ])('%s', (_how, text, seen) => {
    expect(readText(text)).toMatchObject(seen)
  })

  test('with the connection, where it says nothing, and nowhere else', () => {
    expect(readText(`${OK}\r\nabc`, { closed: true })).toMatchObject({ body: 'abc', rest: '' })
    expect(readText(`${OK}content-length: 4\r\n\r\nabc`, { closed: true }).rest).toBeNull()
    expect(readText(`${OK}transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n`, { closed: true }).rest).toBeNull()
    expect(readText('HTTP/1.1 200', { closed: true }).rest).toBeNull()
  })
})

describe('what is read of a head', () => {
  test('is what an engine looks at, in any case and without blanks around it', () => {
    const seen = readText(
      `${OK}CONTENT-TYPE: \t application/json \t\r\nRetry-After:7\r\nretry-after-ms: 250\r\nx: y\r\ncontent-length: 0\r\n\r\n`,
    )

    expect(seen.headers).toEqual({ 'content-type': 'application/json', 'retry-after': '7', 'retry-after-ms': '250' })
  })

  test('is not what an interim answer said', () => {
    const seen = readText(`HTTP/1.1 103 Early\r\ncontent-type: a/b\r\nconnection: close\r\n\r\n${OK}content-length: 0\r\n\r\n`)

    expect(seen).toMatchObject({ headers: { 'content-type': undefined }, keepsAlive: true })
  })

  test.each<[string, string, boolean]>([
    ['a server of today', 'HTTP/1.1 200 OK\r\n', true],
    ['a server of today that closes', 'HTTP/1.1 200 OK\r\nConnection: Close\r\n', false],
    ['a server of today that closes, among other things', 'HTTP/1.1 200 OK\r\nconnection: x, close\r\n', false],
    ['a server that says both', 'HTTP/1.1 200 OK\r\nconnection: keep-alive\r\nconnection: close\r\n', false],
    ['a server of old', 'HTTP/1.0 200 OK\r\n', false],
    ['a server of old that keeps', 'HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n', true],
  ])('tells whether %s keeps the connection', (_who, head, keepsAlive) => {
    expect(readText(`${head}content-length: 0\r\n\r\n`).keepsAlive).toBe(keepsAlive)
  })

  test('of old with chunks is read and the connection not kept', () => {
    const seen = readText('HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n')

    expect(seen).toMatchObject({ body: 'a', rest: '', keepsAlive: false })
  })

  test.each([
    ['timeout=5', 5],
    ['timeout=5, max=100', 5],
    ['max=100, Timeout=7', 7],
    ['timeout=99999999', 3600],
    ['timeout=', -1],
    ['timeout=-5', -1],
    ['max=3', -1],
  ])('tells the patience of a server: %s', (value, seconds) => {
    const response = new HttpResponse()

    response.feed(Buffer.from(`${OK}keep-alive: ${value}\r\n\r\n`), 0, { head: () => undefined, body: () => true })

    expect(response.keepAliveSeconds).toBe(seconds)
  })
})

describe('what is refused', () => {
  const chunked = (text: string): string => `${OK}transfer-encoding: chunked\r\n\r\n${text}`
  test.each<[string, string]>([
    ['another protocol', '220 mail.example ESMTP\r\n'],
    ['another protocol, before its first line ends', 'SSH-2'],
    ['an empty line at first', `\r\n${OK}content-length: 0\r\n\r\n`],
    ['HTTP/2 in words', 'HTTP/2 200 OK\r\n\r\n'],
    ['another version', 'HTTP/1.2 200 OK\r\n\r\n'],
    ['no status', 'HTTP/1.1\r\n\r\n'],
    ['a status of two digits', 'HTTP/1.1 20 OK\r\n\r\n'],
    ['a status of four digits', 'HTTP/1.1 2000 OK\r\n\r\n'],
    ['a status below all', 'HTTP/1.1 099 OK\r\n\r\n'],
    ['a status above all', 'HTTP/1.1 600 OK\r\n\r\n'],
    ['a protocol that nobody asked for', 'HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n'],
    ['a field without a colon', `${OK}content-length\r\n\r\n`],
    ['a field without a name', `${OK}: 5\r\n\r\n`],
    ['a blank before the colon', `${OK}content-length : 5\r\n\r\n`],
    ['a field that goes on in the next line', `${OK}x: 1\r\n content-length: 5\r\n\r\n`],
    ['two lengths', `${OK}content-length: 5\r\ncontent-length: 6\r\n\r\n`],
    ['one length twice', `${OK}content-length: 5\r\ncontent-length: 5\r\n\r\n`],
    ['two lengths in one field', `${OK}content-length: 5, 5\r\n\r\n`],
    ['a length that is none', `${OK}content-length:\r\n\r\n`],
    ['a negative length', `${OK}content-length: -1\r\n\r\n`],
    ['a length with a sign', `${OK}content-length: +1\r\n\r\n`],
    ['a length with a fraction', `${OK}content-length: 1.0\r\n\r\n`],
    ['a hexadecimal length', `${OK}content-length: 0x10\r\n\r\n`],
    ['a length beyond all', `${OK}content-length: 1000000000000000\r\n\r\n`],
    ['a length and chunks', `${OK}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n`],
    ['chunks and a length', `${OK}transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n`],
    ['chunks twice', `${OK}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n`],
    ['a coding that nobody asked for', `${OK}transfer-encoding: gzip, chunked\r\n\r\n`],
    ['a coding that is none', `${OK}transfer-encoding: xchunked\r\n\r\n`],
    ['a chunk without a size', chunked('\r\nabc')],
    ['a chunk of negative size', chunked('-1\r\nabc')],
    ['a chunk with a prefix', chunked('0x3\r\nabc')],
    ['a chunk of a huge size', chunked('ffffffffffffff\r\nabc')],
    ['a chunk of many zeros', chunked(`${'0'.repeat(14)}\r\n`)],
    ['a chunk longer than its size', chunked('2\r\nabc\r\n0\r\n\r\n')],
    ['a size whose CR ends no line', chunked('2\rab')],
    ['a chunk whose CR ends no line', chunked('2\r\nab\r0\r\n')],
    ['an extension without an end', chunked(`1;${'x'.repeat(5000)}`)],
    ['trailers without an end', chunked(`0\r\n${'x: y\r\n'.repeat(20_000)}`)],
    ['a head without an end', OK + 'x: y\r\n'.repeat(HEAD_LINES + 1)],
    ['a line without an end', `${OK}x: ${'y'.repeat(HEAD_BYTES)}`],
    ['interim answers without an end', 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(HEAD_BYTES / 20)],
  ])('%s', (_what, text) => {
    expect(readText(text).broken).toBe(true)
  })
})

describe('a connection’s bytes', () => {
  const body = fc.oneof(
    fc.string({ unit: 'binary-ascii', maxLength: 40 }).map((text) => `content-length: ${text.length}\r\n\r\n${text}`),
    fc
      .array(fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 20 }), { maxLength: 4 })
      .map(
        (texts) =>
          `transfer-encoding: chunked\r\n\r\n${texts.map((text) => `${text.length.toString(16)};x\r\n${text}\r\n`).join('')}0\r\nt: u\r\n\r\n`,
      ),
    fc.string({ unit: 'binary-ascii', maxLength: 40 }).map((text) => `\r\n${text}`),
    fc.constantFrom(
      'content-length: 1\r\ncontent-length: 1\r\n\r\n',
      'transfer-encoding: chunked\r\n\r\n3\r\nabcd',
      'transfer-encoding: chunked\r\n\r\n1\nz\n-',
      ' x\r\n\r\n',
    ),
  )
  const head = fc.constantFrom(
    'HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n',
    'HTTP/1.0 503\r\nretry-after: 3\r\n',
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 \n',
    'HTTP/1.1 204 x\r\nconnection: close\r\n',
    'HTTX',
  )
  const rest = fc.constantFrom('', 'HTTP/1.1 200 OK\r\n', '\r\n')
  const cuts = fc.array(fc.nat(200), { maxLength: 12 })

  test('mean the same however they are cut and however often the taker stops', () => {
    fc.assert(
      fc.property(head, body, rest, cuts, fc.boolean(), fc.boolean(), (head, body, rest, cuts, stopping, closed) => {
        const bytes = Buffer.from(head + body + rest, 'latin1')
        const places = [...new Set([0, ...cuts.map((cut) => Math.min(cut, bytes.length)), bytes.length])].sort((a, b) => a - b)
        const portions = places.slice(1).map((end, i) => bytes.subarray(places[i], end))

        const whole = read([bytes], { closed })

        expect(read(portions, { stopping, closed })).toEqual(whole)
        expect(
          read(
            [...bytes].map((byte) => Buffer.of(byte)),
            { stopping, closed },
          ),
        ).toEqual(whole)
      }),
      { numRuns: 500 },
    )
  })

  test('that are nothing in particular never do more than be refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (noise, begun) => {
        const bytes = Buffer.concat([Buffer.from(begun ? `${OK}transfer-encoding: chunked\r\n\r\n` : 'HTTP/1.1 '), noise])

        const { broken, rest, body } = read([bytes])

        expect(broken || rest === null || body.length + rest.length <= bytes.length).toBe(true)
      }),
    )
  })

  test('of a body are handed over as they lie there, uncopied', () => {
    const bytes = Buffer.from(`${OK}content-length: 3\r\n\r\nabc`)
    const views: Buffer[] = []

    new HttpResponse().feed(bytes, 0, { head: () => undefined, body: (chunk) => views.push(chunk) > 0 })

    expect(views.map((view) => view.buffer === bytes.buffer)).toEqual([true])
  })

  test('serve one answer after another', () => {
    const response = new HttpResponse()
    const bodies: string[] = []
    const taker = { head: () => undefined, body: (chunk: Buffer) => bodies.push(chunk.toString()) > 0 }

    for (const text of ['content-length: 1\r\nkeep-alive: timeout=3\r\n\r\na', 'transfer-encoding: chunked\r\n\r\n1\r\nb\r\n0\r\n\r\n']) {
      response.reset()
      response.feed(Buffer.from(OK + text), 0, taker)
    }

    expect(bodies).toEqual(['a', 'b'])
    expect([response.done, response.keepAliveSeconds]).toEqual([true, -1])
  })
})
