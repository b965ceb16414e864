import type { Socket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { ask, egressTo, ignore, rawUpstream } from './egress.fixture.ts'
import { promised, turns, within } from './text-run.fixture.ts'

const OK = 'HTTP/1.1 200 OK\r\n'
const CHUNKED = `${OK}transfer-encoding: chunked\r\n\r\n`
const PROTOCOL = { code: 'INFERENCE_FAILED', internal: 'upstream_protocol' }
const DIED = { code: 'INFERENCE_FAILED', internal: 'upstream_died' }
const RESET = { code: 'INFERENCE_FAILED', internal: 'upstream_reset' }

describe('an upstream that means no good', () => {
  test.each<[string, string, object]>([
    ['noise', '\0\x16\x03\x01 noise', PROTOCOL],
    ['an answer of the wrong version', 'HTTP/2.0 200 OK\r\n\r\n', PROTOCOL],
    ['two lengths', `${OK}content-length: 1\r\ncontent-length: 2\r\n\r\nab`, PROTOCOL],
    ['a length and chunks', `${OK}content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n`, PROTOCOL],
    ['a flood of fields', OK + 'x: y\r\n'.repeat(10_000), PROTOCOL],
    ['a field as long as a book', `${OK}x: ${'y'.repeat(100_000)}`, PROTOCOL],
    ['a switch of protocols', 'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n', PROTOCOL],
    ['a chunk of negative size', `${CHUNKED}-5\r\nhello\r\n`, DIED],
    ['a chunk of a huge size', `${CHUNKED}fffffffffffffff\r\nhello\r\n`, DIED],
    ['a chunk that is longer than it says', `${CHUNKED}1\r\nhello\r\n`, DIED],
    ['trailers without end', `${CHUNKED}0\r\n${'x: y\r\n'.repeat(20_000)}`, DIED],
  ])('and sends %s has failed, and its socket is closed at once', async (_what, answer, failure) => {
    const closed = promised()
    const upstream = await rawUpstream((socket) => {
      socket.on('close', closed.resolve)
      socket.write(answer, 'latin1')
    })

    await expect(egressTo(upstream.baseUrl).send(ask(), ignore)).rejects.toMatchObject(failure)

    await within(closed.promise, 'the end of the socket')
    expect(upstream.sockets()).toBe(1)
  })

  test.each<[string, string, object]>([
    ['in the status', 'HTTP/1.1 2', RESET],
    ['in the head', `${OK}content-type: a`, RESET],
    ['before the body', `${OK}content-length: 5\r\n\r\n`, DIED],
    ['in the body', `${OK}content-length: 5\r\n\r\nhell`, DIED],
    ['in the size of a chunk', `${CHUNKED}1`, DIED],
    ['in a chunk', `${CHUNKED}5\r\nhell`, DIED],
    ['before the last chunk', `${CHUNKED}5\r\nhello\r\n`, DIED],
    ['before the trailers', `${CHUNKED}5\r\nhello\r\n0\r\n`, DIED],
  ])('and dies %s has failed, by a close as by a reset', async (_where, answer, failure) => {
    const closing = await rawUpstream((socket) => socket.end(answer))
    const resetting = await rawUpstream((socket) => void socket.write(answer, () => setImmediate(() => socket.resetAndDestroy())))

    await expect(egressTo(closing.baseUrl).send(ask(), ignore)).rejects.toMatchObject(failure)
    await expect(egressTo(resetting.baseUrl).send(ask(), ignore)).rejects.toMatchObject(failure)

    expect([closing.sockets(), resetting.sockets()]).toEqual([1, 1])
  })

  test('and trickles its head is given up at the limit of the first byte', async () => {
    const upstream = await rawUpstream((socket) => {
      const trickle = (): void => {
        if (socket.destroyed) return
        socket.write(socket.bytesWritten === 0 ? OK : 'x: y\r\n')
        setImmediate(() => (socket.bytesWritten < 1000 ? trickle() : undefined))
      }
      trickle()
    })

    await expect(egressTo(upstream.baseUrl).send(ask({ firstByteMs: 50 }), ignore)).rejects.toMatchObject({
      internal: 'upstream_first_byte',
    })
  })

  test('and breaks off in a refusal has refused', async () => {
    const upstream = await rawUpstream((socket) => socket.write('HTTP/1.1 429 x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabcd'))

    await expect(egressTo(upstream.baseUrl).send(ask(), ignore)).rejects.toMatchObject({ internal: 'upstream_429' })
  })

  test('and breaks the chunks has what came before taken', async () => {
    const upstream = await rawUpstream((socket) => socket.write(`${CHUNKED}2\r\nok\r\nnonsense`))
    const events: string[] = []

    const sent = egressTo(upstream.baseUrl).send(ask(), {
      data: (chunk) => void events.push(chunk.toString()),
      flush: () => void events.push('flush'),
    })

    await expect(sent).rejects.toMatchObject(DIED)
    expect(events).toEqual(['ok', 'flush'])
  })
})

describe('an answer to nobody', () => {
  const said = (words: string): string => `${OK}content-length: ${words.length}\r\n\r\n${words}`
  /** A server that answers with what it is asked, and does `more` with its first socket after its first answer. */
  const upstreamWith = (first: (socket: Socket) => void): ReturnType<typeof rawUpstream> => {
    let asked = 0
    return rawUpstream((socket) => {
      if (asked++ === 0) first(socket)
      else socket.write(said(`true ${asked}`))
    })
  }

  test('that comes with another one is no answer to the next request', async () => {
    const upstream = await upstreamWith((socket) => socket.write(said('first') + said('smuggled')))
    const egress = egressTo(upstream.baseUrl)

    expect((await egress.collect(ask())).body.toString()).toBe('first')
    expect((await egress.collect(ask())).body.toString()).toBe('true 2')
    expect(upstream.sockets()).toBe(2)
  })

  test('that comes with another one whose taker is busy is no answer to the next request', async () => {
    const upstream = await upstreamWith((socket) => socket.write(said('first') + said('smuggled')))
    const egress = egressTo(upstream.baseUrl)
    const busy = promised()
    const first = promised()
    const sent = egress.send(ask(), {
      data() {
        first.resolve()
        return busy.promise
      },
    })
    await within(first.promise, 'the first answer')

    busy.resolve()
    await sent

    expect((await egress.collect(ask())).body.toString()).toBe('true 2')
    expect(upstream.sockets()).toBe(2)
  })

  test('that comes while nobody asks is no answer to the next request', async () => {
    const closed = promised()
    let idle = (): void => undefined
    const upstream = await upstreamWith((socket) => {
      socket.on('close', closed.resolve)
      idle = () => void socket.write(said('smuggled'))
      socket.write(said('first'))
    })
    const egress = egressTo(upstream.baseUrl)
    expect((await egress.collect(ask())).body.toString()).toBe('first')

    idle()
    await within(closed.promise, 'the end of the socket')

    expect((await egress.collect(ask())).body.toString()).toBe('true 2')
    expect(upstream.sockets()).toBe(2)
  })

  test('of one byte too many is none either', async () => {
    const upstream = await upstreamWith((socket) => socket.write(`${said('first')}\n`))
    const egress = egressTo(upstream.baseUrl)

    await egress.collect(ask())

    expect((await egress.collect(ask())).body.toString()).toBe('true 2')
    expect(upstream.sockets()).toBe(2)
  })
})

describe('a large answer', () => {
  const body = Buffer.alloc(8 * 1024 * 1024, 'data: 0123456789abcdef')

  test.each([
    ['by its length', [Buffer.from(`${OK}content-length: ${body.length}\r\n\r\n`), body]],
    ['in one chunk', [Buffer.from(`${CHUNKED}${body.length.toString(16)}\r\n`), body, Buffer.from('\r\n0\r\n\r\n')]],
  ])('comes whole to a taker who is always busy, %s', async (_how, pieces) => {
    const upstream = await rawUpstream((socket) => pieces.forEach((piece) => socket.write(piece)))
    const taken: Buffer[] = []

    await egressTo(upstream.baseUrl).send(ask(), {
      data(chunk) {
        taken.push(chunk)
        return turns(1)
      },
      flush: () => turns(1),
    })

    expect(Buffer.concat(taken).equals(body)).toBe(true)
  })

  test('keeps its first bytes while the last ones come', async () => {
    const upstream = await rawUpstream((socket) => {
      for (let at = 0; at < 100; at++) socket.write(at === 0 ? `${OK}content-length: 100000\r\n\r\n${'a'.repeat(1000)}` : 'b'.repeat(1000))
    })

    const { body } = await egressTo(upstream.baseUrl).collect(ask())

    expect(body.toString()).toBe('a'.repeat(1000) + 'b'.repeat(99_000))
  })
})
