import { mkdtempSync, readFileSync, rmSync, openSync, closeSync } from 'node:fs'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { assert, double, property, string } from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Clock } from '../core/clock.ts'
import type { Envelope } from '../core/call.ts'
import { fail } from '../core/errors.ts'
import { Log, FLUSH_BYTES, FLUSH_MS, WAITING_MAX_BYTES } from './log.ts'
import { FIELD_MAX_CHARS } from './log-line.ts'
import { sinkOf } from './log-sink.ts'
import type { LogSink } from './log-sink.ts'

const clock: Clock = { now: () => 1_700_000_000_123, tick: () => performance.now(), id: () => 'id' }

class Paper implements LogSink {
  readonly blocks: string[] = []
  /** How many bytes it takes at a time; 0 is a reader that sleeps. */
  room = Number.POSITIVE_INFINITY
  write(bytes: Uint8Array): number {
    const taken = Math.min(this.room, bytes.length)
    if (taken > 0) this.blocks.push(Buffer.from(bytes.subarray(0, taken)).toString('utf8'))
    return taken
  }
  get text(): string {
    return this.blocks.join('')
  }
  get lines(): Record<string, unknown>[] {
    return this.text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line))
  }
}

const envelope = (change: Partial<Envelope> = {}): Envelope => ({
  requestId: '0123456789abcdef0123456789abcdef',
  startedAt: 1_700_000_000_000,
  startedTick: 0,
  endpoint: '/chat/completions',
  caller: {
    accountId: 'acc_1',
    keyId: 'key_1',
    scope: 'INFERENCE',
    plan: 'paid',
    caps: { period: 'LIFETIME', usd: null, diem: null },
    modelPrivacy: 'ALL',
    models: null,
  },
  modality: 'text',
  model: 'venice-uncensored',
  modelName: 'Venice Uncensored',
  engine: 'local',
  attempts: 1,
  stream: true,
  status: 200,
  code: null,
  internal: null,
  usage: { inputToken: 12, cacheReadToken: 3, outputToken: 34 },
  cost: 98_765_432_109_876_543_210n,
  balance: { usd: 5n, diem: 0n },
  requests: null,
  tokens: null,
  deprecation: null,
  finishReasons: [],
  firstByteMs: 12.34567,
  ...change,
})

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
})
afterEach(() => {
  vi.useRealTimers()
})

describe('a request', () => {
  test('is one JSON line with every number of its envelope, the cost exact to the last digit', () => {
    const paper = new Paper()
    const log = new Log(paper, clock)

    log.request(envelope(), 56.7)
    log.flush()

    expect(paper.text).toContain('"cost_nano":98765432109876543210,')
    expect(paper.lines).toHaveLength(1)
    expect(paper.lines[0]).toMatchObject({
      time: '2023-11-14T22:13:20.056Z',
      level: 'info',
      msg: 'request',
      request_id: '0123456789abcdef0123456789abcdef',
      endpoint: '/chat/completions',
      status: 200,
      account: 'acc_1',
      key: 'key_1',
      model: 'venice-uncensored',
      engine: 'local',
      attempts: 1,
      stream: true,
      input_tokens: 12,
      cache_read_tokens: 3,
      output_tokens: 34,
      first_byte_ms: 12.346,
      duration_ms: 56.7,
    })
  })

  test('that failed says its code and its reason, and nothing of what there was not', () => {
    const paper = new Paper()
    const log = new Log(paper, clock)

    log.request(
      envelope({
        caller: null,
        modality: null,
        model: null,
        engine: null,
        attempts: 0,
        usage: null,
        cost: null,
        firstByteMs: null,
        status: 503,
        code: 'MODEL_OFFLINE',
        internal: 'no engine up',
      }),
      1,
    )
    log.flush()

    expect(paper.lines[0]).toEqual({
      time: '2023-11-14T22:13:20.001Z',
      level: 'error',
      msg: 'request',
      request_id: '0123456789abcdef0123456789abcdef',
      endpoint: '/chat/completions',
      status: 503,
      code: 'MODEL_OFFLINE',
      internal: 'no engine up',
      duration_ms: 1,
    })
  })

  test('is one line that parses, whatever its strings hold', () => {
    assert(
      property(string({ unit: 'binary', maxLength: 300 }), double(), (text, number) => {
        for (const format of ['json', 'text'] as const) {
          const paper = new Paper()
          const log = new Log(paper, clock, format)

          log.request(envelope({ requestId: text, endpoint: text, internal: text, model: text, engine: text, firstByteMs: number }), number)
          log.event('engine_down', { engine: text, why: text })
          log.flush()

          expect(paper.text.match(/\n/g)).toHaveLength(2)
          if (format === 'json') expect(paper.lines[0]?.['request_id']).toBe(Buffer.from(text.slice(0, FIELD_MAX_CHARS)).toString())
        }
      }),
    )
  })

  test('is readable at a terminal', () => {
    const paper = new Paper()
    const log = new Log(paper, clock, 'text')

    log.request(envelope({ cost: 1_500_000n }), 56.7)
    log.event('engine_down', { engine: 'local', why: 'connection refused' })
    log.flush()

    expect(paper.text).toBe(
      '22:13:20.056 200 /chat/completions venice-uncensored via local input_tokens=12 cache_read_tokens=3 output_tokens=34 $0.0015 56.7 ms (first byte 12.346 ms) 0123456789abcdef0123456789abcdef\n' +
        '22:13:20.123 WARN engine_down engine=local why="connection refused"\n',
    )
  })
})

