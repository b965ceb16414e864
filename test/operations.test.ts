/** What operators and their machines rely on: health, metrics, web pages, compression, starts, stops and restarts. */
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { giveKey } from './harness/accounts.ts'
import { charge } from './harness/books.ts'
import { gate } from './harness/gate.ts'
import { engineAt, overlay, textModel } from './harness/overlay.ts'
import { type Rialto, type RialtoOptions, startRialto } from './harness/rialto.ts'
import { ask, dataOf, openSocket, openStream } from './harness/talk.ts'
import { type Upstream, chatEvents, events, startUpstream } from './harness/upstream.ts'

const MODEL = 'bridge'
const STREAM = { model: MODEL, stream: true, messages: [{ role: 'user', content: 'abcdefgh' }] }
const [BEGIN = '', ...REST] = chatEvents(['begun', 'done'])
  .split(/(?<=\n\n)/)
  .slice(1)

let upstream: Upstream
let rialto: Rialto
beforeAll(async () => {
  upstream = await startUpstream()
  rialto = await start()
})
afterAll(() => Promise.all([rialto?.stop(), upstream?.stop()]))

function start(server: object = {}, options: RialtoOptions = {}): Promise<Rialto> {
  const config = overlay([engineAt('mock', upstream.url)], [textModel(MODEL, 'mock')], { 'server.json': server })
  return startRialto({ config, ...options })
}

/** The raw answer of node's own client, which neither decompresses nor hides anything. */
async function raw(
  path: string,
  method: string,
  headers: Record<string, string>,
): Promise<{ headers: Record<string, unknown>; body: Buffer; status: number }> {
  const asking = request(rialto.origin + path, { method, headers })
  asking.end()
  const [response] = await once(asking, 'response')
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk)
  return { headers: response.headers, body: Buffer.concat(chunks), status: response.statusCode }
}

describe('health', () => {
  test('says that it lives and is ready, and what that is made of', async () => {
    const [live, ready] = await Promise.all([ask(`${rialto.url}/health/live`), ask(`${rialto.url}/health/ready`)])

    expect([live.status, live.json()]).toEqual([200, { status: 'live' }])
    expect([ready.status, ready.json()]).toEqual([200, { status: 'ready', checks: { database: 'ok', models: 'ok', server: 'ok' } }])
  })

  test('is not ready while no model is online', async () => {
    const bare = { 'models/test.json': ['text', 'embedding', 'tts', 'asr'].map((type) => ({ id: `sandbox-${type}`, remove: true })) }

    const empty = await startRialto({ config: bare, ready: false })
    try {
      const { status, text } = await ask(`${empty.url}/health/ready`)

      expect([status, JSON.parse(text)]).toEqual([
        503,
        { status: 'not_ready', checks: { database: 'ok', models: 'none is online', server: 'ok' } },
      ])
      expect((await ask(`${empty.url}/health/live`)).status).toBe(200)
    } finally {
      await empty.stop()
    }
  })
})

describe('metrics', () => {
  test('are counted by bounded names, whatever is asked for', async () => {
    for (let i = 0; i < 60; i++) await ask(`${rialto.url}/nothing-${i}`, { key: rialto.key })
    for (let i = 0; i < 60; i++)
      await ask(`${rialto.url}/chat/completions`, { key: rialto.key, body: { ...STREAM, model: `unknown-${i}` } })
    await ask(`${rialto.url}/models/unknown-model`)
    await ask(`${rialto.url}/chat/completions`, { key: rialto.key, body: { ...STREAM, model: 'sandbox-text:status=429' } })
    upstream.script(events(chatEvents(['a'])))
    await ask(`${rialto.url}/chat/completions`, { key: rialto.key, body: STREAM })

    const { text, headers, status } = await ask(`${rialto.url}/metrics`, { key: rialto.key })

    const values = (label: string): string[] =>
      [...new Set([...text.matchAll(new RegExp(`[{,]${label}="([^"]*)"`, 'g'))].map(([, value = '']) => value))].sort()
    expect([status, headers.get('content-type')]).toEqual([200, 'text/plain; version=0.0.4; charset=utf-8'])
    for (const name of [
      'rialto_requests_total',
      'rialto_request_duration_seconds_bucket',
      'rialto_first_byte_seconds_bucket',
      'rialto_tokens_total',
      'rialto_refusals_total',
      'rialto_engine_up',
      'rialto_engine_attempts_total',
      'rialto_runs_in_flight',
      'rialto_ledger_queue',
      'rialto_build_info',
      'process_resident_memory_bytes',
    ])
      expect(text).toMatch(new RegExp(`^${name}[ {]`, 'm'))
    expect(values('model')).toEqual(['', MODEL, 'sandbox-text'])
    expect(values('endpoint')).toEqual(expect.arrayContaining(['/chat/completions', '/models/{id}', 'unmatched']))
    expect(values('endpoint').filter((endpoint) => /nothing|unknown/.test(endpoint))).toEqual([])
    expect(values('engine')).toEqual(expect.arrayContaining(['mock', 'sandbox']))
    expect(text).toMatch(/rialto_requests_total\{endpoint="unmatched",model="",status="404",code="NOT_FOUND"\} 60/)
    expect(text).toMatch(/rialto_engine_attempts_total\{engine="mock",outcome="ok"\} 1/)
  })

  test('are for the operator only', async () => {
    const guest = await giveKey(rialto.home)

    expect((await ask(`${rialto.url}/metrics`)).status).toBe(401)
    expect((await ask(`${rialto.url}/metrics`, { key: guest })).status).toBe(403)
  })
})

