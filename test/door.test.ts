/** What callers of every kind meet at the door, over real sockets: large, slow, impatient and broken ones, and honest clients. */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { connect } from 'node:net'
import { promisify } from 'node:util'
import { Agent as UndiciAgent, request as undici } from 'undici'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { gate } from './harness/gate.ts'
import { engineAt, overlay, textModel } from './harness/overlay.ts'
import { type Rialto, startRialto } from './harness/rialto.ts'
import { ask, openSocket } from './harness/talk.ts'
import { type Upstream, chatJson, startUpstream } from './harness/upstream.ts'

const MODEL = 'bridge'
const MAX_BODY_BYTES = 256 * 1024
const BODY = JSON.stringify({ model: MODEL, messages: [{ role: 'user', content: 'What holds it up?' }] })
const LIVE = 'GET /api/v1/health/live HTTP/1.1\r\nHost: h\r\n\r\n'

const run = promisify(execFile)
const curl = await run('curl', ['--version']).then(
  () => true,
  () => false,
)

let upstream: Upstream
let rialto: Rialto
let chat: string
beforeAll(async () => {
  upstream = await startUpstream()
  const server = { maxBodyBytes: MAX_BODY_BYTES, bodyMs: 1_000 }
  rialto = await startRialto({ config: overlay([engineAt('mock', upstream.url)], [textModel(MODEL, 'mock')], { 'server.json': server }) })
  chat = `${rialto.url}/chat/completions`
})
afterAll(async () => {
  await rialto?.stop()
  await upstream?.stop()
})

const posting = (length: string, key = rialto.key): string =>
  `POST /api/v1/chat/completions HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer ${key}\r\nContent-Type: application/json\r\n${length}\r\n\r\n`
const withLength = (body: string): string => posting(`Content-Length: ${Buffer.byteLength(body)}`) + body
const statuses = (text: string): number[] => [...text.matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, status]) => Number(status))

describe('a request that cannot be taken', () => {
  test.for([
    ['has too large a body', 413, 'PAYLOAD_TOO_LARGE', () => posting('Content-Length: 35000000')],
    ['has too large a body in chunks', 413, 'PAYLOAD_TOO_LARGE', () => `${posting('Transfer-Encoding: chunked')}217DEE0\r\n`],
    ['has no valid key', 401, 'AUTHENTICATION_FAILED', () => posting('Content-Length: 35000000', 'wrong')],
    ['is for nothing that is here', 404, 'NOT_FOUND', () => posting('Content-Length: 35000000').replace('/chat/', '/nothing/')],
    ['has another kind of body', 415, 'INVALID_CONTENT_TYPE', () => posting('Content-Length: 35000000').replace('/json', '/xml')],
  ] as const)('because it %s is told so while all of it is still being sent', async ([, status, code, head]) => {
    const { socket, until } = await openSocket(rialto.origin)
    let failed = false
    socket.on('error', () => (failed = true))

    socket.write(head())
    for (let i = 0; i < 35; i++) if (!socket.write(Buffer.alloc(1_000_000, ' '))) await once(socket, 'drain')
    const text = await until(`"${code}"`)

    expect([statuses(text), failed]).toEqual([[status], false])
    expect(text).toMatch(/connection: close\r\n/)
    socket.destroy()
  })

  test.for([
    ['many bytes', { x: 'y'.repeat(40_000) }],
    ['many fields', Object.fromEntries(Array.from({ length: 250 }, (_, index) => [`x-${index}`, 'y']))],
  ] as const)('because its head has too %s is told so', async ([, headers]) => {
    const { status, text } = await ask(`${rialto.url}/health/live`, { headers })

    expect([status, JSON.parse(text)]).toEqual([431, { error: expect.stringMatching(/headers/), code: 'HEAD_TOO_LARGE' }])
  })

  test('because its body stays away is told so', async () => {
    const { socket, until } = await openSocket(rialto.origin)

    socket.write(withLength(BODY).slice(0, -1))

    expect(statuses(await until('REQUEST_TOO_SLOW'))).toEqual([408])
    socket.destroy()
  })

  test('because its body is no chunks is told so', async () => {
    const { socket, until } = await openSocket(rialto.origin)

    socket.write(`${posting('Transfer-Encoding: chunked')}5\r\n{"a":\r\n`)
    socket.write(`5;\n1}\r\n0\r\n\r\n${LIVE}`)

    expect(statuses(await until('not valid HTTP'))).toEqual([400])
    socket.destroy()
  })

  test('because it is TLS is told so at once', async () => {
    const { socket, until } = await openSocket(rialto.origin)

    socket.write(Buffer.from('16030102000100', 'hex'))

    expect(await until('}')).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/)
    socket.destroy()
  })

  test('hides no other request', async () => {
    const fields = [
      'Content-Length: 0\r\nContent-Length: 56',
      'Content-Length: 56\r\nTransfer-Encoding: chunked',
      'Transfer-Encoding: gzip, chunked',
      'Content-Length : 56',
      'X: y\r\n Content-Length: 56',
    ]

    const answers = fields.map(async (field) => {
      const { socket, end } = await openSocket(rialto.origin)
      socket.write(posting(field) + LIVE)
      return statuses(await end())
    })

    expect(await Promise.all(answers)).toEqual(fields.map(() => [400]))
  })
})

