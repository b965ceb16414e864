import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { fail } from '../core/errors.ts'
import { FrameError, FrameReader, frameOf } from './process-frames.ts'
import type { Message } from './process-frames.ts'
import { EngineProcess, bareEnvironment } from './process.ts'
import type { ProcessOptions } from './process.ts'

const LONG_MS = 10_000
const SHORT_MS = 120

const open: EngineProcess[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((child) => child.close()))
})

function child(mode: string, different: Partial<ProcessOptions> = {}): EngineProcess {
  const made = new EngineProcess({
    script: new URL('./process-child.fixture.ts', import.meta.url),
    args: [mode, 'model.gguf'],
    env: bareEnvironment({ ...process.env, SECRET_KEY: 'sk-1' }),
    startMs: LONG_MS,
    failure: (reason) =>
      reason === 'bad_file' ? fail('MODEL_OFFLINE', { internal: 'bad_file' }) : fail('INFERENCE_FAILED', { internal: reason }),
    ...different,
  })
  open.push(made)
  return made
}

const never = (): AbortSignal => new AbortController().signal
const limits = { signal: never(), silentMs: LONG_MS }

async function ready(mode = 'good', different: Partial<ProcessOptions> = {}): Promise<EngineProcess> {
  const made = child(mode, different)
  await made.ensureReady(never())
  return made
}

