import { createServer } from 'node:http'
import type { IncomingHttpHeaders, Server } from 'node:http'
import { afterEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { Envelope } from '../core/call.ts'
import { NO_TRACES, openTraces, parseTraceparent } from './traces.ts'

const value = z.object({
  stringValue: z.string().optional(),
  intValue: z.number().optional(),
  doubleValue: z.number().optional(),
  boolValue: z.boolean().optional(),
  arrayValue: z.object({ values: z.array(z.object({ stringValue: z.string() })) }).optional(),
})
const attributes = z.array(z.object({ key: z.string(), value }))
const span = z.object({
  name: z.string(),
  traceId: z.string(),
  spanId: z.string(),
  parentSpanId: z.string().optional(),
  kind: z.number(),
  startTimeUnixNano: z.string(),
  endTimeUnixNano: z.string(),
  attributes,
  status: z.object({ code: z.number() }),
})
const batch = z.object({
  resourceSpans: z.array(z.object({ resource: z.object({ attributes }), scopeSpans: z.array(z.object({ spans: z.array(span) })) })),
})

type Collector = { url: string; bodies: string[]; paths: string[]; headers: IncomingHttpHeaders[]; server: Server }
const servers: Server[] = []

async function collector(status = 200): Promise<Collector> {
  const bodies: string[] = []
  const paths: string[] = []
  const headers: IncomingHttpHeaders[] = []
  const server = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', (text: string) => {
      body += text
    })
    request.on('end', () => {
      bodies.push(body)
      paths.push(request.url ?? '')
      headers.push(request.headers)
      response.writeHead(status, { 'content-type': 'application/json' }).end('{}')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  servers.push(server)
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return { url: `http://127.0.0.1:${address.port}`, bodies, paths, headers, server }
}

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    server.close()
  }
})

const envelope = (change: Partial<Envelope> = {}): Envelope => ({
  requestId: 'request-1',
  startedAt: 1_700_000_000_000,
  startedTick: 0,
  endpoint: '/chat/completions',
  caller: {
    accountId: 'MARKER',
    keyId: 'MARKER',
    scope: 'INFERENCE',
    plan: 'MARKER',
    caps: { period: 'LIFETIME', usd: null, diem: null },
    modelPrivacy: 'ALL',
    models: null,
  },
  modality: 'text',
  model: 'llama',
  modelName: 'Llama',
  engine: 'local',
  attempts: 2,
  stream: true,
  status: 200,
  code: null,
  internal: 'MARKER',
  usage: { inputToken: 10, cacheReadToken: 90, outputToken: 5 },
  cost: 1n,
  balance: { usd: 1n, diem: 0n },
  requests: null,
  tokens: null,
  deprecation: null,
  finishReasons: [],
  firstByteMs: 250,
  ...change,
})

const options = (otlpEndpoint: string | null) => ({ otlpEndpoint, version: '1.2.3', host: '127.0.0.1', port: 8080 })
const flat = (list: z.infer<typeof attributes>) =>
  Object.fromEntries(
    list.map(({ key, value: of }) => [
      key,
      of.stringValue ?? of.intValue ?? of.doubleValue ?? of.boolValue ?? of.arrayValue?.values.map((one) => one.stringValue),
    ]),
  )
const spansOf = (body: string) =>
  batch.parse(JSON.parse(body)).resourceSpans.flatMap((one) => one.scopeSpans.flatMap((scope) => scope.spans))