describe('an answer', () => {
  const LIST = '/api/v1/models?type=all'
  const unpack = { gzip: gunzipSync, br: brotliDecompressSync }

  test.for([
    ['gzip', 'gzip'],
    ['br', 'br'],
    ['gzip, deflate, br, zstd', 'br'],
    ['gzip;q=0.5, br;q=0', 'gzip'],
    ['GZIP', 'gzip'],
  ] as const)('is compressed for who accepts %s, by %s', async ([accepted, coding]) => {
    const plain = await raw(LIST, 'GET', {})
    const { headers, body } = await raw(LIST, 'GET', { 'accept-encoding': accepted })

    expect([headers['content-encoding'], headers['vary'], headers['content-length']]).toEqual([
      coding,
      'accept-encoding',
      String(body.length),
    ])
    expect(body.length).toBeLessThan(plain.body.length / 4)
    expect(unpack[coding](body).equals(plain.body)).toBe(true)
  })

  test.for(['', 'identity', 'gzip;q=0, br;q=0.0', 'deflate'])('is not compressed for who accepts "%s"', async (accepted) => {
    const { headers, body } = await raw(LIST, 'GET', { 'accept-encoding': accepted })

    expect(headers['content-encoding']).toBeUndefined()
    expect(JSON.parse(body.toString('utf8'))).toMatchObject({ object: 'list' })
  })

  test.for([LIST, '/api/v1/health/live', '/docs', '/docs/rapidoc.js', '/llms-full.txt', '/openapi.json'])(
    'to HEAD of %s is that to GET without its body',
    async (path) => {
      const [get, head] = [await raw(path, 'GET', {}), await raw(path, 'HEAD', {})]

      expect([head.status, head.body.length]).toEqual([200, 0])
      expect(head.headers['content-length']).toBe(String(get.body.length))
      expect(head.headers['content-type']).toBe(get.headers['content-type'])
    },
  )

  test('to HEAD needs a key where GET does', async () => {
    expect((await raw('/api/v1/metrics', 'HEAD', {})).status).toBe(401)
  })

  test('that refuses does not cost a client its connection', async () => {
    const { socket, until } = await openSocket(rialto.origin)

    socket.write('GET /v1/nothing HTTP/1.1\r\nhost: x\r\n\r\n')
    const refused = await until('NOT_FOUND')
    socket.write('POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}')
    await until('AUTHENTICATION_FAILED')
    socket.write('GET /v1/health/live HTTP/1.1\r\nhost: x\r\n\r\n')
    const live = await until('"live"')
    socket.destroy()

    expect(refused).not.toMatch(/connection: close/i)
    expect(live.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 404', 'HTTP/1.1 401', 'HTTP/1.1 200'])
  })

  test('to what is no HTTP is short, and the server goes on', async () => {
    const { socket, end } = await openSocket(rialto.origin)
    socket.write('GET / HTTP/1.1\r\nhost: x\r\nbroken header\r\n\r\n')

    expect(await end()).toMatch(/^HTTP\/1\.1 400 /)
    expect((await ask(`${rialto.url}/health/live`)).status).toBe(200)
  })
})

describe('a stop', () => {
  /** A server that is told to stop while a stream runs, which ends when the gate opens. */
  async function stopping(server: object = {}) {
    const { until, open } = gate()
    const server2 = await start(server)
    upstream.script(events(BEGIN, { until }, { send: REST.join('') }))
    const stream = await openStream(`${server2.url}/chat/completions`, { key: server2.key, body: STREAM })
    await stream.until('begun')
    server2.kill('SIGTERM')
    await server2.printed('"msg":"server_stopping"')
    return { server: server2, stream, open }
  }

  test('lets a stream end, takes no new connection meanwhile, and then ends well', async () => {
    const { server, stream, open } = await stopping()

    const refused = await connection(server.origin)
    open()
    const text = await stream.rest()

    expect(refused).toBe('ECONNREFUSED')
    expect(dataOf(text).at(-1)).toBe('[DONE]')
    expect(text).toContain('done')
    expect(await server.ended).toBe(0)
    expect(server.logs()).toMatch(/"msg":"server_stopping","signal":"SIGTERM","runs_in_flight":1/)
    expect(server.logs()).toMatch(/"msg":"server_stopped","runs_cut":0/)
    await server.stop()
  })

  test('cuts a stream that takes too long, with an error event, and charges what was delivered', async () => {
    const { server, stream } = await stopping({ shutdownMs: 100 })

    const text = await stream.rest()

    expect(text).toContain('begun')
    expect(text).not.toContain('[DONE]')
    expect(dataOf(text).at(-1)).toMatchObject({ code: 'SHUTTING_DOWN', error: { message: expect.stringMatching(/shutting down/) } })
    expect(await server.ended).toBe(0)
    expect(server.logs()).toMatch(/"msg":"server_stopped","runs_cut":1/)
    expect(server.logs()).toMatch(/"msg":"request"[^\n]*"input_tokens":6,"output_tokens":1,"cost_nano":55/)
    await server.stop()
  })

  test('happens at once when it is asked for again', async () => {
    const { server, stream } = await stopping()

    // Two signals in quick succession are one wish: a terminal and npm both pass on what they get.
    const again = setInterval(() => server.kill('SIGTERM'), 50)

    expect(await server.ended).toBe(1)
    clearInterval(again)
    await expect(stream.rest()).rejects.toThrow()
    await server.stop()
  })

  test('tells who still has a connection that it is not ready, and takes no more work', async () => {
    const { until, open } = gate()
    const server = await start()
    upstream.script(events(BEGIN, { until }, { send: REST.join('') }))
    const { socket, until: came, end } = await openSocket(server.origin)
    const head = (method: string, path: string): string =>
      `${method} /api/v1${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${server.key}\r\ncontent-type: application/json\r\n`
    const body = JSON.stringify(STREAM)
    const asking = `${head('POST', '/chat/completions')}content-length: ${body.length}\r\n\r\n${body}`
    socket.write(asking)
    await came('begun')

    server.kill('SIGTERM')
    await server.printed('"msg":"server_stopping"')
    // Answers come in the order of the requests: this one waits for the stream, and is the last on its connection.
    socket.write(`${head('GET', '/health/ready')}\r\n${asking}`)
    open()
    const text = await end()

    expect(text).toContain('[DONE]')
    expect(text).toContain('{"status":"not_ready","checks":{"database":"ok","models":"ok","server":"stopping"}}')
    expect(text.split('HTTP/1.1 ')).toHaveLength(3)
    expect(text.split('connection: close')).toHaveLength(2)
    expect(await server.ended).toBe(0)
    await server.stop()
  })

  /** How a connection fails, or `connected`. */
  async function connection(origin: string): Promise<string> {
    const { hostname, port } = new URL(origin)
    const socket = connect(Number(port), hostname)
    return new Promise((resolve) => {
      socket.on('connect', () => resolve('connected'))
      socket.on('error', (error) => resolve('code' in error ? String(error.code) : error.message))
    })
  }
})

describe('a restart', () => {
  test('keeps the key that was shown once, the accounts, and what they have left', async () => {
    const home = await mkdtemp(join(tmpdir(), 'rialto-kept-'))
    const env = { RIALTO_ADMIN_KEY: '' }
    const keyIn = (logs: string): string | undefined => /Admin key\s+(\S+)/.exec(logs)?.[1]
    const balance = async (server: Rialto, key: string): Promise<number> => {
      upstream.script(events(chatEvents(['a'])))
      const { status, headers } = await ask(`${server.url}/chat/completions`, { key, body: STREAM })
      expect(status).toBe(200)
      return Math.round(Number(headers.get('x-venice-balance-usd')) * 1e9)
    }
    try {
      const first = await start({}, { home, env })
      const shown = keyIn(first.logs()) ?? ''
      const guest = await giveKey(home, { balanceNano: 1_000_000_000n })
      const before = [await balance(first, guest), await balance(first, guest), await balance(first, shown)]
      expect(await first.stop()).toBe(0)
      const second = await start({}, { home, env })
      const after = [await balance(second, guest), await balance(second, shown)]

      expect(shown).toMatch(/^rialto_[\w-]{40,}$/)
      expect(keyIn(second.logs())).toBeUndefined()
      expect(second.logs()).not.toContain(shown)
      expect((await ask(`${second.url}/metrics`, { key: shown })).status).toBe(200)
      const [wealth = 0, next = 0] = before
      const price = wealth - next
      expect([wealth, price > 0, before[2]]).toEqual([1_000_000_000, true, 0])
      expect(after).toEqual([wealth - 2 * price, -price])
      expect(await second.stop()).toBe(0)
    } finally {
      await rm(home, { recursive: true, force: true })
    }
  })

  test('after a kill keeps what was charged before it', async () => {
    const home = await mkdtemp(join(tmpdir(), 'rialto-killed-'))
    try {
      const first = await start({}, { home })
      const guest = await giveKey(home, { balanceNano: 1_000_000_000n })
      upstream.script(events(chatEvents(['a'])))
      const { headers } = await ask(`${first.url}/chat/completions`, { key: guest, body: STREAM })
      const { amount } = await charge(home, headers.get('x-request-id') ?? '')
      first.kill('SIGKILL')
      expect(await first.ended).toBeNull()
      const second = await start({}, { home })
      upstream.script(events(chatEvents(['a'])))
      const after = await ask(`${second.url}/chat/completions`, { key: guest, body: STREAM })

      expect(Math.round(Number(after.headers.get('x-venice-balance-usd')) * 1e9)).toBe(1_000_000_000 - amount)
      await first.stop()
      await second.stop()
    } finally {
      await rm(home, { recursive: true, force: true })
    }
  })
})
