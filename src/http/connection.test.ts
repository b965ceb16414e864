import { describe, expect, test } from 'vitest'
import { DATE, echo, serving, until } from './connection.fixture.ts'
import type { Exchange } from './exchange.ts'

const get = (target: string, ...fields: readonly string[]): string => [`GET ${target} HTTP/1.1`, 'Host: h', ...fields, '', ''].join('\r\n')
const post = (target: string, body: string, ...fields: readonly string[]): string =>
  [`POST ${target} HTTP/1.1`, 'Host: h', `Content-Length: ${body.length}`, ...fields, '', body].join('\r\n')
const chunked = (target: string, chunks: string): string =>
  `POST ${target} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}`
const now = (exchange: Exchange): void => exchange.answer(200, '', `${exchange.head.target};`)

describe('requests on one connection', () => {
  const TWO = post('/one', 'first', 'X: y') + chunked('/two', '3;a=b\r\nsec\r\n03\r\nond\r\n0\r\nT: u\r\n\r\n')
  const LAST = 'POST /two second;'

  test('are answered the same wherever their bytes are split', async () => {
    const server = await serving(echo)
    const caller = await server.caller()
    await caller.send(TWO)
    const whole = await caller.until(LAST)

    for (let at = 1; at < TWO.length; at++) {
      caller.text = ''
      await caller.send(TWO.slice(0, at))
      await caller.send(TWO.slice(at))

      expect(await caller.until(LAST)).toBe(whole)
    }
    expect(whole).toContain('POST /one first;')
    expect(server.exchanges).toHaveLength(TWO.length * 2)
  })

  test('are answered the same byte by byte', async () => {
    const caller = await (await serving(echo)).caller()

    for (const byte of TWO) await caller.send(byte)

    expect(await caller.until(LAST)).toContain('POST /one first;')
  })

  test('are answered in their order, each before the next is begun', async () => {
    const server = await serving(() => undefined)
    const caller = await server.caller()

    await caller.send(get('/a') + get('/b') + get('/c'))
    for (const [index, body] of ['one;', 'two;', 'three;'].entries()) {
      expect(server.exchanges).toHaveLength(index + 1)
      server.exchanges[index]?.answer(200, '', body)
    }

    expect((await caller.until('three;')).match(/\w+;/g)).toEqual(['one;', 'two;', 'three;'])
  })

  test('may have empty lines before them, without end and without leaving anything', async () => {
    const server = await serving(echo)
    const caller = await server.caller()

    for (let i = 0; i < 10; i++) await caller.send('\r\n'.repeat(20_000))
    await caller.send(`\r\n\r`)
    await caller.send(`\n${get('/a')}\r\n`)
    await caller.until('GET /a ;')
    // The line after a body is not the beginning of a head that then comes too late.
    server.pass(31_000)
    await caller.send(get('/b'))

    await caller.until('GET /b ;')
    expect(caller.statuses).toEqual([200, 200])
  })

  test('are not taken on while the answers to those before are not read, however many are sent', async () => {
    const large = Buffer.alloc(256 * 1024, 'x')
    const server = await serving((exchange) => exchange.answer(200, '', large))
    const caller = await server.caller()
    caller.socket.pause()
    const MANY = 20_000

    caller.socket.write(get('/').repeat(MANY))
    let before = -1
    await until(() => {
      const same = server.exchanges.length > 0 && server.exchanges.length === before
      before = server.exchanges.length
      return same && (caller.server?.writableLength ?? 0) > 0
    })

    expect(caller.server?.writableLength).toBeLessThan(4 * large.length)
    expect(caller.server?.bytesRead).toBeLessThan(1024 * 1024)
    const unread = server.exchanges.length
    caller.socket.resume()
    await until(() => server.exchanges.length > unread + 10)
  })

  test('that wait for an answer are not read without end', async () => {
    const server = await serving(() => undefined)
    const caller = await server.caller()

    caller.socket.write(get('/').repeat(100_000))
    await until(() => caller.server?.isPaused() === true)

    expect(caller.server?.bytesRead).toBeLessThan(256 * 1024)
    await until(() => {
      server.exchanges.at(-1)?.answer(200, '', 'x')
      return server.exchanges.length > 2_000
    })
    expect(caller.server?.bytesRead).toBeLessThan(512 * 1024)
  })
})

