/**
 * What is said stays between the caller and the engine: markers are put wherever content, credentials and addresses
 * can be, in success and in every kind of failure, and then looked for in all that Rialto writes, shows and sends.
 */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { giveKey } from './harness/accounts.ts'
import { filesOf, marker, markersIn } from './harness/markers.ts'
import { embeddingModel, engineAt, overlay, textModel } from './harness/overlay.ts'
import { type Rialto, startRialto } from './harness/rialto.ts'
import { ask, openStream } from './harness/talk.ts'
import { type Received, type Upstream, chatEvents, events, startUpstream } from './harness/upstream.ts'
import { type Case, IDENTITY, REFUSED, SPOILT, WELL, everywhere, simple } from './privacy/privacy.ts'

const OPERATORS_KEY = 'operators-own-key-at-the-engine'

let upstream: Upstream
let rialto: Rialto
let key: string
/** All that went to the collector of traces. */
const traced: string[] = []
const collector = createServer((request, response) => {
  void buffer(request).then((body) => {
    traced.push(JSON.stringify(request.headers), body.toString('utf8'), body.toString('latin1'))
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
  })
})

beforeAll(async () => {
  collector.listen(0, '127.0.0.1')
  await once(collector, 'listening')
  upstream = await startUpstream()
  rialto = await startRialto({
    config: overlay(
      [engineAt('mock', upstream.url, { keyEnv: 'MOCK_KEY' })],
      [
        textModel('bridge', 'mock'),
        embeddingModel('vectors', 'mock'),
        ...SPOILT.map(({ path }, index) => (path === '/embeddings' ? embeddingModel : textModel)(`spoilt-${index}`, 'mock')),
      ],
    ),
    env: {
      MOCK_KEY: OPERATORS_KEY,
      // A port of this machine, since the collector is on it.
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${(collector.address() as AddressInfo).port}`,
    },
  })
  key = await giveKey(rialto.home, { plan: 'operator', balanceNano: 1_000_000_000n })
})
afterAll(async () => {
  await rialto?.stop()
  await upstream?.stop()
  collector.close()
})

const send = ({ path, body, headers }: Case) => ask(rialto.url + path, { key, body, headers: { ...IDENTITY, ...headers } })

/** What an error may say: nothing of what was sent, but for the caller's own name of a field that there is not. */
function expectDiscreet(text: string, headers: Headers, named?: string): void {
  expect(markersIn(JSON.stringify([...headers]))).toEqual([])
  const name = named === undefined ? undefined : marker(named)
  const silent = name === undefined ? text : text.replaceAll(new RegExp(`${name.replaceAll('.', String.raw`\.`)}n*…`, 'g'), '')
  expect(markersIn(silent)).toEqual([])
  if (name !== undefined) expect(text).toMatch(/n{10,64}…/)
  expect(text).not.toMatch(/n{65}/)
}

test('a marker is found in every form that it may have taken', () => {
  for (const before of ['', 'a', 'ab', 'abc']) {
    const text = before + marker('place') + before
    const forms = [
      text,
      encodeURIComponent(text),
      JSON.stringify({ text }),
      Buffer.from(text).toString('base64'),
      Buffer.from(text).toString('base64url'),
    ]
    for (const form of [...forms, Buffer.from(text).toString('hex'), text.toUpperCase()]) expect(markersIn(`${form} `)).not.toEqual([])
  }
  expect(markersIn('nothing of the kind')).toEqual([])
})

describe('an answer', () => {
  test.for(WELL.map((one) => [one.what, one] as const))('of %s has what was said in it, and no header has', async ([, one]) => {
    upstream.script(...(one.answers ?? []))

    const { status, headers } = await send(one)

    expect(status).toBe(200)
    expect(markersIn(JSON.stringify([...headers]))).toEqual([])
  })

  test.for(SPOILT.map((one, index) => [one.what, one, index] as const))('of %s has no word of the upstream', async ([, one, index]) => {
    const count = upstream.received.length
    upstream.script(...(one.answers ?? []))

    const { text, headers } = await send({ ...one, body: { ...Object(one.body), model: `spoilt-${index}` } })
    upstream.forget()

    expect(upstream.received.length).toBeGreaterThan(count)
    for (const error of text.split('\n\n').filter((event) => event.includes('"error"'))) expectDiscreet(error, headers)
    expect(text).not.toContain(marker('upstream-words'))
    expect(markersIn(JSON.stringify([...headers]))).toEqual([])
  })

  test.for(REFUSED.map((one) => [one.what, one] as const))('to %s repeats nothing of it', async ([, one]) => {
    const { status, text, headers } = await send(one)

    expect([status >= 400, status < 500]).toEqual([true, true])
    expectDiscreet(text, headers, one.named)
  })

  test.for([
    ['GET', `/models?type=${marker('type')}`],
    ['GET', `/models/${marker('id')}`],
    ['GET', `/models/traits?type=${marker('type')}`],
    ['GET', `/${marker('path')}`],
    ['DELETE', `/chat/completions?${marker('query')}`],
    ['GET', `/metrics?${marker('query')}`],
  ] as const)('to %s %s repeats nothing of it', async ([method, path]) => {
    const { status, text, headers } = await ask(rialto.url + path, { method, key, headers: IDENTITY })

    expect(status).toBeGreaterThanOrEqual(400)
    expectDiscreet(text, headers)
  })

  test.for([
    ['a wrong key', { authorization: `Bearer ${marker('key')}` }],
    ['another scheme', { authorization: `${marker('scheme')} ${marker('key')}` }],
    ['a wrong x-api-key', { 'x-api-key': marker('x-api-key') }],
  ] as const)('to %s repeats nothing of it', async ([, headers]) => {
    const answer = await ask(`${rialto.url}/chat/completions`, { body: simple(), headers: { ...IDENTITY, ...headers } })

    expect(answer.status).toBe(401)
    expectDiscreet(answer.text, answer.headers)
  })

  test('that its caller does not wait for leaves as little behind', async () => {
    const count = upstream.received.length
    const begun = chatEvents([marker('left')])
      .split('\n\n')
      .slice(0, 2)
      .join('\n\n')
    upstream.script(events(`${begun}\n\n`, { stall: true }))

    const stream = await openStream(`${rialto.url}/chat/completions`, { key, body: everywhere({ stream: true }), headers: IDENTITY })
    await stream.until(marker('left'))
    stream.leave()

    expect(await (await upstream.request(count + 1)).closed).toBe('left')
    await rialto.printed(stream.headers.get('x-request-id') ?? '')
  })
})

/** These look at what all the requests above have left behind, so they come last. */
describe('after all that', () => {
  test('the engine has seen what was said, and nothing of who said it', () => {
    const names = new Set<string>()
    const seen: readonly Received[] = upstream.received

    expect(seen.length).toBeGreaterThan(SPOILT.length)
    for (const { headers, rawHeaders, body } of seen) {
      for (const name of Object.keys(headers)) names.add(name)
      expect(markersIn(rawHeaders.join('\n'))).toEqual([])
      expect([headers.authorization, headers['user-agent']]).toEqual([`Bearer ${OPERATORS_KEY}`, 'rialto'])
      const text = body.toString('utf8')
      for (const place of [
        'user',
        'safety-identifier',
        'metadata',
        'metadata-name',
        'service-tier',
        'include',
        'fallback',
        'embedding-user',
      ])
        expect(text).not.toContain(marker(place))
      expect(text).not.toContain(key)
      for (const [, id = ''] of rialto.logs().matchAll(/"(?:request_id|account|key)":"([\w-]+)"/g)) expect(text).not.toContain(id)
    }
    const sent = ['accept', 'accept-encoding', 'authorization', 'connection', 'content-length', 'content-type', 'host', 'user-agent']
    expect([...names].sort()).toEqual(sent)
    const first = seen[0]?.body.toString('utf8') ?? ''
    for (const place of ['system', 'text', 'image-url', 'tool', 'schema', 'call-arguments', 'tool-result', 'stop'])
      expect(first).toContain(marker(place))
  })

  test('the metrics have numbers only', async () => {
    const { status, text } = await ask(`${rialto.url}/metrics`, { key: rialto.key })

    expect(status).toBe(200)
    expect(text).toContain('rialto_requests_total')
    expect(markersIn(text)).toEqual([])
    expect(text).not.toMatch(/test-[0-9a-f]{16}/)
  })

  test('neither the log, nor any file, nor a trace has a word of it, nor a key, nor an address', async () => {
    const running = filesOf(rialto.home)

    expect([...running.keys()]).toContain('rialto.db-wal')
    expectNothing(running)
    process.kill(rialto.pid, 'SIGTERM')
    expect(await rialto.ended).toBe(0)

    const stopped = filesOf(rialto.home)
    expect(stopped.get('rialto.db')?.length).toBeGreaterThan(10_000)
    expectNothing(stopped)
    expectNothing(new Map([['the log', rialto.logs()]]))
    expect(rialto.logs().split('\n').length).toBeGreaterThan(WELL.length + SPOILT.length + REFUSED.length)
    expect(rialto.logs()).not.toMatch(/"msg":"unknown_error"/)
    expect(traced.length).toBeGreaterThan(0)
    expectNothing(new Map([['the traces', traced.join('\n')]]))
  })

  function expectNothing(texts: ReadonlyMap<string, string>): void {
    for (const [name, text] of texts) {
      expect([name, markersIn(text)]).toEqual([name, []])
      for (const secret of [key, rialto.key, OPERATORS_KEY, '203.0.113.9']) expect([name, text.includes(secret)]).toEqual([name, false])
    }
  }
})