describe('an unknown error', () => {
  const marker = 'MARKER_b1946ac92492d234'

  test.each([
    ['in its message', () => new TypeError(`bad ${marker}`)],
    ['in the message of JSON.parse', () => thrownBy(() => JSON.parse(`{"a": ${marker}`))],
    ['in its name', () => Object.assign(new Error('x'), { name: marker })],
    ['in its code', () => Object.assign(new Error('x'), { code: `ERR ${marker}` })],
    ['in its cause', () => new Error('x', { cause: new SyntaxError(marker) })],
    ['in lines that look like frames', () => new Error(`x\n    at ${marker} (${import.meta.dirname}/${marker}.ts:1:1)`)],
    [
      'in its stack',
      () => Object.assign(new Error('x'), { stack: `Error: ${marker}\n    at ${import.meta.dirname}/${marker.toLowerCase()}.ts:1:1` }),
    ],
    ['as a thrown string', () => marker],
    ['as what a failure tells its caller', () => fail('INVALID_REQUEST', { say: marker, param: marker })],
  ])('with content %s never shows it', (_where, make) => {
    for (const format of ['json', 'text'] as const) {
      const paper = new Paper()
      const log = new Log(paper, clock, format)

      log.unknownError(make(), 'r1')
      log.flush()

      expect(paper.text).toContain('unknown_error')
      expect(paper.text.toLowerCase()).not.toContain(marker.toLowerCase())
    }
  })

  test('says its class, its code, its cause and where in our source it was thrown', () => {
    const paper = new Paper()
    const log = new Log(paper, clock)

    log.unknownError(Object.assign(new RangeError('x', { cause: new TypeError('y') }), { code: 'ECONNRESET' }), 'r1')
    log.flush()

    expect(paper.lines[0]).toMatchObject({
      level: 'error',
      msg: 'unknown_error',
      request_id: 'r1',
      error: 'RangeError ECONNRESET',
      cause: 'TypeError',
    })
    expect(paper.lines[0]?.['at']).toMatch(/^telemetry\/log\.test\.ts:\d+/)
  })

  test('with a message of many megabytes is cheap', () => {
    const paper = new Paper()
    const log = new Log(paper, clock)

    log.unknownError(new Error(`\n    at ${marker}`.repeat(200_000)), null)
    log.flush()

    expect(paper.text.length).toBeLessThan(500)
    expect(paper.text).not.toContain(marker)
  })
})

describe('a line', () => {
  test.each(['json', 'text'] as const)('is ASCII in %s, whatever alphabet a name is in', (format) => {
    const paper = new Paper()
    const log = new Log(paper, clock, format)
    const model = 'modèle-模型-\u{1f600}\u007f'

    log.request(envelope({ model }), 1)
    log.event('engine_found', { engine: 'Größe' })
    log.flush()

    expect(paper.text).toMatch(/^[\n\x20-\x7e]+$/)
    if (format === 'json') expect(paper.lines).toEqual([expect.objectContaining({ model }), expect.objectContaining({ engine: 'Größe' })])
  })
})

