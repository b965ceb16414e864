import { describe, expect, test } from 'vitest'
import type { Envelope } from '../core/call.ts'
import { LABEL_VALUES_MAX, Metrics } from './metrics.ts'

const metrics = (change: { runs?: () => number; queue?: () => number } = {}) =>
  new Metrics({ version: '1.2.3', runsInFlight: change.runs ?? (() => 0), ledgerQueue: change.queue ?? (() => 0) })

const envelope = (change: Partial<Envelope> = {}): Envelope => ({
  requestId: 'r',
  startedAt: 0,
  startedTick: 0,
  endpoint: '/chat/completions',
  caller: null,
  modality: 'text',
  model: 'm',
  modelName: 'M',
  engine: 'local',
  attempts: 1,
  stream: false,
  status: 200,
  code: null,
  internal: null,
  usage: { inputToken: 10, cacheReadToken: 2, outputToken: 5 },
  cost: 0n,
  balance: null,
  requests: null,
  tokens: null,
  deprecation: null,
  finishReasons: [],
  firstByteMs: 20,
  ...change,
})

describe('the metrics', () => {
  test('count every request once, by endpoint, model, status and code, however often they are scraped', async () => {
    const of = metrics()

    of.observe(envelope(), 30)
    of.observe(envelope(), 30)
    of.observe(envelope({ status: 429, code: 'RATE_LIMIT_EXCEEDED', usage: null, firstByteMs: null }), 1)
    await of.text()
    const text = await of.text()

    expect(text).toContain('rialto_requests_total{endpoint="/chat/completions",model="m",status="200",code=""} 2\n')
    expect(text).toContain('rialto_requests_total{endpoint="/chat/completions",model="m",status="429",code="RATE_LIMIT_EXCEEDED"} 1\n')
    expect(text).toContain('rialto_refusals_total{code="RATE_LIMIT_EXCEEDED"} 1\n')
    expect(text).toContain('rialto_tokens_total{model="m",kind="input"} 20\n')
    expect(text).toContain('rialto_tokens_total{model="m",kind="cache_read"} 4\n')
    expect(text).toContain('rialto_tokens_total{model="m",kind="output"} 10\n')
    expect(text).toContain('rialto_request_duration_seconds_count{endpoint="/chat/completions",model="m"} 3\n')
    expect(text).toContain('rialto_request_duration_seconds_bucket{le="0.05",endpoint="/chat/completions",model="m"} 3\n')
    expect(text).toContain('rialto_first_byte_seconds_count{model="m"} 2\n')
  })

  test('do not call a failure of the server a refusal', async () => {
    const of = metrics()

    of.observe(envelope({ status: 503, code: 'MODEL_OFFLINE', usage: null }), 1)
    const text = await of.text()

    expect(text).toContain('status="503",code="MODEL_OFFLINE"} 1\n')
    expect(text).not.toContain('rialto_refusals_total{')
  })

  test('know the state and the tries of every engine', async () => {
    const of = metrics()

    of.engine('local', true)
    of.engine('remote', true)
    of.engine('remote', false)
    of.attempt('local', 'ok')
    of.attempt('remote', 'busy')
    of.attempt('remote', 'busy')
    const text = await of.text()

    expect(text).toContain('rialto_engine_up{engine="local"} 1\n')
    expect(text).toContain('rialto_engine_up{engine="remote"} 0\n')
    expect(text).toContain('rialto_engine_attempts_total{engine="local",outcome="ok"} 1\n')
    expect(text).toContain('rialto_engine_attempts_total{engine="remote",outcome="busy"} 2\n')
  })

  test('read the gauges when scraped, and the process too', async () => {
    let runs = 3
    const of = metrics({ runs: () => runs, queue: () => 7 })

    const before = await of.text()
    runs = 4
    const after = await of.text()

    expect(before).toContain('rialto_runs_in_flight 3\n')
    expect(after).toContain('rialto_runs_in_flight 4\n')
    expect(after).toContain('rialto_ledger_queue 7\n')
    expect(after).toContain(`rialto_build_info{version="1.2.3",node="${process.version}"} 1\n`)
    expect(Number(/^process_resident_memory_bytes (\d+)$/m.exec(after)?.[1])).toBeGreaterThan(10_000_000)
    expect(Number(/^process_cpu_seconds_total ([\d.]+)$/m.exec(after)?.[1])).toBeGreaterThan(0)
  })

  test('never have more series than their bound, and lose no request over it', async () => {
    const of = metrics()
    const asked = LABEL_VALUES_MAX * 2

    for (let i = 0; i < asked; i++) {
      of.observe(envelope({ model: `m${i}` }), 1)
      of.observe(envelope({ model: null, endpoint: `/e${i}`, modality: null, usage: null }), 1)
      of.engine(`e${i}`, true)
    }
    const text = await of.text()

    const counts = [...text.matchAll(/^rialto_requests_total\{.*\} (\d+)$/gm)].map((match) => Number(match[1]))
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(asked * 2)
    expect(new Set([...text.matchAll(/model="([^"]*)"/g)].map((match) => match[1])).size).toBeLessThanOrEqual(LABEL_VALUES_MAX + 2)
    expect(new Set([...text.matchAll(/endpoint="([^"]*)"/g)].map((match) => match[1])).size).toBeLessThanOrEqual(LABEL_VALUES_MAX + 1)
    expect(new Set([...text.matchAll(/engine="([^"]*)"/g)].map((match) => match[1])).size).toBeLessThanOrEqual(LABEL_VALUES_MAX + 1)
    expect(text).toContain('model="other"')
  })

  test('are well-formed: every series after its heading, every line ended, buckets that only grow', async () => {
    const of = metrics()

    for (const seconds of [0, 0.005, 0.0051, 1, 299, 300, 1e6]) of.observe(envelope({ firstByteMs: null }), seconds * 1000)
    const text = await of.text()

    const buckets = [...text.matchAll(/^rialto_request_duration_seconds_bucket\{le="([^"]+)".*\} (\d+)$/gm)].map((match) => [
      match[1],
      Number(match[2]),
    ])
    expect(Object.fromEntries(buckets)).toMatchObject({ '0.005': 2, '0.01': 3, '1': 4, '300': 6, '+Inf': 7 })
    expect(text.endsWith('\n')).toBe(true)
    let family = ''
    for (const line of text.trimEnd().split('\n')) {
      if (line === '') continue
      if (line.startsWith('# TYPE ')) family = line.split(' ')[2] ?? ''
      else if (!line.startsWith('# HELP ')) expect(line).toMatch(new RegExp(`^${family}(_bucket|_sum|_count)?(\\{[^}]*\\})? [0-9.e+-]+$`))
    }
  })

  test('of one server do not mix with those of another in the same process', async () => {
    const one = metrics()
    const other = metrics()

    one.observe(envelope(), 1)

    expect(await other.text()).not.toContain('rialto_requests_total{')
  })

  test('never say whose request it was', async () => {
    const of = metrics()

    of.observe(
      envelope({
        requestId: 'MARKER',
        internal: 'MARKER',
        caller: {
          accountId: 'MARKER',
          keyId: 'MARKER',
          scope: 'ADMIN',
          plan: 'MARKER',
          caps: { period: 'LIFETIME', usd: null, diem: null },
          modelPrivacy: 'ALL',
          models: null,
        },
      }),
      1,
    )

    expect(await of.text()).not.toContain('MARKER')
  })
})
