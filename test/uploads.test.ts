/** Recordings that are transcribed while they are sent: what the engine gets when, and what becomes of uploads that go wrong. */
import { once } from 'node:events'
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http'
import { type AddressInfo, type Socket, connect } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { giveAccount } from './harness/accounts.ts'
import { engineAt, overlay } from './harness/overlay.ts'
import { recording } from './harness/recording.ts'
import { type Rialto, startRialto } from './harness/rialto.ts'
import { ask } from './harness/talk.ts'

const SECOND_NANO = 1_009
const BALANCE_NANO = 1_000_000_000n
/** Two minutes of sound: more than is held of a recording that is read while it comes. */
const RECORDING = recording(120)
const MB = 1024 * 1024

/** A server that a test plays by hand: each request is there from its first byte on. */
class Server {
  readonly requests: {
    bytes: number
    body: Buffer[]
    ended: boolean
    closed: boolean
    request: IncomingMessage
    response: ServerResponse
  }[] = []
  /** What it does with the requests to come. */
  behaves: 'takes' | 'waits' | 'refuses' = 'takes'
  url = ''
  readonly #server = createServer((request, response) => {
    if (request.method !== 'POST') return void response.writeHead(200, { 'content-type': 'application/json' }).end('{"data":[]}')
    const one = { bytes: 0, body: new Array<Buffer>(), ended: false, closed: false, request, response }
    this.requests.push(one)
    response.on('close', () => (one.closed = true))
    if (this.behaves === 'waits') return
    request.on('data', (bytes: Buffer) => {
      one.bytes += bytes.length
      one.body.push(bytes)
      if (this.behaves === 'refuses' && one.bytes > 2 * MB && !response.headersSent) response.writeHead(503).end()
    })
    request.on('end', () => {
      one.ended = true
      if (response.headersSent) return
      if (this.behaves === 'refuses') return response.writeHead(503).end()
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ text: 'Far away.', duration: 120 }))
    })
  })

  async start(): Promise<void> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    // A server that listens on TCP has an address and a port.
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1`
  }

  stop(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }
}

const [far, farther] = [new Server(), new Server()]
let rialto: Rialto
beforeAll(async () => {
  await Promise.all([far.start(), farther.start()])
  const model = (id: string, ...engines: readonly string[]): object => ({
    id,
    type: 'asr',
    created: 1,
    privacy: 'private',
    spec: { name: id, pricing: { per_audio_second: { usd: SECOND_NANO / 1e9, diem: SECOND_NANO / 1e9 } } },
    deployments: engines.map((engine, order) => ({ engine, order, model: engine === 'sandbox' ? 'sandbox-asr' : id })),
  })
  rialto = await startRialto({
    config: overlay(
      [engineAt('far', far.url), engineAt('farther', farther.url)],
      [model('near-ear', 'sandbox'), model('far-ear', 'far'), model('two-ears', 'far', 'farther')],
    ),
  })
})
afterAll(async () => {
  await rialto?.stop()
  far.stop()
  farther.stop()
})

/** An upload by hand: a form in the order in which a test sends it. */
class Sender {
  readonly socket: Socket
  answer = ''
  constructor(key: string, length?: number) {
    const { hostname, port, pathname } = new URL(rialto.url)
    this.socket = connect(Number(port), hostname)
    this.socket.setEncoding('latin1').on('data', (text: string) => (this.answer += text))
    this.socket.on('error', () => undefined)
    const framing = length === undefined ? 'Transfer-Encoding: chunked' : `Content-Length: ${length}`
    const head = [`POST ${pathname}/audio/transcriptions HTTP/1.1`, 'Host: h', `Authorization: Bearer ${key}`, framing]
    this.socket.write(`${head.join('\r\n')}\r\nContent-Type: multipart/form-data; boundary=XX\r\n\r\n`)
  }

  /** Resolves when the system has taken it; in chunks. */
  send(bytes: Buffer | string): Promise<void> {
    const body = Buffer.from(bytes)
    return new Promise((resolve) => {
      this.socket.write(`${body.length.toString(16)}\r\n`)
      this.socket.write(body)
      this.socket.write('\r\n', () => resolve())
    })
  }

  field(name: string, value: string): Promise<void> {
    return this.send(`\r\n--XX\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}`)
  }

  file(bytes: Buffer): Promise<void> {
    return this.send(Buffer.concat([Buffer.from('\r\n--XX\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'), bytes]))
  }

  async end(): Promise<void> {
    await this.send('\r\n--XX--\r\n')
    this.socket.write('0\r\n\r\n')
  }

  /** The answer, once it has come. */
  async whole(): Promise<{ status: number; body: Record<string, unknown> }> {
    await until(() => /\r\n\r\n.*[}]$/s.test(this.answer))
    const [head = '', body = ''] = this.answer.split('\r\n\r\n')
    // The shape is looked at by whoever asks.
    return { status: Number(head.split(' ')[1]), body: JSON.parse(body) as Record<string, unknown> }
  }
}

const senders: Sender[] = []
afterEach(() => {
  for (const sender of senders.splice(0)) sender.socket.destroy()
  for (const server of [far, farther]) {
    server.requests.splice(0)
    server.behaves = 'takes'
  }
})

async function sending(): Promise<{ sender: Sender; left: () => Promise<bigint> }> {
  const { key } = await giveAccount(rialto.home, { balanceNano: BALANCE_NANO })
  const sender = new Sender(key)
  senders.push(sender)
  const left = async (): Promise<bigint> => {
    const { balances } = (await ask(`${rialto.url}/billing/balance`, { key })).json()
    return BigInt(Math.round(Number(balances instanceof Object && 'usd' in balances ? balances.usd : -1) * 1e9))
  }
  return { sender, left }
}

async function until(holds: () => boolean): Promise<void> {
  await expect.poll(holds, { timeout: 10_000, interval: 5 }).toBe(true)
}

describe('a recording whose model is named before it', () => {
  test('reaches another server while it is still being sent, with what is said of it afterwards', async () => {
    const { sender, left } = await sending()
    await sender.field('model', 'far-ear')
    await sender.file(RECORDING.subarray(0, MB))

    await until(() => (far.requests[0]?.bytes ?? 0) > 0.9 * MB)
    const early = far.requests[0]?.ended
    await sender.send(RECORDING.subarray(MB))
    await sender.field('language', 'en')
    await sender.field('response_format', 'verbose_json')
    await sender.end()

    expect(await sender.whole()).toMatchObject({ status: 200, body: { text: 'Far away.', duration: 120, task: 'transcribe' } })
    const [got] = far.requests
    const body = Buffer.concat(got?.body ?? [])
    expect([early, body.includes(RECORDING), got?.request.headers['transfer-encoding']]).toEqual([false, true, 'chunked'])
    expect(body.toString('latin1')).toContain('name="language"\r\n\r\nen\r\n')
    await expect.poll(left).toBe(BALANCE_NANO - BigInt(120 * SECOND_NANO))
  })

  test('is understood by an engine of this machine as if it had come whole', async () => {
    const { sender, left } = await sending()
    await sender.field('model', 'near-ear')
    await sender.file(RECORDING.subarray(0, MB))
    await sender.send(RECORDING.subarray(MB))
    await sender.end()

    const { status, body } = await sender.whole()
    expect([status, body['duration'], String(body['text']).startsWith('One two.')]).toEqual([200, 120, true])
    await expect.poll(left).toBe(BALANCE_NANO - BigInt(120 * SECOND_NANO))
  })

  test('is refused before it has come, where there is no such model', async () => {
    const { sender } = await sending()
    await sender.field('model', 'no-such-model')
    await sender.file(RECORDING.subarray(0, MB))

    expect(await sender.whole()).toMatchObject({ status: 404, body: { code: 'MODEL_NOT_FOUND' } })
  })

  test.for([
    ['a wrong field', (sender: Sender) => sender.field('temperature', 'warm'), 400, 'temperature'],
    ['a second file', (sender: Sender) => sender.file(RECORDING), 400, 'file'],
  ] as const)('is called off for %s after it, and nothing is paid', async ([, go, status, field]) => {
    const { sender, left } = await sending()
    await sender.field('model', 'far-ear')
    await sender.file(RECORDING)
    await until(() => (far.requests[0]?.bytes ?? 0) > MB)
    await go(sender)
    await sender.end()

    expect(await sender.whole()).toMatchObject({ status, body: { issues: [{ path: [field] }] } })
    await until(() => far.requests[0]?.closed === true)
    expect([far.requests[0]?.ended, await left()]).toEqual([false, BALANCE_NANO])
  })

  test('is called off when the caller leaves in the middle of it, and nothing is paid', async () => {
    const { sender, left } = await sending()
    await sender.field('model', 'far-ear')
    await sender.file(RECORDING.subarray(0, MB))
    await until(() => (far.requests[0]?.bytes ?? 0) > 0.5 * MB)
    sender.socket.destroy()

    await until(() => far.requests[0]?.closed === true)
    expect([far.requests[0]?.ended, await left()]).toEqual([false, BALANCE_NANO])
  })

  test('is not taken in faster than the engine takes it', async () => {
    far.behaves = 'waits'
    const { sender } = await sending()
    await sender.field('model', 'far-ear')
    await sender.file(RECORDING.subarray(0, 100_000))
    let taken = 0
    for (let count = 0; count < 22; count++) void sender.send(Buffer.alloc(MB, 1)).then(() => taken++)
    await until(() => far.requests.length === 1)

    // What the systems hold for four sockets, and what Rialto holds; then it stands still.
    let before = -1
    while (taken > before) {
      before = taken
      await new Promise((resolve) => setTimeout(resolve, 300))
    }
    expect(taken).toBeLessThan(20)
    far.requests[0]?.response.writeHead(400).end()
    expect((await sender.whole()).status).toBe(422)
  })

  test('that is too large is refused by the name of the field', async () => {
    const { sender, left } = await sending()
    await sender.field('model', 'far-ear')
    await sender.file(RECORDING.subarray(0, MB))
    for (let count = 0; count < 25; count++) void sender.send(Buffer.alloc(MB, 1))

    expect(await sender.whole()).toMatchObject({ status: 413, body: { code: 'PAYLOAD_TOO_LARGE' } })
    expect([far.requests[0]?.ended, await left()]).toEqual([false, BALANCE_NANO])
  })
})

describe('an engine that fails', () => {
  const sendTo = async (model: string, bytes: Buffer): Promise<Sender> => {
    const { sender } = await sending()
    await sender.field('model', model)
    await sender.file(bytes)
    await sender.end()
    return sender
  }

  test('is followed by another one where all of the recording is still there', async () => {
    far.behaves = 'refuses'
    const small = RECORDING.subarray(0, 100_000)

    const sender = await sendTo('two-ears', small)

    expect((await sender.whole()).status).toBe(200)
    expect(Buffer.concat(farther.requests[0]?.body ?? []).includes(small)).toBe(true)
    // What has come whole goes out under its size.
    expect(farther.requests[0]?.request.headers['content-length']).toBeDefined()
  })

  test('is not followed where a part of it has gone, and the caller is told so', async () => {
    far.behaves = 'refuses'

    const sender = await sendTo('two-ears', RECORDING)

    expect((await sender.whole()).status).toBe(503)
    expect(farther.requests).toEqual([])
  })
})

test('a recording before the name of its model is kept until that has come, and then given to its engine', async () => {
  const { sender } = await sending()
  await sender.file(RECORDING)
  await sender.field('model', 'far-ear')
  await sender.end()

  expect((await sender.whole()).status).toBe(200)
  const [got] = far.requests
  expect(Buffer.concat(got?.body ?? []).includes(RECORDING)).toBe(true)
  expect(Number(got?.request.headers['content-length'])).toBeGreaterThan(RECORDING.length)
})
