import { once } from 'node:events'
import { type Socket, connect } from 'node:net'
import { queryObjects } from 'node:v8'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { Connection } from './connection.ts'
import { until } from './connection.fixture.ts'
import { Exchange } from './exchange.ts'
import { Listener } from './listener.ts'
import { RequestHead } from './request-head.ts'

const GET = 'GET / HTTP/1.1\r\nHost: h\r\n\r\n'

const opened: Listener[] = []
afterEach(async () => {
  vi.useRealTimers()
  for (const listener of opened.splice(0)) {
    listener.cut()
    await listener.close()
  }
})

let tick = 0
async function listening(serve: (exchange: Exchange) => void): Promise<Listener> {
  const listener = new Listener({ idleMs: 75_000, bodyMs: 300_000, tick: () => tick, now: () => 0, serve })
  opened.push(listener)
  await listener.listen(0, '127.0.0.1')
  return listener
}

async function caller({ port }: Listener): Promise<{ socket: Socket; text: () => string; closed: Promise<unknown> }> {
  const socket = connect(port, '127.0.0.1')
  let text = ''
  socket.setEncoding('latin1').on('data', (piece: string) => (text += piece))
  socket.on('error', () => undefined)
  const closed = new Promise((resolve) => socket.on('close', resolve))
  await once(socket, 'connect')
  return { socket, text: () => text, closed }
}

describe('a listener', () => {
  test('rejects with the system’s error where it cannot listen', async () => {
    const { port } = await listening(() => undefined)
    const second = new Listener({ idleMs: 1, bodyMs: 1, tick: () => 0, now: () => 0, serve: () => undefined })

    await expect(second.listen(port, '127.0.0.1')).rejects.toMatchObject({ code: 'EADDRINUSE' })
  })

  test('that closes lets idle connections go at once, and the others when they are answered', async () => {
    const waiting: Exchange[] = []
    const listener = await listening((exchange) => void waiting.push(exchange))
    const [silent, served, asking] = [await caller(listener), await caller(listener), await caller(listener)]
    served.socket.write(GET)
    await until(() => waiting.length === 1)
    waiting.pop()?.answer(200, '', 'one')
    await until(() => served.text().includes('one'))
    asking.socket.write(GET)
    await until(() => waiting.length === 1)

    let over = false
    const closing = listener.close().then(() => (over = true))
    await Promise.all([silent.closed, served.closed])
    const early = over
    waiting.pop()?.answer(200, '', 'two')
    await asking.closed
    await closing

    expect([early, listener.stopping]).toEqual([false, true])
    expect(asking.text()).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*connection: close\r\n[^]*two$/)
  })

  test('that closes in the turn of an answer gives it, and then closes', async () => {
    const closing: Promise<void>[] = []
    const listener = await listening((exchange) => {
      exchange.answer(200, '', 'whole')
      closing.push(listener.close())
    })
    const { socket, text, closed } = await caller(listener)

    socket.write(GET)
    await closed
    await Promise.all(closing)

    expect([text().endsWith('whole'), closing.length]).toEqual([true, 1])
  })

  test('that closes while an answer is read gives all of it', async () => {
    const large = Buffer.alloc(16 * 1024 * 1024, 'x')
    const listener = await listening((exchange) => exchange.answer(200, '', large))
    const slow = await caller(listener)
    slow.socket.pause()
    slow.socket.write(GET)
    const quick = await caller(listener)
    quick.socket.write(GET)
    await until(() => quick.text().length > large.length)

    const closed = listener.close()
    slow.socket.resume()
    await closed

    expect(slow.text().length).toBeGreaterThan(large.length)
  })

  test('looks at its connections every second', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    const listener = await listening(() => undefined)
    const idle = await caller(listener)

    tick += 75_000
    vi.advanceTimersByTime(1_000)

    await idle.closed
    expect(idle.text()).toBe('')
  })

  test('that closes does not wait for what can be no request: an empty line behind the last one', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    const waiting: Exchange[] = []
    const listener = await listening((exchange) => void waiting.push(exchange))
    const { socket, text } = await caller(listener)
    socket.write(`${GET}\r\n`)
    await until(() => waiting.length === 1)
    const [exchange] = waiting
    exchange?.open(200, '')

    const closing = listener.close()
    exchange?.end()
    await until(() => text().endsWith('0\r\n\r\n'))
    vi.advanceTimersByTime(1_000)
    await closing

    expect(listener.stopping).toBe(true)
  })

  test('keeps nothing of connections that are closed, however they ended', async () => {
    const listener = await listening((exchange) => {
      if (exchange.head.target === '/wait') return
      void Promise.resolve(exchange.body(1_000)).then(
        () => exchange.answer(200, '', 'x'),
        () => exchange.destroy(),
      )
    })
    const bodied = 'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab'
    const asked = [GET, GET.replace('/', '/wait'), GET.slice(0, 20), bodied, `${bodied}cde`, GET + GET, 'no HTTP\r\n', '']
    const count = (): number[] => [Connection, Exchange, RequestHead].map((made) => queryObjects(made, { format: 'count' }))
    const before = count()

    for (let round = 0; round < 10; round++) {
      const sockets = Array.from({ length: 100 }, () => connect(listener.port, '127.0.0.1').on('error', () => undefined))
      const closed = sockets.map((socket) => new Promise((resolve) => socket.on('close', resolve)))
      for (const [index, socket] of sockets.entries()) {
        socket.resume().write(asked[index % asked.length] ?? '')
        socket.on('connect', () => (index % 3 === 0 ? socket.resetAndDestroy() : socket.end()))
      }
      await Promise.all(closed)
    }

    // Each count walks the whole heap.
    const left = (): number => Math.max(...count().map((now, index) => now - (before[index] ?? 0)))
    await expect.poll(left, { timeout: 10_000, interval: 200 }).toBeLessThan(10)
  })
})