describe('a connection', () => {
  test('takes many requests at once, and answers them in their order', async () => {
    upstream.script(chatJson('the first'), chatJson('the second'))
    const { socket, until } = await openSocket(rialto.origin)

    socket.write(
      LIVE + withLength(BODY) + LIVE.replace('live', 'ready') + withLength('{}') + withLength(BODY) + LIVE.replace('GET', 'BREW'),
    )
    const text = await until('METHOD_NOT_ALLOWED')

    expect(statuses(text)).toEqual([200, 200, 200, 400, 200, 405])
    expect(text.match(/"live"|the first|"ready"|the second/g)).toEqual(['"live"', 'the first', '"ready"', 'the second'])
    socket.destroy()
  })

  test.for([
    ['OPTIONS *', 'OPTIONS * HTTP/1.1', 204],
    ['TRACE', 'TRACE /api/v1/health/live HTTP/1.1', 405],
    ['GET *', 'GET * HTTP/1.1', 404],
    ['a proxy’s target', 'GET http://elsewhere.example/api/v1/health/live HTTP/1.1', 200],
    ['HEAD', 'HEAD /api/v1/health/live HTTP/1.1', 200],
    ['CONNECT', 'CONNECT example.org:443 HTTP/1.1', 400],
  ] as const)('understands %s', async ([, line, status]) => {
    const { socket, until } = await openSocket(rialto.origin)

    socket.write(`${line}\r\nHost: h\r\nConnection: close\r\n\r\n`)

    expect(statuses(await until('\r\n\r\n'))).toEqual([status])
    socket.destroy()
  })

  test('is kept by node’s own client, for all that follows an answer, a refusal and a body nobody wants', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const ports = new Set<number | undefined>()
    const go = async (path: string, method: string, body?: string): Promise<number | undefined> => {
      const asking = request(rialto.url + path, { agent, method, headers: { 'content-type': 'application/json' } })
      asking.on('socket', (socket) => socket.once('connect', () => ports.add(socket.localPort)))
      asking.end(body)
      const [response] = await once(asking, 'response')
      for await (const _ of response);
      return response.statusCode
    }

    const came = [
      await go('/health/live', 'GET'),
      await go('/nothing', 'POST', 'x'.repeat(10_000)),
      await go('/chat/completions', 'POST', BODY),
      await go('/models', 'HEAD'),
      await go('/chat/completions', 'OPTIONS'),
      await go('/health/live', 'GET', 'a body'),
    ]

    expect([came, ports.size]).toEqual([[200, 404, 401, 200, 204, 200], 1])
    agent.destroy()
  })

  test('is kept by undici, pipelining', async () => {
    const dispatcher = new UndiciAgent({ connections: 1, pipelining: 4 })
    const headers = { authorization: `Bearer ${rialto.key}`, 'content-type': 'application/json' }
    let connections = 0
    dispatcher.on('connect', () => connections++)

    const came = await Promise.all(
      Array.from({ length: 12 }, async (_, index) => {
        const posts = index % 2 === 0
        const url = posts ? chat : `${rialto.url}/health/live`
        const { statusCode, body } = await undici(url, posts ? { dispatcher, method: 'POST', headers, body: BODY } : { dispatcher })
        return [statusCode, typeof (await body.json())]
      }),
    )

    expect(came).toEqual(Array.from({ length: 12 }, () => [200, 'object']))
    expect(connections).toBe(1)
    await dispatcher.close()
  })

  test.skipIf(!curl)('says to curl that it may send its body, and does not where it will not be read', async () => {
    const ask100 = (seconds: string, ...more: readonly string[]) =>
      run('curl', ['-sSi', '-m', '10', '-H', 'Expect: 100-continue', '--expect100-timeout', seconds, '-d', BODY, chat, ...more])
    const json = ['-H', 'Content-Type: application/json']
    const key = ['-H', `Authorization: Bearer ${rialto.key}`]

    const taken = await ask100('9', ...json, ...key)
    const refused = await ask100('9', ...json)
    const old = await ask100('0.1', ...json, ...key, '-0')

    expect(taken.stdout).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n/)
    expect(refused.stdout).toMatch(/^HTTP\/1\.1 401 Unauthorized\r\n/)
    expect(old.stdout).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*connection: close\r\n/)
  })
})

