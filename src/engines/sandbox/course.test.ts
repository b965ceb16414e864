/** How a sandbox run goes in time: as ordered, within the limits of the task, and no faster than it is taken. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Failure, isCallerLeft } from '../../core/errors.ts'
import type { TextPart, TextRequest } from '../../core/modalities/text.ts'
import { plain, task } from './text.fixture.ts'
import { sandboxText } from './text.ts'

function start(change: Partial<TextRequest>, signal?: AbortSignal) {
  const parts: TextPart[] = []
  let outcome: unknown = 'running'
  void sandboxText
    .run(task({ ...plain, ...change }, signal), (more) => void parts.push(...more))
    .then(
      () => (outcome = 'finished'),
      (error: unknown) => (outcome = error),
    )
  return { parts, outcome: () => outcome }
}

const noop = (): void => {}

describe('orders', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it('delays the first part and paces the others', async () => {
    const run = start({ sandbox: { delayMs: 500, intervalMs: 20 } })

    await vi.advanceTimersByTimeAsync(499)
    expect(run.parts.length).toBe(0)
    await vi.advanceTimersByTimeAsync(1)
    expect(run.parts.length).toBe(1)
    await vi.advanceTimersByTimeAsync(40)
    expect(run.parts.length).toBe(3)
    await vi.advanceTimersByTimeAsync(60_000)
    expect(run.outcome()).toBe('finished')
    expect(vi.getTimerCount()).toBe(0)
  })

  it('counts the limit anew after every part', async () => {
    const run = start({ sandbox: { delayMs: 29_000, intervalMs: 9_000 } })

    await vi.advanceTimersByTimeAsync(29_000 + 9_000 * 200)

    expect(run.outcome()).toBe('finished')
    expect(run.parts.length).toBeGreaterThan(10)
  })

  it('takes as long for a whole answer as for a streamed one', async () => {
    const streamed = start({})
    await vi.advanceTimersByTimeAsync(0)
    const count = streamed.parts.length
    const run = start({ stream: false, sandbox: { delayMs: 100, intervalMs: 10 } })

    await vi.advanceTimersByTimeAsync(100 + (count - 1) * 10 - 1)
    expect(run.parts.length).toBe(0)
    await vi.advanceTimersByTimeAsync(1)
    expect(run.parts.length).toBe(1)
  })

  it.each([
    [400, 'INVALID_REQUEST'],
    [429, 'MODEL_OVERLOADED'],
    [500, 'INFERENCE_FAILED'],
    [503, 'MODEL_AT_CAPACITY'],
    [504, 'REQUEST_TIMEOUT'],
  ] as const)('fails with %i after the delay, before any part', async (status, code) => {
    const run = start({ sandbox: { status, delayMs: 50 } })

    await vi.advanceTimersByTimeAsync(49)
    expect(run.outcome()).toBe('running')
    await vi.advanceTimersByTimeAsync(1)
    expect(run.outcome()).toMatchObject({ code, status })
    expect(run.parts).toEqual([])
  })

  it('dies after so many parts, streamed or not', async () => {
    const streamed = start({ sandbox: { dieAfter: 3 } })
    const collected = start({ stream: false, sandbox: { dieAfter: 3 } })
    await vi.advanceTimersByTimeAsync(0)

    expect(streamed.parts.length).toBe(3)
    expect(streamed.outcome()).toMatchObject({ code: 'INFERENCE_FAILED', internal: 'sandbox_ordered' })
    expect(collected.parts.length).toBe(0)
    expect(collected.outcome()).toMatchObject({ code: 'INFERENCE_FAILED' })
  })

  it('stalls after so many parts until the limit that then applies', async () => {
    const later = start({ sandbox: { stallAfter: 2 } })
    const atOnce = start({ sandbox: { stallAfter: 0, delayMs: 1000 } })

    await vi.advanceTimersByTimeAsync(9_999)
    expect([later.parts.length, later.outcome()]).toEqual([2, 'running'])
    await vi.advanceTimersByTimeAsync(1)
    expect(later.outcome()).toMatchObject({ code: 'REQUEST_TIMEOUT' })
    await vi.advanceTimersByTimeAsync(19_999)
    expect(atOnce.outcome()).toBe('running')
    await vi.advanceTimersByTimeAsync(1)
    expect(atOnce.outcome()).toMatchObject({ code: 'REQUEST_TIMEOUT' })
  })

  it('keeps the limits of the task: a longer delay or interval is a timeout', async () => {
    const slowStart = start({ sandbox: { delayMs: 31_000 } })
    const slowParts = start({ sandbox: { intervalMs: 10_001 } })

    await vi.advanceTimersByTimeAsync(10_000)
    expect([slowParts.parts.length, slowParts.outcome()]).toMatchObject([1, { code: 'REQUEST_TIMEOUT' }])
    await vi.advanceTimersByTimeAsync(20_000)
    expect([slowStart.parts.length, slowStart.outcome()]).toMatchObject([0, { code: 'REQUEST_TIMEOUT' }])
  })

  it.each([{ delayMs: 1000 }, { intervalMs: 1000 }, { stallAfter: 1 }])(
    'leaves at once when the signal is aborted: %j',
    async (sandbox) => {
      const leaving = new AbortController()
      const run = start({ sandbox }, leaving.signal)
      await vi.advanceTimersByTimeAsync(500)

      leaving.abort()
      await vi.advanceTimersByTimeAsync(0)

      expect(isCallerLeft(run.outcome())).toBe(true)
      expect(vi.getTimerCount()).toBe(0)
    },
  )
})

describe('the sink', () => {
  it('is waited for before anything more is sent', async () => {
    const parts: TextPart[] = []
    let release = noop
    const done = sandboxText.run(task(plain), (more) => {
      parts.push(...more)
      return new Promise<void>((resolve) => (release = resolve))
    })
    await new Promise(setImmediate)
    expect(parts.length).toBe(1)

    release()
    await new Promise(setImmediate)
    expect(parts.length).toBe(2)

    const forever = setInterval(() => release(), 0)
    await done
    clearInterval(forever)
    expect(parts.at(-1)?.type).toBe('end')
  })

  it('ends the run with what it throws', async () => {
    const full = new Failure('INFERENCE_FAILED', { internal: 'full' })

    const run = sandboxText.run(task(plain), () => {
      throw full
    })

    await expect(run).rejects.toBe(full)
  })
})