describe('a child', () => {
  test('is started once for all who wait for it, and answers with bytes', async () => {
    const one = child('slow')
    const states = [one.state]

    const waits = Array.from({ length: 50 }, () => one.ensureReady(never()))
    states.push(one.state)
    await Promise.all(waits)
    const { value, bytes } = await one.call('echo', { a: ['ü'] }, { ...limits, bytes: Buffer.from([1, 2, 255]) })

    expect([...states, one.state]).toEqual(['stopped', 'starting', 'ready'])
    expect(value).toEqual({ a: ['ü'] })
    expect([...(bytes ?? [])]).toEqual([1, 2, 255])
  })

  test('sees of the environment only what is meant for it', async () => {
    const one = await ready()

    expect(one.info).toMatchObject({ file: 'model.gguf', env: expect.arrayContaining(['PATH']) })
    expect(JSON.stringify(one.info)).not.toMatch(/HOME|SECRET/)
  })

  test('sends its parts in order and then its end', async () => {
    const one = await ready()
    const parts: unknown[] = []

    const { value } = await one.call('count', 1000, { ...limits, onPart: (part) => parts.push(part) })

    expect(parts).toEqual(Array.from({ length: 1000 }, (_, at) => at))
    expect(value).toBe('counted')
  })

  test('that refuses is believed its reason; of a defect nothing but that there was one is told', async () => {
    const one = await ready()

    await expect(one.call('refuse', null, limits)).rejects.toMatchObject({ internal: 'too_long' })
    await expect(one.call('defect', 'x', limits)).rejects.toMatchObject({ code: 'INFERENCE_FAILED', internal: 'defect' })
    expect(one.state).toBe('ready')
  })

  test('that crashes at its start refuses all who wait, and is left alone for longer each time', async () => {
    const one = child('crash')

    const ends = await Promise.allSettled([one.ensureReady(never()), one.ensureReady(never())])
    await expect(one.ensureReady(never())).rejects.toMatchObject({ internal: 'engine_start_failed' })

    expect(ends).toMatchObject(
      [0, 1].map(() => ({ status: 'rejected', reason: { code: 'MODEL_OFFLINE', internal: 'engine_start_failed' } })),
    )
    expect(one.state).toBe('backing-off')
    await expect(one.ensureReady(never())).rejects.toMatchObject({ internal: 'engine_backing_off', retryAfterMs: 500 })
  })

  test('that cannot open its file says so, also while it is left alone', async () => {
    const one = child('bad')

    for (let time = 0; time < 4; time++) await expect(one.ensureReady(never())).rejects.toMatchObject({ internal: 'bad_file' })
  })

  test('that does not become ready in time is killed', async () => {
    const one = child('mute', { startMs: SHORT_MS })

    await expect(one.ensureReady(never())).rejects.toMatchObject({ internal: 'engine_start_timeout' })
    expect(one.pid).toBeNull()
  })

  test.for(['start', 'call'])('that writes garbage at its %s is killed with one failure', async (when) => {
    const one = when === 'start' ? child('garbage') : await ready()

    const end = when === 'start' ? one.ensureReady(never()) : one.call('garbage', null, limits)

    await expect(end).rejects.toMatchObject({ internal: 'engine_garbage' })
  })

  test('that dies in the middle ends each call it held in one failure, and the next one finds a new child', async () => {
    const one = await ready()
    const before = one.pid
    const parts: unknown[] = []

    const others = [1, 2, 3].map(() => one.call('until-left', null, limits))
    const ends = await Promise.allSettled([one.call('crash', null, { ...limits, onPart: (part) => parts.push(part) }), ...others])
    await one.ensureReady(never())

    expect(ends).toMatchObject(
      [0, 1, 2, 3].map(() => ({ status: 'rejected', reason: { code: 'INFERENCE_FAILED', internal: 'engine_died' } })),
    )
    expect(parts).toEqual(['before'])
    expect(one.pid).not.toBe(before)
    expect(await one.call('echo', 1, limits)).toMatchObject({ value: 1 })
  })

  test('that hangs is killed after its time of silence, and one that works is not', async () => {
    const one = await ready()

    const worked = await one.call('work', null, { ...limits, silentMs: SHORT_MS })
    const hung = one.call('hang', null, { ...limits, silentMs: SHORT_MS })

    expect(worked.value).toBe('worked')
    await expect(hung).rejects.toMatchObject({ code: 'REQUEST_TIMEOUT', internal: 'engine_hung' })
    await one.ensureReady(never())
    expect(await one.call('echo', 1, limits)).toMatchObject({ value: 1 })
  })

  test('is told when a caller leaves, who waits for nothing', async () => {
    const one = await ready()
    const left = new AbortController()
    const parts: unknown[] = []

    const call = one.call('until-left', null, {
      ...limits,
      signal: left.signal,
      onPart(part) {
        parts.push(part)
        left.abort()
      },
    })

    await expect(call).rejects.toMatchObject({ internal: 'caller_left' })
    expect(parts).toEqual(['before'])
    while (one.busy > 0) await one.call('echo', null, limits)
    expect(one.state).toBe('ready')
  })

  test('that does not stop although its caller left is killed', async () => {
    const one = await ready()
    const left = new AbortController()
    const before = one.pid

    const call = one.call('hang', null, { silentMs: SHORT_MS, signal: left.signal, onPart: () => left.abort() })
    await expect(call).rejects.toMatchObject({ internal: 'caller_left' })
    const other = one.call('until-left', null, limits)

    await expect(other).rejects.toMatchObject({ internal: 'engine_died' })
    await one.ensureReady(never())
    expect(one.pid).not.toBe(before)
  })

  test('goes on starting for the others when one of them leaves', async () => {
    const one = child('slow')
    const left = new AbortController()

    const stays = one.ensureReady(never())
    const leaves = one.ensureReady(left.signal)
    left.abort()

    await expect(leaves).rejects.toMatchObject({ internal: 'caller_left' })
    await stays
    expect(one.state).toBe('ready')
  })

  test('that is stopped can be started again; one that is closed cannot', async () => {
    const one = await ready()

    await one.stop()
    const stopped = one.state
    await one.ensureReady(never())
    await one.close()

    expect(stopped).toBe('stopped')
    await expect(one.ensureReady(never())).rejects.toMatchObject({ code: 'SHUTTING_DOWN' })
  })

  test('ends with its parent, also when that is killed', async () => {
    const parent = spawn(process.execPath, ['--no-warnings', new URL('./process-parent.fixture.ts', import.meta.url).pathname], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    const [first] = await once(parent.stdout, 'data')
    const pid = Number(String(first))
    expect(alive(pid)).toBe(true)

    parent.kill('SIGKILL')

    await expect.poll(() => alive(pid), { timeout: LONG_MS }).toBe(false)
  })
})

describe('frames', () => {
  test('come out as they went in, in whatever pieces the channel cuts them', () => {
    const message = fc.tuple(fc.string(), fc.nat(), fc.jsonValue()).map((made): Message => made)
    const sent = fc.array(
      fc.tuple(fc.array(message, { minLength: 1, maxLength: 4 }), fc.option(fc.uint8Array({ minLength: 1, maxLength: 64 }))),
    )

    fc.assert(
      fc.property(sent, fc.integer({ min: 1, max: 40 }), (frames, size) => {
        const bytes = Buffer.concat(frames.flatMap(([messages, tail]) => frameOf(messages, tail)))
        const got: [Message, number[] | null][] = []
        const reader = new FrameReader((one, tail) => got.push([one, tail && [...tail]]))

        for (let at = 0; at < bytes.length; at += size) reader.feed(bytes.subarray(at, at + size))

        const wanted = frames.flatMap(([messages, tail]) =>
          messages.map((one, at) => [JSON.parse(JSON.stringify(one)), at === messages.length - 1 && tail ? [...tail] : null]),
        )
        expect(got).toEqual(wanted)
      }),
    )
  })

  test('that are none are refused without a word of them, and never wait for gigabytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 8, maxLength: 200 }), (bytes) => {
        const reader = new FrameReader(() => undefined)
        try {
          reader.feed(Buffer.from(bytes))
        } catch (error) {
          expect(error).toBeInstanceOf(FrameError)
          expect(String(error)).toBe('FrameError')
        }
      }),
    )
  })
})

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