describe('a connection is closed after', () => {
  test.for([
    ['a request that says so', get('/', 'Connection: close'), 'close'],
    ['HTTP/1.0', 'GET / HTTP/1.0\r\n\r\n', 'close'],
    ['a body that nobody waited for', post('/', 'body').slice(0, -1), 'close'],
  ] as const)('%s, and nothing behind it is a request', async ([, asked]) => {
    const server = await serving(now)
    const caller = await server.caller()

    await caller.send(asked)
    await caller.until('/;')
    await caller.send(get('/smuggled'))
    server.pass(3_000)

    expect(await caller.end()).toMatch(/connection: close\r\n/)
    expect(server.exchanges).toHaveLength(1)
  })

  test('nothing where a caller of HTTP/1.0 asks to keep it', async () => {
    const server = await serving(now)
    const caller = await server.caller()

    await caller.send('GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n')
    await caller.until('/a;')
    await caller.send('GET /b HTTP/1.0\r\n\r\n')

    expect(await caller.end()).toMatch(/connection: keep-alive\r\nkeep-alive: timeout=75\r\n[^]*connection: close\r\n/)
  })

  test.for([
    ['two lengths', `POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nContent-Length: 0\r\n\r\n${get('/smuggled')}`],
    [
      'a length and chunks',
      `POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${get('/smuggled')}`,
    ],
    ['a line that goes on', `GET / HTTP/1.1\r\nHost: h\r\nX: y\r\n Content-Length: 5\r\n\r\n${get('/smuggled')}`],
    ['lines that end in LF', `GET / HTTP/1.1\nHost: h\n\n${get('/smuggled')}`],
    ['a line that ends in LF', `GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n${get('/smuggled')}`],
    ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['another protocol', 'SSH-2.0-OpenSSH_9.2\r\n'],
    ['broken chunks that came with their head', chunked('/', 'x\r\n')],
  ] as const)('%s, with a short 400 at once', async ([, sent]) => {
    const server = await serving(now)
    const caller = await server.caller()

    await caller.send(sent)
    const text = await caller.until('}')
    server.pass(3_000)
    await caller.end()

    expect(text).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/)
    expect(text).toContain(`date: ${DATE}\r\n`)
    expect(JSON.parse(text.slice(text.indexOf('{')))).toEqual({ error: 'The request is not valid HTTP/1.1', code: 'INVALID_REQUEST' })
    await until(() => server.connections.size === 0)
    expect([caller.statuses, server.exchanges.length]).toEqual([[400], 0])
  })

  test.for([
    ['that has no end', `GET / HTTP/1.1\r\nHost: h\r\nX: ${'x'.repeat(40_000)}`],
    ['of too many bytes', get('/', `X: ${'x'.repeat(33_000)}`)],
    ['of too many fields', get('/', ...Array<string>(200).fill('X: y'))],
  ] as const)('a head %s, with a 431', async ([, sent]) => {
    const server = await serving(now)
    const caller = await server.caller()

    await caller.send(sent)

    expect(await caller.until('HEAD_TOO_LARGE')).toMatch(/^HTTP\/1\.1 431 /)
    expect(server.exchanges).toHaveLength(0)
  })

  test('chunks that cannot be read, once that was said to who reads them', async () => {
    const server = await serving(echo)
    const caller = await server.caller()

    await caller.send(chunked('/', '3\r\nabc\r\n'))
    await caller.send(`x\r\n${get('/smuggled')}`)

    await caller.until('no body;')
    server.pass(3_000)
    await caller.end()
    expect([caller.statuses, server.exchanges.length]).toEqual([[400], 1])
  })
})

describe('a connection is kept after', () => {
  test.for([
    ['OPTIONS of the server', 'OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n', '*;'],
    ['a way of asking that proxies have', 'GET http://elsewhere/a HTTP/1.1\r\nHost: h\r\n\r\n', '/a;'],
    ['a wish for another protocol', get('/a', 'Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c'), '/a;'],
    ['a method that nobody knows', 'BREW /a HTTP/1.1\r\nHost: h\r\n\r\n', '/a;'],
    ['a body that came and was not asked for', post('/a', 'x'.repeat(1_000)), '/a;'],
  ] as const)('%s', async ([, sent, answer]) => {
    const caller = await (await serving(now)).caller()

    await caller.send(sent)
    await caller.until(answer)
    await caller.send(get('/next'))

    expect(await caller.until('/next;')).not.toContain('connection: close')
    expect(caller.statuses).toEqual([200, 200])
  })

  test('a body in chunks that turned out too large at its very end', async () => {
    const server = await serving(async (exchange) => {
      const status = await Promise.resolve(exchange.body(4)).then(
        () => 200,
        ({ status: refused }: { status: number }) => refused,
      )
      exchange.answer(status, '', `${exchange.head.target};`)
    })
    const caller = await server.caller()

    await caller.send(chunked('/a', '4\r\n'))
    await caller.send('abcd\r\n1\r\ne\r\n0\r\n\r\n')
    await caller.until('/a;')
    await caller.send(post('/b', 'abcd'))
    await caller.until('/b;')

    expect(caller.statuses).toEqual([413, 200])
  })
})

