import { afterEach, describe, expect, test, vi } from 'vitest'
import { ask, egressTo, ignore, rawUpstream, upstreamThat } from './egress.fixture.ts'
import { promised, turns, within } from './text-run.fixture.ts'

afterEach(() => {
  vi.useRealTimers()
})

const said = (words: string, fields = ''): string => `HTTP/1.1 200 OK\r\n${fields}content-length: ${words.length}\r\n\r\n${words}`

describe('a connection is used again', () => {
  test.each<[string, string, number]>([
    ['after an answer with a length', said('a'), 1],
    ['after an answer in chunks', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n', 1],
    ['after an answer without a body', 'HTTP/1.1 204 No Content\r\n\r\n', 1],
    ['after interim answers', `HTTP/1.1 100 Continue\r\n\r\n${said('a')}`, 1],
    ['after an answer of an old server that keeps it', 'HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\na', 1],
    ['but not where the server says that it closes', said('a', 'connection: close\r\n'), 2],
    ['but not where an old server says nothing', 'HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\na', 2],
    ['but not where the server keeps it for a moment only', said('a', 'keep-alive: timeout=1\r\n'), 2],
  ])('%s', async (_when, answer, sockets) => {
    const upstream = await rawUpstream((socket) => socket.write(answer))
    const egress = egressTo(upstream.baseUrl)

    await egress.collect(ask())
    await egress.collect(ask())

    expect(upstream.sockets()).toBe(sockets)
  })

  test.each([
    ['as long as a server that says nothing may keep it', '', 59_000, 60_000],
    ['a second less than its server keeps it', 'keep-alive: timeout=5\r\n', 3_900, 4_000],
    ['no longer than is of use, whatever its server says', 'keep-alive: timeout=600\r\n', 59_000, 60_000],
  ])('%s, and then closed', async (_how, fields, keptMs, closedMs) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const closed = promised()
    let ended = false
    const upstream = await rawUpstream((socket) => {
      socket.on('close', () => {
        ended = true
        closed.resolve()
      })
      socket.write(said('a', fields))
    })
    const egress = egressTo(upstream.baseUrl)
    await egress.collect(ask())
    vi.advanceTimersByTime(keptMs)
    await egress.collect(ask())
    expect([ended, upstream.sockets()]).toEqual([false, 1])

    vi.advanceTimersByTime(closedMs)
    vi.useRealTimers()

    await within(closed.promise, 'the end of the socket')
  })

  test('unless its server has closed it, which is seen before anything is sent on it', async () => {
    const closed = promised()
    const asked: string[] = []
    const upstream = await rawUpstream((socket) => {
      asked.push('once')
      socket.on('close', closed.resolve)
      if (asked.length === 1) socket.end(said('a'))
      else socket.write(said('b'))
    })
    const egress = egressTo(upstream.baseUrl)
    await egress.collect(ask())
    await within(closed.promise, 'the end of the socket')

    expect((await egress.collect(ask())).body.toString()).toBe('b')

    expect(asked).toHaveLength(2)
  })

  test('after an answer whose taker was busy to its end', async () => {
    const upstream = await rawUpstream((socket) => socket.write(said('a')))
    const egress = egressTo(upstream.baseUrl)

    await egress.send(ask(), { data: () => turns(2), flush: () => turns(2) })

    expect((await egress.collect(ask())).body.toString()).toBe('a')
    expect(upstream.sockets()).toBe(1)
  })

  test('and is not closed for having been idle while it is in use', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const reached = promised()
    const go = promised()
    const upstream = await rawUpstream((socket, count) => {
      if (count === 0) return void socket.write(said('a'))
      reached.resolve()
      void go.promise.then(() => socket.write(said('b')))
    })
    const egress = egressTo(upstream.baseUrl)
    await egress.collect(ask())

    const second = egress.collect(ask({ firstByteMs: 600_000 }))
    await within(reached.promise, 'the second request')
    vi.advanceTimersByTime(300_000)
    go.resolve()

    expect((await second).body.toString()).toBe('b')
    expect(upstream.sockets()).toBe(1)
  })

  test('the one that was used last at first', async () => {
    const ports: (number | undefined)[] = []
    const upstream = await rawUpstream((socket) => {
      ports.push(socket.remotePort)
      socket.write(said('a'))
    })
    const egress = egressTo(upstream.baseUrl)
    await Promise.all([egress.collect(ask()), egress.collect(ask())])

    for (let count = 0; count < 3; count++) await egress.collect(ask())

    expect(new Set(ports.slice(2)).size).toBe(1)
    expect(upstream.sockets()).toBe(2)
  })

  test('not at all after an answer that came before the request was sent whole', async () => {
    const upstream = await rawUpstream((socket) => {
      socket.pause()
      if (socket.bytesWritten === 0) socket.write('HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n')
    })
    const egress = egressTo(upstream.baseUrl)
    const large = { body: 'x'.repeat(32 * 1024 * 1024) }

    await expect(egress.send(ask(large), ignore)).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE', internal: 'upstream_413' })
    await expect(egress.send(ask(large), ignore)).rejects.toMatchObject({ internal: 'upstream_413' })

    expect(upstream.sockets()).toBe(2)
  })
})

