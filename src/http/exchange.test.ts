import { describe, expect, test } from 'vitest'
import { type Caller, DATE, type Serving, echo, serving, until } from './connection.fixture.ts'
import type { Exchange } from './exchange.ts'

const get = (target: string, ...fields: readonly string[]): string => [`GET ${target} HTTP/1.1`, 'Host: h', ...fields, '', ''].join('\r\n')
const post = (body: string, ...fields: readonly string[]): string =>
  ['POST / HTTP/1.1', 'Host: h', `Content-Length: ${body.length}`, ...fields, '', body].join('\r\n')
const HEAD = `date: ${DATE}\r\nconnection: keep-alive\r\nkeep-alive: timeout=75\r\n`

/** Asks once and takes what comes until the connection is closed by the next request, which says so. */
async function answerOf(serve: (exchange: Exchange) => unknown, asked = get('/')): Promise<string> {
  const { caller } = await asking(serve, asked)
  await caller.send(get('/end', 'Connection: close'))
  const text = await caller.end()
  return text.includes('HTTP/1.1 299') ? text.slice(0, text.indexOf('HTTP/1.1 299')) : text
}

async function asking(serve: (exchange: Exchange) => unknown, asked = get('/')): Promise<{ server: Serving; caller: Caller }> {
  const server = await serving((exchange) => (exchange.head.target === '/end' ? exchange.answer(299, '') : serve(exchange)))
  const caller = await server.caller()
  await caller.send(asked)
  return { server, caller }
}

describe('an answer', () => {
  test.for([
    ['of ASCII', 'plain', 'plain'],
    ['of other characters', 'Grüße 🌍', Buffer.from('Grüße 🌍').toString('latin1')],
    ['of bytes', Buffer.from([0, 255, 13, 10]), '\x00\xff\r\n'],
    ['of nothing', '', ''],
  ] as const)('%s has its length in bytes, and a date', async ([, body, wanted]) => {
    expect(await answerOf((exchange) => exchange.answer(200, 'x: y\r\n', body))).toBe(
      `HTTP/1.1 200 OK\r\nx: y\r\n${HEAD}content-length: ${wanted.length}\r\n\r\n${wanted}`,
    )
  })

  test('without a body has no length, where that is meant by its status', async () => {
    expect(await answerOf((exchange) => exchange.answer(204, '', 'never'))).toBe(`HTTP/1.1 204 No Content\r\n${HEAD}\r\n`)
  })

  test('to HEAD has the length of what it leaves out', async () => {
    const asked = get('/').replace('GET', 'HEAD')

    expect(await answerOf((exchange) => exchange.answer(200, '', 'body'), asked)).toBe(
      `HTTP/1.1 200 OK\r\n${HEAD}content-length: 4\r\n\r\n`,
    )
  })

  test('in pieces has them in their order, whatever they are made of', async () => {
    const pieces = ['a', Buffer.from('bc'), Buffer.from('d'), 'e'.repeat(20), '', Buffer.alloc(0), 'f'] as const

    const text = await answerOf((exchange) => {
      exchange.open(200, '')
      for (const piece of pieces)
        if (typeof piece === 'string') exchange.write(piece)
        else exchange.writeBytes(piece)
      exchange.end()
    })

    expect(text).toBe(
      `HTTP/1.1 200 OK\r\n${HEAD}transfer-encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n1\r\nd\r\n14\r\n${'e'.repeat(20)}\r\n1\r\nf\r\n0\r\n\r\n`,
    )
  })

  test('in pieces to HEAD has none, and to HTTP/1.0 ends with the connection', async () => {
    const stream = (exchange: Exchange): void => {
      exchange.open(200, '')
      exchange.write('a')
      exchange.writeBytes(Buffer.from('b'))
      exchange.end()
    }

    expect(await answerOf(stream, get('/').replace('GET', 'HEAD'))).toMatch(/transfer-encoding: chunked\r\n\r\n$/)
    expect(await answerOf(stream, 'GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n')).toBe(
      `HTTP/1.1 200 OK\r\ndate: ${DATE}\r\nconnection: close\r\n\r\nab`,
    )
  })

  test('is given once, and nothing comes after it', async () => {
    const text = await answerOf((exchange) => {
      exchange.write('before')
      exchange.end()
      exchange.answer(200, '', 'one')
      exchange.answer(200, '', 'two')
      exchange.open(200, '')
      exchange.write('three')
      exchange.writeBytes(Buffer.from('four'))
      exchange.end()
    })

    expect(text).toBe(`HTTP/1.1 200 OK\r\n${HEAD}content-length: 3\r\n\r\none`)
  })

  test('that is over can do nothing to the next one on its connection', async () => {
    const { server, caller } = await asking(() => undefined, get('/a'))
    const [first] = server.exchanges
    first?.answer(200, '', 'one;')
    await caller.until('one;')
    await caller.send(post('secret'))

    first?.destroy()
    first?.end()
    await expect(first?.drained(0)).resolves.toBeUndefined()
    expect(() => first?.body(100)).toThrow(expect.objectContaining({ internal: 'caller_left' }))
    server.exchanges[1]?.answer(200, '', 'two;')

    expect(await caller.until('two;')).toMatch(/one;HTTP/)
  })

  test('that breaks off is seen to be broken', async () => {
    const { caller } = await asking((exchange) => {
      exchange.open(200, '')
      exchange.write('begun')
      setImmediate(() => setImmediate(() => exchange.destroy()))
    })

    const text = await caller.end()

    expect([text.includes('begun'), text.includes('0\r\n\r\n')]).toEqual([true, false])
  })
})

