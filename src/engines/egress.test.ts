import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { fail } from '../core/errors.ts'
import { ask, egressTo, ignore, leaving, rawUpstream, upstreamThat } from './egress.fixture.ts'
import { promised, turns, within } from './text-run.fixture.ts'

describe('what leaves by the network door', () => {
  test('is the path, the body, the operator’s headers and nothing about the caller', async () => {
    const upstream = await upstreamThat(({ response }) => void response.end('{}'))
    const egress = egressTo(`${upstream.baseUrl}/`, { headers: { Authorization: 'Bearer k' } })

    await egress.send(ask(), ignore)

    const [asked] = upstream.asked
    expect(asked).toMatchObject({ method: 'POST', url: '/v1/chat', body: '{"a":1}' })
    expect(Object.keys(asked?.headers ?? {}).sort()).toEqual([
      'accept',
      'accept-encoding',
      'authorization',
      'connection',
      'content-length',
      'content-type',
      'host',
      'user-agent',
    ])
    expect(asked?.headers).toMatchObject({
      authorization: 'Bearer k',
      'user-agent': 'rialto',
      accept: 'application/json',
      'accept-encoding': 'identity',
      'content-type': 'application/json',
    })
  })

  test('goes over a Unix socket where the door leads to one', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'rialto-egress-'))
    const socketPath = join(folder, 'a.sock')
    const server = createServer((request, response) => void response.end(JSON.stringify([request.headers.host, request.url])))
    await new Promise<void>((resolve) => server.listen(socketPath, resolve))
    const egress = egressTo('http://localhost/v1', { socketPath })

    const answers = await Promise.all([1, 2, 3].map(() => egress.collect(ask())))
    await egress.close()
    await new Promise((resolve) => server.close(resolve))
    await rm(folder, { recursive: true })

    expect(answers.map(({ body }) => JSON.parse(String(body)))).toEqual([1, 2, 3].map(() => ['localhost', '/v1/chat']))
    await expect(egressTo('http://localhost', { socketPath }).send(ask(), ignore)).rejects.toMatchObject({ code: 'MODEL_OFFLINE' })
  })

  test('goes to the root of the host where that is asked for', async () => {
    const upstream = await upstreamThat(({ response }) => void response.end('[]'))

    await egressTo(upstream.baseUrl).collect(ask({ method: 'GET', path: '/api/tags', fromRoot: true }))

    expect(upstream.asked[0]?.url).toBe('/api/tags')
  })

  test('takes the same socket again, after a success and after a refusal', async () => {
    let count = 0
    const upstream = await upstreamThat(({ response }) => {
      response.statusCode = count++ === 1 ? 500 : 200
      response.end('{"error":{}}')
    })
    const egress = egressTo(upstream.baseUrl)

    await egress.send(ask(), ignore)
    await expect(egress.send(ask(), ignore)).rejects.toMatchObject({ internal: 'upstream_500' })
    await egress.send(ask(), ignore)

    expect(upstream.sockets()).toBe(1)
  })

  test('never follows a redirect', async () => {
    const upstream = await upstreamThat(({ response }) => void response.writeHead(307, { location: '/v1/elsewhere' }).end())

    await expect(egressTo(upstream.baseUrl).send(ask(), ignore)).rejects.toMatchObject({ code: 'MODEL_OFFLINE', internal: 'upstream_307' })
    expect(upstream.asked).toHaveLength(1)
  })

  test('never reaches a private address where those are not allowed, by number or by name', async () => {
    const upstream = await upstreamThat(({ response }) => void response.end('{}'))
    const refused = { code: 'MODEL_OFFLINE', internal: 'upstream_address_refused' }

    await expect(egressTo(upstream.baseUrl, { allowPrivateAddresses: false }).send(ask(), ignore)).rejects.toMatchObject(refused)
    const byName = upstream.baseUrl.replace('127.0.0.1', 'localhost')
    await expect(egressTo(byName, { allowPrivateAddresses: false }).send(ask(), ignore)).rejects.toMatchObject(refused)

    expect(upstream.sockets()).toBe(0)
  })

  test('is bounded in its number of sockets, and one that is given up makes room', async () => {
    const upstream = await upstreamThat(() => undefined)
    const egress = egressTo(upstream.baseUrl, { maxConnections: 2 })
    const { signal, leave } = leaving()
    const waiting = [egress.send(ask({ signal }), ignore), egress.send(ask({ signal }), ignore)]
    const left = Promise.allSettled(waiting)

    await expect(egress.send(ask(), ignore)).rejects.toMatchObject({ code: 'MODEL_AT_CAPACITY', internal: 'engine_connections' })

    leave()
    expect((await left).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    await expect(egress.send(ask({ firstByteMs: 20 }), ignore)).rejects.toMatchObject({ internal: 'upstream_first_byte' })
  })
})