describe('a request that is sent again', () => {
  test('is sent again only once', async () => {
    const upstream = await rawUpstream((socket, count) => {
      if (count === 0 && upstream.sockets() === 1) socket.write(said('a'))
      else socket.destroy()
    })
    const egress = egressTo(upstream.baseUrl)
    await egress.collect(ask())

    await expect(egress.collect(ask())).rejects.toMatchObject({ internal: 'upstream_reset' })

    expect(upstream.sockets()).toBe(2)
  })

  test('has no more time than it had', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const again = promised()
    const second = promised()
    const upstream = await rawUpstream((socket, count) => {
      if (upstream.sockets() === 2) again.resolve()
      else if (count === 0) socket.write(said('a'))
      else void second.promise.then(() => socket.destroy())
    })
    const egress = egressTo(upstream.baseUrl)
    await egress.collect(ask())

    const sent = egress.send(ask({ firstByteMs: 1000 }), ignore)
    const rejected = expect(sent).rejects.toMatchObject({ internal: 'upstream_first_byte' })
    vi.advanceTimersByTime(600)
    second.resolve()
    await within(again.promise, 'the second request')
    vi.advanceTimersByTime(400)

    await within(rejected, 'the end')
  })
})

describe('limits of time', () => {
  test('of one request are void for the next on the same connection', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const go = promised()
    const reached = promised()
    let asked = 0
    const upstream = await upstreamThat(({ response }) => {
      if (asked++ === 0) return void response.end('a')
      reached.resolve()
      void go.promise.then(() => response.end('b'))
    })
    const egress = egressTo(upstream.baseUrl)
    await egress.collect(ask({ firstByteMs: 1000, stallMs: 500 }))
    vi.advanceTimersByTime(100)

    const second = egress.collect(ask({ firstByteMs: 1000, stallMs: 500 }))
    await within(reached.promise, 'the second request')
    vi.advanceTimersByTime(900)
    go.resolve()

    expect((await second).body.toString()).toBe('b')
    expect(upstream.sockets()).toBe(1)
  })

  test('begin anew with each read of a stream', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    let write = (_text: string): void => undefined
    const upstream = await upstreamThat(({ response }) => {
      write = (text) => void response.write(text)
      write('0')
    })
    const steps = [promised(), promised(), promised()]
    let text = ''
    const sent = egressTo(upstream.baseUrl).send(ask({ firstByteMs: 1500, stallMs: 1000 }), {
      data(chunk) {
        text += chunk.toString()
        steps[text.length - 1]?.resolve()
      },
    })
    const rejected = expect(sent).rejects.toMatchObject({ internal: 'upstream_stalled' })

    for (const [count, step] of steps.entries()) {
      await within(step.promise, 'the next byte')
      vi.advanceTimersByTime(999)
      if (count < 2) write(String(count + 1))
    }
    vi.advanceTimersByTime(1)

    await within(rejected, 'the end')
    expect(text).toBe('012')
  })

  test('end the opening of a connection that gets nowhere', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const reached = promised()
    const upstream = await rawUpstream(() => reached.resolve())
    const egress = egressTo(upstream.baseUrl.replace('http', 'https'), { connectMs: 100 })
    const rejected = expect(egress.send(ask(), ignore)).rejects.toMatchObject({
      code: 'MODEL_OFFLINE',
      internal: 'upstream_connect_timeout',
    })
    await within(reached.promise, 'the beginning of the handshake')

    vi.advanceTimersByTime(100)

    await within(rejected, 'the end')
  })
})