describe('a caller that leaves', () => {
  test.for(['end', 'resetAndDestroy'] as const)('by %s while its answer is pending stops the work on it', async (leave) => {
    const { until: opened } = gate()
    const count = upstream.received.length + 1
    upstream.script({ head: false, steps: [{ until: opened }] })
    const { hostname, port } = new URL(rialto.origin)
    const socket = connect(Number(port), hostname)
    socket.on('error', () => undefined)
    socket.write(withLength(BODY))
    const { closed } = await upstream.request(count)

    socket[leave]()

    expect(await closed).toBe('left')
    await rialto.printed('"status":499')
    expect((await ask(chat, { key: rialto.key, body: BODY })).status).toBe(200)
  })

  test('a thousand times leaves no request in flight and no connection open', async () => {
    const metric = async (name: string): Promise<number> => {
      const { text } = await ask(`${rialto.url}/metrics`, { key: rialto.key })
      return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1])
    }
    const { hostname, port } = new URL(rialto.origin)
    const before = await metric('nodejs_active_handles')
    const asked = [LIVE, withLength(BODY).slice(0, -1), LIVE.slice(0, 30), LIVE + LIVE, posting('Transfer-Encoding: chunked'), '']
    for (let round = 0; round < 10; round++) {
      const sockets = Array.from({ length: 100 }, () => connect(Number(port), hostname).on('error', () => undefined))
      const closed = sockets.map((socket) => new Promise((resolve) => socket.on('close', resolve)))
      for (const [index, socket] of sockets.entries()) {
        socket.resume().write(asked[index % asked.length] ?? '')
        socket.on('connect', () => (index % 2 === 0 ? socket.end() : socket.resetAndDestroy()))
      }
      await Promise.all(closed)
    }

    // The one that asks is in flight itself, and has a connection.
    await expect.poll(() => metric('rialto_runs_in_flight'), { timeout: 5_000 }).toBe(1)
    await expect.poll(() => metric('nodejs_active_handles'), { timeout: 5_000 }).toBeLessThan(before + 50)
  })
})
