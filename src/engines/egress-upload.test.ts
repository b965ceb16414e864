import { createServer } from 'node:http'
import { type AddressInfo, type Socket, createServer as createTcpServer } from 'node:net'
import { describe, expect, test, vi } from 'vitest'
import { fail } from '../core/errors.ts'
import { ask, egressTo, ignore, leaving, opened, rawUpstream, upstreamThat } from './egress.fixture.ts'

async function* piecesOf(...pieces: readonly string[]): AsyncGenerator<Buffer> {
  for (const piece of pieces) {
    await new Promise(setImmediate)
    yield Buffer.from(piece)
  }
}

/** More of a body than any socket takes in, and how many pieces of it were taken. */
function endless(): { readonly pieces: AsyncGenerator<Buffer>; readonly taken: () => number; readonly over: () => boolean } {
  let [taken, over] = [0, false]
  async function* all(): AsyncGenerator<Buffer> {
    try {
      for (;;) {
        taken++
        yield Buffer.alloc(64 * 1024)
      }
    } finally {
      over = true
    }
  }
  return { pieces: all(), taken: () => taken, over: () => over }
}

describe('a body that is still coming', () => {
  test.for([
    ['in chunks, where its size is not known', null],
    ['under its size, where that is known', 9],
  ] as const)('arrives %s', async ([, sizeBytes]) => {
    const upstream = await upstreamThat(({ response }) => void response.end('ok'))

    const { body } = await egressTo(upstream.baseUrl).collect(ask({ body: { sizeBytes, pieces: piecesOf('one', '', 'two', 'six') } }))

    expect(body.toString()).toBe('ok')
    const [asked] = upstream.asked
    expect(asked?.body).toBe('onetwosix')
    expect(asked?.headers['content-length']).toBe(sizeBytes === null ? undefined : '9')
    expect(asked?.headers['transfer-encoding']).toBe(sizeBytes === null ? 'chunked' : undefined)
  })

  test('leaves the connection to the next request when all of it was sent', async () => {
    const upstream = await upstreamThat(({ response }) => void response.end('ok'))
    const egress = egressTo(upstream.baseUrl)

    await egress.collect(ask({ body: { sizeBytes: null, pieces: piecesOf('a') } }))
    await egress.collect(ask())

    expect([upstream.asked.length, upstream.sockets()]).toEqual([2, 1])
  })

  test('is never sent on a connection that may just be closing', async () => {
    const upstream = await upstreamThat(({ response }) => void response.end('ok'))
    const egress = egressTo(upstream.baseUrl)

    await egress.collect(ask())
    await egress.collect(ask({ body: { sizeBytes: null, pieces: piecesOf('a') } }))

    expect(upstream.sockets()).toBe(2)
  })

  test('waits while the server takes nothing, and the server has so long as is said', async () => {
    const sockets: Socket[] = []
    const server = createTcpServer({ pauseOnConnect: true }, (socket) => void sockets.push(socket))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    opened.push({
      close: () =>
        new Promise((resolve) => {
          server.close(() => resolve())
          for (const socket of sockets) socket.destroy()
        }),
    })
    // A server that listens on TCP has an address and a port.
    const { port } = server.address() as AddressInfo
    const { pieces, taken, over } = endless()

    const sending = egressTo(`http://127.0.0.1:${port}`).send(ask({ body: { sizeBytes: null, pieces }, firstByteMs: 300 }), ignore)

    await expect(sending).rejects.toMatchObject({ code: 'REQUEST_TIMEOUT' })
    // What the system holds for two sockets, and no more.
    expect(taken()).toBeLessThan(1_000)
    await expect.poll(over).toBe(true)
  })

  test('is not waited for by any limit of the server’s', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    try {
      const upstream = await upstreamThat(({ response }) => void response.end('ok'))
      async function* slow(): AsyncGenerator<Buffer> {
        yield Buffer.from('a')
        vi.advanceTimersByTime(3_600_000)
        yield Buffer.from('b')
      }

      const { body } = await egressTo(upstream.baseUrl).collect(ask({ body: { sizeBytes: null, pieces: slow() }, firstByteMs: 100 }))

      expect(body.toString()).toBe('ok')
    } finally {
      vi.useRealTimers()
    }
  })

  test('that fails ends the request with its reason, and the server never gets its end', async () => {
    const upstream = await upstreamThat(({ response }) => void response.end('ok'))
    async function* broken(): AsyncGenerator<Buffer> {
      yield Buffer.from('a')
      await new Promise(setImmediate)
      throw fail('INSUFFICIENT_BALANCE')
    }

    const sending = egressTo(upstream.baseUrl).collect(ask({ body: { sizeBytes: null, pieces: broken() } }))

    await expect(sending).rejects.toMatchObject({ code: 'INSUFFICIENT_BALANCE' })
    expect(upstream.asked).toEqual([])
  })

  test('of another size than was said is no request', async () => {
    const upstream = await upstreamThat(({ response }) => void response.end('ok'))

    const sending = egressTo(upstream.baseUrl).collect(ask({ body: { sizeBytes: 5, pieces: piecesOf('abc') } }))

    await expect(sending).rejects.toMatchObject({ internal: 'upload_size' })
    expect(upstream.asked).toEqual([])
  })

  test('is not sent on when the server has refused it, and what it was refused with is told', async () => {
    const server = createServer((_request, response) => void response.writeHead(413).end('{}'))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    opened.push({
      close: () =>
        new Promise((resolve) => {
          server.close(() => resolve())
          server.closeAllConnections()
        }),
    })
    // A server that listens on TCP has an address and a port.
    const { port } = server.address() as AddressInfo
    const { pieces, over } = endless()

    const sending = egressTo(`http://127.0.0.1:${port}`).send(ask({ body: { sizeBytes: null, pieces } }), ignore)

    await expect(sending).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE' })
    await expect.poll(over).toBe(true)
  })

  test('that is answered before its end was not understood', async () => {
    const { baseUrl } = await rawUpstream((socket) => void socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'))
    const { pieces, over } = endless()

    const sending = egressTo(baseUrl).send(ask({ body: { sizeBytes: null, pieces } }), ignore)

    await expect(sending).rejects.toMatchObject({ code: 'INFERENCE_FAILED', internal: 'upstream_early' })
    await expect.poll(over).toBe(true)
  })

  test('is left when the caller leaves', async () => {
    const { baseUrl } = await rawUpstream(() => undefined)
    const { signal, leave } = leaving()
    const { pieces, over } = endless()

    const sending = egressTo(baseUrl).send(ask({ body: { sizeBytes: null, pieces }, signal }), ignore)
    setTimeout(leave, 30)

    await expect(sending).rejects.toMatchObject({ internal: 'caller_left' })
    await expect.poll(over).toBe(true)
  })
})
