import { describe, expect, test } from 'vitest'
import type { BodyReader } from './body-reader.ts'
import { serving, until } from './connection.fixture.ts'
import type { Exchange } from './exchange.ts'

const AHEAD = 'x'.repeat(100_000)
const post = (length: number): string => `POST / HTTP/1.1\r\nHost: h\r\nContent-Length: ${length}\r\n\r\n`
const get = 'GET /next HTTP/1.1\r\nHost: h\r\n\r\n'

/** A reader that takes everything, or asks to wait after each piece. */
class Listener implements BodyReader {
  readonly maxBytes: number
  readonly goesOn: boolean
  text = ''
  end: unknown = null

  constructor({ maxBytes = 1_000_000, goesOn = true } = {}) {
    this.maxBytes = maxBytes
    this.goesOn = goesOn
  }

  take(bytes: Buffer): boolean {
    this.text += bytes.toString('latin1')
    return this.goesOn
  }

  ended(rest: Buffer): void {
    this.end = `ended${rest.length}`
  }

  failed(reason: unknown): void {
    this.end = reason
  }
}

/** Serves everything but `/next` with this reader. */
const passing = (reader: Listener) => (exchange: Exchange) =>
  exchange.head.target === '/next' ? exchange.answer(204, '') : exchange.pass(reader)

describe('a body that is passed on as it comes', () => {
  test('reaches its reader piece by piece, and the connection goes on after the answer', async () => {
    const reader = new Listener()
    const server = await serving(passing(reader))
    const caller = await server.caller()

    await caller.send(`${post(6)}ab`)
    const first = reader.text
    await caller.send('cd')
    await caller.send(`ef${get}`)
    await until(() => reader.end !== null)
    server.exchanges[0]?.answer(200, '')

    await caller.until('204')
    expect([first, reader.text, reader.end, caller.statuses]).toEqual(['ab', 'abcdef', 'ended0', [200, 204]])
  })

  test('is not read on while its reader asks to wait, whose time is not the caller’s', async () => {
    const reader = new Listener({ goesOn: false })
    const server = await serving(passing(reader), { bodyMs: 10_000 })
    const caller = await server.caller()
    await caller.send(post(100_004))
    server.pass(9_000)
    await caller.send('ab')

    caller.socket.write(AHEAD, 'latin1')
    server.pass(1_000_000)
    await new Promise(setImmediate)
    const held = [reader.text, reader.end]
    server.exchanges[0]?.goOn()
    await until(() => reader.text.length > 2)
    while (reader.text.length < 100_002) {
      server.exchanges[0]?.goOn()
      await new Promise(setImmediate)
    }
    // Whoever waits is told when there is nothing more to wait for.
    server.exchanges[0]?.goOn()
    server.pass(999)
    const early = reader.end
    server.pass(1)

    expect(held).toEqual(['ab', null])
    expect([early, reader.end]).toEqual([null, expect.objectContaining({ code: 'REQUEST_TOO_SLOW' })])
  })

  test('that is cut tells its reader before the exchange is lost', async () => {
    const reader = new Listener()
    const server = await serving(passing(reader))
    const caller = await server.caller()
    await caller.send(`${post(6)}ab`)
    caller.socket.destroy()

    await until(() => reader.end !== null)
    expect(reader.end).toMatchObject({ code: 'INVALID_REQUEST', internal: 'body_cut' })
  })

  test.for([
    ['announced', post(7), ''],
    ['in chunks', 'POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n', '8\r\nabcdefgh\r\n'],
  ] as const)('that is too large is refused, %s', async ([, head, body]) => {
    const reader = new Listener({ maxBytes: 6 })
    const thrown: unknown[] = []
    const server = await serving((exchange) => {
      try {
        exchange.pass(reader)
      } catch (error) {
        thrown.push(error)
      }
    })
    const caller = await server.caller()
    await caller.send(head)
    await caller.send(body)

    await until(() => thrown.length > 0 || reader.end !== null)
    expect(thrown[0] ?? reader.end).toMatchObject({ code: 'PAYLOAD_TOO_LARGE' })
  })

  test('is of no more use once the answer is given, which is then the last of its connection', async () => {
    const reader = new Listener()
    const server = await serving(passing(reader))
    const caller = await server.caller()
    await caller.send(`${post(6)}ab`)
    server.exchanges[0]?.answer(400, '')

    expect(await caller.until('400')).toContain('connection: close')
    expect(reader.end).toMatchObject({ internal: 'body_unread' })
  })

  test('may be sent to its end after the answer, in the time that it had, by who reads only then', async () => {
    const server = await serving(passing(new Listener()), { bodyMs: 10_000 })
    const [quick, slow] = [await server.caller(), await server.caller()]
    for (const caller of [quick, slow]) await caller.send(`${post(6)}ab`)
    for (const exchange of server.exchanges) exchange.answer(400, '')
    server.pass(9_999)
    await quick.send('cdef')
    const ended = await quick.end()
    server.pass(1)

    expect([ended.includes('400'), slow.closed]).toEqual([true, 'no'])
    await slow.end()
    expect(slow.statuses).toEqual([400])
  })
})
