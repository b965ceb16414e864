import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { type TLSSocket, getCACertificates, setDefaultCACertificates } from 'node:tls'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Certified, certificateFor } from './certificate.fixture.ts'
import { ask, egressTo, ignore, opened } from './egress.fixture.ts'

/** What a TLS server saw: each opened connection, and each request. */
type Seen = {
  readonly baseUrl: string
  readonly connections: { protocol: string | false; name: string | false; reused: boolean }[]
  readonly asked: string[]
}

const before = getCACertificates('default')
let certified: Certified

beforeEach(() => {
  certified = certificateFor('localhost')
  setDefaultCACertificates([certified.cert])
})
afterEach(() => setDefaultCACertificates(before))

async function secureUpstream({ key, cert }: Certified, answer = '{}'): Promise<Seen> {
  const seen: Omit<Seen, 'baseUrl'> = { connections: [], asked: [] }
  // Its `end` gives each answer and closes the connection where it is told to.
  const server = createServer({ key, cert, ALPNProtocols: ['h2', 'http/1.1'] }, (request, response) => {
    seen.asked.push(request.url ?? '')
    request.resume().on('end', () => response.end(answer))
  })
  server.on('secureConnection', (socket: TLSSocket) => {
    const name: unknown = Reflect.get(socket, 'servername')
    seen.connections.push({
      protocol: socket.alpnProtocol ?? false,
      name: typeof name === 'string' ? name : false,
      reused: socket.isSessionReused(),
    })
  })
  server.on('tlsClientError', () => undefined)
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
  return { ...seen, baseUrl: `https://localhost:${port}/v1` }
}

describe('an upstream behind TLS', () => {
  test('is spoken to in HTTP/1.1 only, by its name, over one connection for many requests', async () => {
    const upstream = await secureUpstream(certified, '{"large":"' + 'x'.repeat(200_000) + '"}')
    const egress = egressTo(upstream.baseUrl)

    const answers = [await egress.collect(ask()), await egress.collect(ask({ body: 'é'.repeat(100_000) }))]

    expect(answers.map(({ body }) => body.length)).toEqual([200_012, 200_012])
    expect(upstream.connections).toEqual([{ protocol: 'http/1.1', name: 'localhost', reused: false }])
  })

  test('is connected to again with the session it gave', async () => {
    const upstream = await secureUpstream(certified)
    const egress = egressTo(upstream.baseUrl)
    await egress.collect(ask())

    await Promise.all([egress.collect(ask()), egress.collect(ask())])

    expect(upstream.connections.map(({ reused }) => reused)).toEqual([false, true])
  })

  test.each<[string, () => Certified]>([
    ['that nobody vouches for', () => certificateFor('localhost')],
    [
      'that is another’s',
      () => {
        const other = certificateFor('other.example')
        setDefaultCACertificates([other.cert])
        return other
      },
    ],
  ])('with a certificate %s gets no byte of a request', async (_how, certificate) => {
    const upstream = await secureUpstream(certificate())

    await expect(egressTo(upstream.baseUrl).send(ask(), ignore)).rejects.toMatchObject({ code: 'MODEL_OFFLINE', internal: 'upstream_tls' })

    expect(upstream.asked).toEqual([])
  })

  test('is left as soon as its taker has had enough', async () => {
    const upstream = await secureUpstream(certified, 'x'.repeat(1_000_000))
    const reason = new Error('enough')
    let pieces = 0
    const data = (): void => {
      if (++pieces === 2) throw reason
    }

    await expect(egressTo(upstream.baseUrl).send(ask(), { data })).rejects.toBe(reason)

    expect(pieces).toBe(2)
  })

  test('waits while its taker is busy, and loses nothing of what was deciphered already', async () => {
    const answer = Array.from({ length: 50_000 }, (_, at) => String(at)).join(',')
    const upstream = await secureUpstream(certified, answer)
    let text = ''
    let busy = false
    let together = false

    await egressTo(upstream.baseUrl).send(ask(), {
      data(chunk) {
        together ||= busy
        busy = true
        text += chunk.toString()
        return new Promise((resolve) =>
          setImmediate(() => {
            busy = false
            resolve()
          }),
        )
      },
    })

    expect(text).toBe(answer)
    expect(together).toBe(false)
  })
})