describe('an answer', () => {
  test('is collected whole, and only up to its limit', async () => {
    const upstream = await upstreamThat(({ response }) => {
      response.write('x'.repeat(70_000))
      response.end('y'.repeat(70_000))
    })
    const egress = egressTo(upstream.baseUrl)

    expect((await egress.collect(ask())).body.toString()).toBe('x'.repeat(70_000) + 'y'.repeat(70_000))
    await expect(egress.collect(ask(), 100_000)).rejects.toMatchObject({ internal: 'upstream_answer_too_large' })
    await upstream.left(1)
  })

  test('waits at the upstream while its taker is busy', async () => {
    const size = 32 * 1024 * 1024
    let sent = (): boolean => false
    const upstream = await upstreamThat(({ response }) => {
      sent = () => response.writableFinished
      response.end(Buffer.alloc(size))
    })
    const busy = promised()
    const first = promised()
    let bytes = 0
    const taken = egressTo(upstream.baseUrl).send(ask(), {
      data(chunk) {
        bytes += chunk.length
        first.resolve()
        return bytes === chunk.length ? busy.promise : undefined
      },
    })
    await within(first.promise, 'the first bytes')

    await turns(2000)
    expect(bytes).toBeLessThan(1024 * 1024)
    expect(sent()).toBe(false)
    busy.resolve()
    await taken

    expect(bytes).toBe(size)
  })

  test('is taken to its end by a busy taker although the upstream has closed', async () => {
    const upstream = await rawUpstream((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nconnection: close\r\n\r\none')
      setImmediate(() => socket.end('two'))
    })
    const busy = promised()
    const first = promised()
    let text = ''
    const sent = egressTo(upstream.baseUrl).send(ask(), {
      data(chunk) {
        text += chunk.toString()
        first.resolve()
        return busy.promise
      },
    })
    await within(first.promise, 'the first bytes')

    await turns(50)
    busy.resolve()
    await sent

    expect(text).toBe('onetwo')
  })

  test('of several chunks in one packet is flushed once', async () => {
    const upstream = await rawUpstream((socket) => {
      socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n')
    })
    const events: string[] = []

    await egressTo(upstream.baseUrl).send(ask(), {
      data: (chunk) => void events.push(chunk.toString()),
      flush: () => void events.push('flush'),
    })

    expect(events).toEqual(['a', 'b', 'c', 'flush'])
  })

  test('that ends before its length is a death, and what came of it was handed over', async () => {
    const upstream = await rawUpstream((socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf'))
    const events: string[] = []

    const sent = egressTo(upstream.baseUrl).send(ask(), {
      data: (chunk) => void events.push(chunk.toString()),
      flush: () => void events.push('flush'),
    })

    await expect(sent).rejects.toMatchObject({ code: 'INFERENCE_FAILED', internal: 'upstream_died' })
    expect(events).toEqual(['half', 'flush'])
  })

  test('that its taker rejects, now or later, ends at once with the taker’s reason', async () => {
    const upstream = await upstreamThat(({ response }) => void response.write('endless'))
    const egress = egressTo(upstream.baseUrl)
    const reason = new Error('enough')
    const throwing = () => {
      throw reason
    }

    await expect(egress.send(ask(), { data: throwing })).rejects.toBe(reason)
    await expect(egress.send(ask(), { data: () => Promise.reject(reason) })).rejects.toBe(reason)
    await expect(egress.send(ask(), { data: () => undefined, flush: throwing })).rejects.toBe(reason)
    await expect(egress.send(ask(), { head: throwing, data: () => undefined })).rejects.toBe(reason)

    for (const exchange of [0, 1, 2, 3]) await within(upstream.left(exchange), 'the end of the upstream')
  })
})

describe('a caller who leaves', () => {
  test.each(['before the head', 'in the body', 'while the taker is busy'])('closes the upstream, %s', async (when) => {
    const reached = promised()
    const upstream = await upstreamThat(({ response }) => {
      if (when === 'before the head') reached.resolve()
      else response.write('some')
    })
    const leave = new AbortController()
    const sent = egressTo(upstream.baseUrl).send(ask({ signal: leave.signal }), {
      data() {
        reached.resolve()
        return when === 'while the taker is busy' ? new Promise(() => undefined) : undefined
      },
    })
    const rejected = expect(sent).rejects.toMatchObject({ internal: 'caller_left' })
    await within(reached.promise, 'the upstream')

    leave.abort()

    await within(rejected, 'the end')
    await within(upstream.left(0), 'the end of the upstream')
  })

  test('before the start asks nothing of the upstream', async () => {
    const upstream = await upstreamThat(({ response }) => void response.end())

    await expect(egressTo(upstream.baseUrl).send(ask({ signal: AbortSignal.abort() }), ignore)).rejects.toMatchObject({
      internal: 'caller_left',
    })
    expect(upstream.sockets()).toBe(0)
  })

  test('for a reason of ours is told that reason', async () => {
    const upstream = await upstreamThat(() => undefined)
    const reason = fail('SHUTTING_DOWN')

    await expect(egressTo(upstream.baseUrl).send(ask({ signal: AbortSignal.abort(reason) }), ignore)).rejects.toBe(reason)
  })

  test('leaves no listener on the signal of a request that is over', async () => {
    const upstream = await upstreamThat(({ response }) => void response.end('{}'))
    const { signal } = new AbortController()
    const added = vi.spyOn(signal, 'addEventListener')
    const removed = vi.spyOn(signal, 'removeEventListener')

    await egressTo(upstream.baseUrl).send(ask({ signal }), ignore)

    expect(added).toHaveBeenCalledOnce()
    expect(removed.mock.calls).toEqual(added.mock.calls)
  })
})