describe('time', () => {
  test('closes a connection that is idle, whether anything was ever asked on it or not', async () => {
    const server = await serving(now)
    const [silent, served] = [await server.caller(), await server.caller()]
    await served.send(get('/'))
    await served.until('/;')

    server.pass(74_999)
    const before = server.connections.size
    server.pass(1)

    expect([before, await silent.end(), (await served.end()).length > 0, server.connections.size]).toEqual([2, '', true, 0])
  })

  test('ends the wait for a head, however it trickles', async () => {
    const server = await serving(now)
    const caller = await server.caller()

    for (const byte of 'GET / HTTP/1.1\r\nHost: ') {
      await caller.send(byte)
      server.pass(1_500)
    }

    expect(await caller.until('REQUEST_TOO_SLOW')).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n/)
    server.pass(3_000)
    await caller.end()
    expect(server.exchanges).toHaveLength(0)
  })

  test('ends the wait for a body, and tells its reader', async () => {
    const reasons: unknown[] = []
    const server = await serving(async (exchange) => {
      await Promise.resolve(exchange.body(100)).catch((reason: unknown) => reasons.push(reason))
      exchange.answer(408, '', 'slow;')
    })
    const caller = await server.caller()

    await caller.send(post('/', 'body').slice(0, -2))
    server.pass(299_999)
    const early = reasons.length
    server.pass(1)

    expect(await caller.until('slow;')).toMatch(/connection: close/)
    expect([early, reasons]).toEqual([0, [expect.objectContaining({ code: 'REQUEST_TOO_SLOW' })]])
  })

  test('does not end an answer that is being worked on', async () => {
    const server = await serving(() => undefined)
    const caller = await server.caller()
    await caller.send(get('/'))

    for (let i = 0; i < 10; i++) server.pass(1_000_000)
    server.exchanges[0]?.answer(200, '', 'late;')

    expect(await caller.until('late;')).toMatch(/^HTTP\/1\.1 200 /)
  })

  test('does not end an answer that is read slowly, for as long as it is read', async () => {
    const large = Buffer.alloc(32 * 1024 * 1024, 'x')
    const server = await serving((exchange) => exchange.answer(200, '', large))
    const caller = await server.caller()
    caller.socket.pause()
    await caller.send(get('/'))
    await until(() => (caller.server?.writableLength ?? 0) > 0)

    for (let i = 0; i < 10; i++) server.pass(100_000)
    caller.socket.resume()
    await until(() => caller.text.length > large.length)

    expect([caller.closed, server.connections.size]).toEqual(['no', 1])
  })

  test('ends an answer that nobody reads any more', async () => {
    const large = Buffer.alloc(32 * 1024 * 1024, 'x')
    const server = await serving((exchange) => exchange.answer(200, '', large), { idleMs: 20 })
    const caller = await server.caller()
    caller.socket.pause()
    await caller.send(get('/'))
    await until(() => (caller.server?.writableLength ?? 0) > 0)

    server.pass(20)

    await until(() => server.connections.size === 0)
    expect(caller.server?.destroyed).toBe(true)
  })
})

describe('a caller that leaves', () => {
  const LEAVE = [
    ['hangs up', (socket: { end: () => unknown }) => socket.end()],
    ['is cut off', (socket: { resetAndDestroy: () => unknown }) => socket.resetAndDestroy()],
  ] as const

  test.for(LEAVE)('and %s is noticed while its answer is awaited, and what it sent ahead is not begun', async ([, leave]) => {
    const server = await serving(() => undefined)
    const caller = await server.caller()
    await caller.send(get('/a') + get('/b'))
    const [exchange] = server.exchanges
    let told = 0
    if (exchange) exchange.onGone = () => told++

    leave(caller.socket)
    await until(() => exchange?.gone === true)
    exchange?.answer(200, '', 'too late')
    exchange?.open(200, '')

    expect([told, exchange?.status, exchange?.over, exchange?.write('x'), server.exchanges.length]).toEqual([1, 0, false, true, 1])
    expect(server.connections.size).toBe(0)
    await expect(exchange?.drained(1)).rejects.toMatchObject({ internal: 'caller_left' })
    expect(() => exchange?.body(1)).toThrow(expect.objectContaining({ internal: 'caller_left' }))
  })

  test.for(LEAVE)('and %s within its body fails who waits for that', async ([, leave]) => {
    const reasons: unknown[] = []
    const server = await serving((exchange) => Promise.resolve(exchange.body(100)).catch((reason: unknown) => reasons.push(reason)))
    const caller = await server.caller()
    await caller.send(post('/', 'body').slice(0, -2))

    leave(caller.socket)

    await until(() => reasons.length > 0)
    expect(reasons).toEqual([expect.objectContaining({ code: 'INVALID_REQUEST', internal: 'body_cut' })])
    expect(server.connections.size).toBe(0)
  })

  test('after its request has an answer that is on its way gets that to its end', async () => {
    const large = Buffer.alloc(16 * 1024 * 1024, 'x')
    const server = await serving((exchange) => exchange.answer(200, '', large))
    const caller = await server.caller()
    caller.socket.pause()
    await caller.send(get('/'))

    caller.socket.end()
    await until(() => caller.server?.readableEnded === true)
    caller.socket.resume()

    expect((await caller.end()).length).toBeGreaterThan(large.length)
    await until(() => server.connections.size === 0)
  })
})
