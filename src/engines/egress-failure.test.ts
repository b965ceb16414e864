import { afterEach, describe, expect, test, vi } from 'vitest'
import { ask, egressTo, ignore, opened, rawUpstream, upstreamThat } from './egress.fixture.ts'
import { promised, within } from './text-run.fixture.ts'

afterEach(() => {
  vi.useRealTimers()
})

describe('an upstream that is not well', () => {
  test('is refused, unknown or no TLS: each has its reason', async () => {
    const gone = await rawUpstream(() => undefined)
    const plain = await rawUpstream((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
    await opened.splice(0, 1)[0]?.close()

    await expect(egressTo(gone.baseUrl).send(ask(), ignore)).rejects.toMatchObject({ code: 'MODEL_OFFLINE', internal: 'upstream_refused' })
    await expect(egressTo(plain.baseUrl.replace('http', 'https')).send(ask(), ignore)).rejects.toMatchObject({
      code: 'MODEL_OFFLINE',
      internal: 'upstream_tls',
    })
  })

  test('that closes a new socket before the head is asked once only', async () => {
    const upstream = await rawUpstream((socket) => socket.destroy())

    await expect(egressTo(upstream.baseUrl).send(ask(), ignore)).rejects.toMatchObject({ internal: 'upstream_reset' })
    expect(upstream.sockets()).toBe(1)
  })

  test('that closes a kept socket under the request is asked again on a new one', async () => {
    const upstream = await rawUpstream((socket, count) => {
      if (count === 0) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok')
      else socket.destroy()
    })
    const egress = egressTo(upstream.baseUrl)

    await egress.collect(ask())
    expect((await egress.collect(ask())).body.toString()).toBe('ok')

    expect(upstream.sockets()).toBe(2)
  })

  test('that has closed every kept socket is asked again on a new one, not on another old one', async () => {
    const upstream = await rawUpstream((socket, count) => {
      if (count === 0) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok')
      else socket.destroy()
    })
    const egress = egressTo(upstream.baseUrl)

    await Promise.all([egress.collect(ask()), egress.collect(ask())])
    expect((await egress.collect(ask())).body.toString()).toBe('ok')

    expect(upstream.sockets()).toBe(3)
  })

  test('that closes a kept socket in the midst of an answer is not asked again', async () => {
    const upstream = await rawUpstream((socket, count) => {
      if (count === 0) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok')
      else socket.end('HTTP/1.1 200')
    })
    const egress = egressTo(upstream.baseUrl)
    await egress.collect(ask())

    await expect(egress.collect(ask())).rejects.toMatchObject({ code: 'INFERENCE_FAILED' })
    expect(upstream.sockets()).toBe(1)
  })

  test('that speaks no HTTP is told so', async () => {
    const upstream = await rawUpstream((socket) => socket.end('220 mail.example ESMTP\r\n'))

    await expect(egressTo(upstream.baseUrl).send(ask(), ignore)).rejects.toMatchObject({ internal: 'upstream_protocol' })
  })

  test('that refuses with more words than anybody reads is cut off', async () => {
    const upstream = await upstreamThat(({ response }) => {
      response.statusCode = 422
      response.write('w'.repeat(1024 * 1024))
    })

    await expect(egressTo(upstream.baseUrl).send(ask(), ignore)).rejects.toMatchObject({
      code: 'INVALID_REQUEST',
      internal: 'upstream_422',
    })
    await within(upstream.left(0), 'the end of the upstream')
  })

  test('that refuses and dies over its words has refused', async () => {
    const upstream = await rawUpstream((socket) => socket.end('HTTP/1.1 429 Slow down\r\nretry-after: 3\r\ncontent-length: 10\r\n\r\nhalf'))

    await expect(egressTo(upstream.baseUrl).send(ask(), ignore)).rejects.toMatchObject({ code: 'MODEL_OVERLOADED', retryAfterMs: 3000 })
  })

  test('that never answers is given up at the limit of the first byte', async () => {
    const upstream = await upstreamThat(() => undefined)

    await expect(egressTo(upstream.baseUrl).send(ask({ firstByteMs: 20 }), ignore)).rejects.toMatchObject({
      code: 'REQUEST_TIMEOUT',
      internal: 'upstream_first_byte',
    })
    await within(upstream.left(0), 'the end of the upstream')
  })

  test('that sends a head and nothing else is given up at the limit of the first byte, not of silence', async () => {
    const upstream = await upstreamThat(({ response }) => response.flushHeaders())

    await expect(egressTo(upstream.baseUrl).send(ask({ firstByteMs: 20, stallMs: 1 }), ignore)).rejects.toMatchObject({
      internal: 'upstream_first_byte',
    })
  })

  test('that falls silent is given up at the limit of silence', async () => {
    const upstream = await upstreamThat(({ response }) => void response.write('some'))

    await expect(egressTo(upstream.baseUrl).send(ask({ stallMs: 20 }), ignore)).rejects.toMatchObject({
      code: 'REQUEST_TIMEOUT',
      internal: 'upstream_stalled',
    })
    await within(upstream.left(0), 'the end of the upstream')
  })

  test('is not blamed for the silence of a busy taker', async () => {
    const upstream = await upstreamThat(({ response }) => {
      response.write('one')
      setImmediate(() => response.end('two'))
    })
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const busy = promised()
    const first = promised()
    let text = ''
    const sent = egressTo(upstream.baseUrl).send(ask({ stallMs: 1000 }), {
      data(chunk) {
        text += chunk.toString()
        first.resolve()
        return text === 'one' ? busy.promise : undefined
      },
    })
    await first.promise

    vi.advanceTimersByTime(10_000)
    busy.resolve()
    await sent

    expect(text).toBe('onetwo')
  })

  test('cannot hold up the end of the engine', async () => {
    const upstream = await upstreamThat(({ response }) => void response.write('endless'))
    const reached = promised()
    const egress = egressTo(upstream.baseUrl)
    const sent = egress.send(ask(), { data: () => reached.resolve() })
    const rejected = expect(sent).rejects.toMatchObject({ code: 'INFERENCE_FAILED' })
    await within(reached.promise, 'the first byte')

    await egress.close()

    await rejected
    await expect(egress.send(ask(), ignore)).rejects.toMatchObject({ code: 'SHUTTING_DOWN' })
  })
})