describe('a run', () => {
  test('is one server span by the GenAI conventions, with counts and no content, under its caller’s trace', async () => {
    const to = await collector()
    const traces = await openTraces(options(to.url))

    traces.record(envelope({ finishReasons: ['stop'] }), 1500, '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01')
    await traces.close()

    expect(to.paths).toEqual(['/v1/traces'])
    const [sent] = spansOf(to.bodies[0] ?? '')
    expect(sent).toMatchObject({
      name: 'chat llama',
      kind: 2,
      traceId: '0af7651916cd43dd8448eb211c80319c',
      parentSpanId: 'b7ad6b7169203331',
      startTimeUnixNano: '1700000000000000000',
      endTimeUnixNano: '1700000001500000000',
      status: { code: 0 },
    })
    expect(flat(sent?.attributes ?? [])).toEqual({
      'server.address': '127.0.0.1',
      'server.port': 8080,
      'gen_ai.operation.name': 'chat',
      'gen_ai.request.model': 'llama',
      'gen_ai.request.stream': true,
      'gen_ai.provider.name': 'local',
      'gen_ai.response.finish_reasons': ['stop'],
      'gen_ai.response.time_to_first_chunk': 0.25,
      'gen_ai.usage.input_tokens': 100,
      'gen_ai.usage.cache_read.input_tokens': 90,
      'gen_ai.usage.output_tokens': 5,
      'http.route': '/chat/completions',
      'http.response.status_code': 200,
      'rialto.request_id': 'request-1',
      'rialto.attempts': 2,
    })
    const [resource] = batch.parse(JSON.parse(to.bodies[0] ?? '')).resourceSpans
    expect(flat(resource?.resource.attributes ?? [])).toMatchObject({ 'service.name': 'rialto', 'service.version': '1.2.3' })
    expect(to.bodies.join() + JSON.stringify(to.headers)).not.toContain('MARKER')
  })

  test('that failed carries its code, and only a fault of the server is an error', async () => {
    const to = await collector()
    const traces = await openTraces(options(`${to.url}/v1/traces/`))

    traces.record(envelope({ status: 503, code: 'MODEL_OFFLINE', engine: null, usage: null }), 1, null)
    traces.record(envelope({ status: 429, code: 'RATE_LIMIT_EXCEEDED', modality: 'embedding' }), 1, null)
    await traces.close()

    const [offline, limited] = spansOf(to.bodies[0] ?? '')
    expect(to.paths).toEqual(['/v1/traces'])
    expect(offline?.status.code).toBe(2)
    expect(flat(offline?.attributes ?? [])['error.type']).toBe('MODEL_OFFLINE')
    expect(limited?.name).toBe('embeddings llama')
    expect(limited?.status.code).toBe(0)
    expect(flat(limited?.attributes ?? [])['error.type']).toBe('RATE_LIMIT_EXCEEDED')
  })
})

describe('tracing', () => {
  test('costs nothing where there is no endpoint', async () => {
    expect(await openTraces(options(null))).toBe(NO_TRACES)
    expect(NO_TRACES.record(envelope(), 1, null)).toBeUndefined()
  })

  test('tells whether the collector takes its spans', async () => {
    const good = await collector()
    const bad = await collector(400)
    const heard: [boolean, number][] = []
    const onExport = (taken: boolean, spans: number) => heard.push([taken, spans])

    for (const to of [good, bad]) {
      const traces = await openTraces({ ...options(to.url), onExport })
      traces.record(envelope(), 1, null)
      await traces.close()
    }

    expect(heard).toEqual([
      [true, 1],
      [false, 1],
    ])
  })

  test('ends within its limit although the collector never answers', async () => {
    const server = createServer(() => undefined)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    servers.push(server)
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    const traces = await openTraces(options(`http://127.0.0.1:${address.port}`))

    traces.record(envelope(), 1, null)

    await expect(traces.close()).resolves.toBeUndefined()
  })
})

describe('a traceparent', () => {
  test.each([
    '',
    '00-00000000000000000000000000000000-b7ad6b7169203331-01',
    '00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01',
    '00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01',
    'ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more',
    '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331',
  ])('that is malformed is ignored: %j', (header) => {
    expect(parseTraceparent(header)).toBe(null)
  })

  test('of a later version is read as far as this one goes', () => {
    expect(parseTraceparent('01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00-more')).toEqual({
      traceId: '0af7651916cd43dd8448eb211c80319c',
      spanId: 'b7ad6b7169203331',
      traceFlags: 0,
      isRemote: true,
    })
  })
})