describe('the buffer', () => {
  test('is written after 50 ms, or at once when it is a block', () => {
    const paper = new Paper()
    const log = new Log(paper, clock)

    log.event('engine_up', { engine: 'a', models: 1 })
    vi.advanceTimersByTime(FLUSH_MS - 1)
    expect(paper.blocks).toHaveLength(0)
    vi.advanceTimersByTime(1)
    expect(paper.blocks).toHaveLength(1)

    while (paper.blocks.length === 1) log.request(envelope(), 1)
    expect(paper.blocks[1]?.length).toBeGreaterThanOrEqual(FLUSH_BYTES)
    expect(vi.getTimerCount()).toBe(0)
  })

  test('of a reader that takes little at a time loses nothing and keeps the order', () => {
    const paper = new Paper()
    const log = new Log(paper, clock)
    paper.room = 100

    for (let i = 0; i < 200; i++) log.event('store_back', { away_ms: i })
    vi.advanceTimersByTime(FLUSH_MS * 2000)

    expect(paper.lines.map((line) => line['away_ms'])).toEqual(Array.from({ length: 200 }, (_, i) => i))
  })

  test('of a reader that sleeps is bounded, and says how many lines it dropped once the reader wakes', () => {
    const paper = new Paper()
    const log = new Log(paper, clock)
    paper.room = 0
    const count = Math.ceil((WAITING_MAX_BYTES * 2) / 100)

    for (let i = 0; i < count; i++) log.event('store_back', { away_ms: i })
    const { dropped } = log
    paper.room = Number.POSITIVE_INFINITY
    vi.advanceTimersByTime(FLUSH_MS)

    expect(dropped).toBeGreaterThan(0)
    expect(paper.text.length).toBeLessThan(WAITING_MAX_BYTES + FLUSH_BYTES * 2)
    expect(paper.lines.filter((line) => line['msg'] === 'store_back')).toHaveLength(count - dropped)
    expect(paper.lines.filter((line) => line['msg'] === 'log_dropped')).toEqual([expect.objectContaining({ lines: dropped })])
    expect(log.dropped).toBe(0)
  })

  test('is empty after close, and close ends although nobody reads', async () => {
    vi.useRealTimers()
    const paper = new Paper()
    const log = new Log(paper, clock)
    log.event('server_stopped', { runs_cut: 0 })
    await log.close()
    const asleep = new Paper()
    asleep.room = 0
    const stuck = new Log(asleep, clock)
    stuck.event('server_stopped', { runs_cut: 0 })
    await stuck.close()

    expect(paper.lines).toHaveLength(1)
    expect(asleep.blocks).toHaveLength(0)
  })
})

describe('a sink', () => {
  test('of a file gets every byte', () => {
    const folder = mkdtempSync(join(tmpdir(), 'rialto-log-'))
    const fd = openSync(join(folder, 'log'), 'w')
    const bytes = Buffer.alloc(100_000, 'x')

    const taken = sinkOf(fd).write(bytes)

    closeSync(fd)
    expect(taken).toBe(bytes.length)
    expect(readFileSync(join(folder, 'log'))).toEqual(bytes)
    rmSync(folder, { recursive: true })
  })

  test('that can never be written loses the bytes and does not throw', () => {
    expect(sinkOf(987).write(Buffer.from('x'))).toBe(1)
  })

  test.runIf(process.platform === 'linux')(
    'of a pipe that nobody reads takes what fits and never blocks, and the process can end',
    async () => {
      const script = `import { sinkOf } from ${JSON.stringify(join(import.meta.dirname, 'log-sink.ts'))}
      const taken = sinkOf(1).write(Buffer.alloc(4 * 1024 * 1024, 65))
      process.stderr.write(String(taken), () => process.exit(0))`
      const child = spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: ['ignore', 'pipe', 'pipe'] })
      let said = ''
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        said += text
      })

      const [code] = await once(child, 'exit')

      expect(code).toBe(0)
      expect(Number(said)).toBeGreaterThan(0)
      expect(Number(said)).toBeLessThan(4 * 1024 * 1024)
    },
  )
})

function thrownBy(run: () => unknown): unknown {
  try {
    return run()
  } catch (error) {
    return error
  }
}