describe('a writer', () => {
  const PIECE = 'x'.repeat(64 * 1024)
  const opened = (exchange: Exchange): void => exchange.open(200, '')

  test('that has written much is told when it has gone out', async () => {
    const { server } = await asking(opened)
    const [exchange] = server.exchanges

    expect(exchange?.write('little')).toBe(true)
    expect(exchange?.write(PIECE)).toBe(false)
    const [one, two] = [exchange?.drained(10_000), exchange?.drained(10_000)]

    await expect(Promise.all([one, two])).resolves.toEqual([undefined, undefined])
    expect(exchange?.roomy).toBe(true)
    await expect(exchange?.drained(10_000)).resolves.toBeUndefined()
  })

  test('whose reader does not read waits until it does', async () => {
    const { server, caller } = await asking(opened)
    const [exchange] = server.exchanges
    caller.socket.pause()
    await until(() => exchange?.write(PIECE) === false && (caller.server?.writableLength ?? 0) > 0)

    let drained = false
    const waiting = exchange?.drained(10_000).then(() => (drained = true))
    const before = drained
    caller.socket.resume()

    expect([before, await waiting]).toEqual([false, true])
  })

  test('whose reader does not read for too long is told that it left', async () => {
    const { server, caller } = await asking(opened)
    const [exchange] = server.exchanges
    caller.socket.pause()
    await until(() => exchange?.write(PIECE) === false && (caller.server?.writableLength ?? 0) > 0)

    await expect(exchange?.drained(10)).rejects.toMatchObject({ internal: 'caller_left' })
    expect([exchange?.gone, server.connections.size]).toEqual([true, 0])
  })

  test('that waits is let go where the answer ends, and the connection is not cut for it later', async () => {
    const { server, caller } = await asking(opened)
    const [exchange] = server.exchanges
    exchange?.write(PIECE)
    const waiting = exchange?.drained(0)

    exchange?.end()
    await waiting
    await caller.until('0\r\n\r\n')
    await caller.send(get('/end'))

    expect(await caller.until('HTTP/1.1 299')).toMatch(/^HTTP\/1\.1 200 /)
  })
})

describe('a word before the body', () => {
  const EXPECT = 'Expect: 100-continue'

  test('is given to who waits for it, once the body is wanted', async () => {
    const { server, caller } = await asking(
      (exchange) => (exchange.head.length < 0 ? undefined : echo(exchange)),
      post('abc', EXPECT).slice(0, -3),
    )
    await caller.until('HTTP/1.1 100 Continue\r\n\r\n')

    await caller.send('abc')

    expect(await caller.until('POST / abc;')).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n/)
    expect(server.exchanges).toHaveLength(1)
  })

  test('is not given where the body is refused, and the connection is closed', async () => {
    const { caller, server } = await asking((exchange) => exchange.answer(401, '', 'no key;'), post('abc', EXPECT).slice(0, -3))
    await caller.until('no key;')
    server.pass(3_000)

    expect(await caller.end()).toMatch(/^HTTP\/1\.1 401 Unauthorized\r\n[^]*connection: close\r\n/)
  })

  test.for([
    ['has sent its body along', post('abc', EXPECT)],
    ['speaks HTTP/1.0', post('abc', EXPECT).replace('HTTP/1.1', 'HTTP/1.0')],
    ['sends none', post('', EXPECT)],
  ] as const)('is not given to who %s', async ([, asked]) => {
    const { caller } = await asking(echo, asked)

    expect(await caller.until(';')).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
  })
})

describe('a body', () => {
  test.for([
    ['of known length', 'Content-Length: 35000000', (text: string) => text],
    ['in chunks', 'Transfer-Encoding: chunked', (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`],
  ] as const)('%s that is refused while it is sent does not cost its sender the answer', async ([, how, cut]) => {
    const { caller } = await asking((exchange) => exchange.answer(413, '', 'too large;'), `POST / HTTP/1.1\r\nHost: h\r\n${how}\r\n\r\n`)
    caller.socket.pause()

    for (let i = 0; i < 35; i++) caller.socket.write(cut('x'.repeat(1_000_000)), 'latin1')
    await until(() => caller.socket.writableLength === 0)
    caller.socket.resume()

    expect(await caller.until('too large;')).toMatch(/^HTTP\/1\.1 413 [^]*connection: close\r\n/)
    expect(caller.closed).not.toBe('reset')
  })

  test('that nobody has asked for yet is not read without end', async () => {
    const { caller } = await asking(() => undefined, 'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 35000000\r\n\r\n')

    caller.socket.write('x'.repeat(35_000_000))
    await until(() => caller.server?.isPaused() === true)

    expect(caller.server?.bytesRead).toBeLessThan(256 * 1024)
  })

  test('in pieces of any size is what was sent', async () => {
    const sizes = [3, 5_000, 1, 1_024, ...Array<number>(300).fill(1), 70_000, 2, 1_023, ...Array<number>(40).fill(900), 20_000, 7]
    let count = 0
    const sent = sizes.map((size) => Array.from({ length: size }, () => String.fromCharCode(count++ % 251)).join(''))
    let came = ''
    const { caller } = await asking(async (exchange) => {
      came = (await exchange.body(1024 * 1024)).toString('latin1')
      exchange.answer(200, '', 'done;')
    }, 'POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n')

    for (const piece of sent) caller.socket.write(`${piece.length.toString(16)}\r\n${piece}\r\n`, 'latin1')
    caller.socket.write('0\r\n\r\n')

    await caller.until('done;')
    expect(came).toBe(sent.join(''))
  })
})
