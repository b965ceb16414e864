import { describe, expect, it } from 'vitest'
import type { Envelope } from '../core/call.ts'
import type { Ability, Engine } from '../core/engine.ts'
import { type Failure, fail } from '../core/errors.ts'
import type { EmbeddingRequest } from '../core/modalities/embedding.ts'
import type { Deployment, Model } from '../core/model.ts'
import { Breakers } from './breakers.ts'
import { type InvokeRooms, type Outcomes, invoke } from './invoke.ts'

type Run = Ability<'embedding'>['run']

const request: EmbeddingRequest = { inputs: ['a'], dimensions: null }
const part = { index: 0, vector: [1] }

const works: Run = async (_task, sink) => {
  await sink([part])
  return { usage: { inputToken: 1 } }
}
const fails =
  (failure: () => unknown): Run =>
  () =>
    Promise.reject(failure())

const engineOf = (id: string, run: Run, refuses: string | Failure | null = null): Engine => ({
  id,
  privacy: 'private',
  lists: false,
  abilities: { embedding: { run, refuses: () => refuses } },
  probe: () => Promise.resolve({ up: true, models: null }),
  close: () => Promise.resolve(),
})

function given(engines: readonly Engine[]): {
  rooms: InvokeRooms
  outcomes: string[]
  envelope: Envelope
  parts: unknown[]
  go: (signal?: AbortSignal) => Promise<unknown>
} {
  const deployments: Deployment[] = engines.map((engine, order) => ({ engine: engine.id, model: 'm', weight: 1, order }))
  const outcomes: string[] = []
  const clock = { now: () => 0, tick: () => 0, id: () => 'x' }
  const rooms: InvokeRooms = {
    catalog: { deployments: () => deployments, remedy: () => 'start the engine' },
    engines: new Map(engines.map((engine) => [engine.id, engine])),
    breakers: new Breakers(clock, () => undefined),
    waits: { firstByteMs: 1_000, stallMs: 1_000 },
    attempted: (engine: string, outcome: Outcomes) => outcomes.push(`${engine} ${outcome}`),
  }
  // Of envelope and model only what the code under test touches is there.
  const envelope = { engine: null, attempts: 0 } as Envelope
  const model = { id: 'public-model', deployments } as unknown as Model
  const parts: unknown[] = []
  const go = (signal = new AbortController().signal): Promise<unknown> =>
    invoke(rooms, 'embedding', model, request, (more) => void parts.push(...more), signal, envelope)
  return { rooms, outcomes, envelope, parts, go }
}

const codeOf = (run: Promise<unknown>): Promise<string> =>
  run.then(
    () => 'ok',
    (error: Failure) => `${error.code}${error.param ? ` ${error.param}` : ''}`,
  )

describe('failover', () => {
  it.each(['MODEL_OVERLOADED', 'INFERENCE_FAILED', 'MODEL_AT_CAPACITY', 'MODEL_OFFLINE', 'REQUEST_TIMEOUT'] as const)(
    'takes the next deployment on %s when nothing has reached the caller',
    async (code) => {
      const { go, parts, outcomes, envelope } = given([
        engineOf(
          'a',
          fails(() => fail(code)),
        ),
        engineOf('b', works),
      ])

      await go()

      expect(parts).toEqual([part])
      expect(outcomes).toEqual(['a failed', 'b ok'])
      expect([envelope.engine, envelope.attempts]).toEqual(['b', 2])
    },
  )

  it.each(['INVALID_REQUEST', 'TOO_MANY_TOKENS', 'CONTENT_POLICY_VIOLATION'] as const)(
    'is not tried on %s: the request is at fault',
    async (code) => {
      const { go, outcomes } = given([
        engineOf(
          'a',
          fails(() => fail(code)),
        ),
        engineOf('b', works),
      ])

      expect(await codeOf(go())).toBe(code)
      expect(outcomes).toEqual(['a failed'])
    },
  )

  it('is not tried once a part has gone out', async () => {
    const dies: Run = async (_task, sink) => {
      await sink([part])
      throw fail('INFERENCE_FAILED')
    }
    const { go, outcomes, parts } = given([engineOf('a', dies), engineOf('b', works)])

    expect(await codeOf(go())).toBe('INFERENCE_FAILED')
    expect([outcomes, parts]).toEqual([['a failed'], [part]])
  })

  it('stops when the caller has left, and blames nobody', async () => {
    const controller = new AbortController()
    const { go, outcomes } = given([
      engineOf('a', () => {
        controller.abort()
        return Promise.reject(fail('INFERENCE_FAILED'))
      }),
      engineOf('b', works),
    ])

    await expect(go(controller.signal)).rejects.toMatchObject({ internal: 'caller_left' })
    expect(outcomes).toEqual(['a left'])
  })

  it('tells what an engine says about its refusal rather than the name of a field, and holds it against no engine', async () => {
    const why = fail('MODEL_OFFLINE', { say: 'install the program', internal: 'no_program' })
    const one = engineOf('a', works, why)
    const { go, envelope, outcomes, rooms } = given([one, engineOf('b', works, 'dimensions')])

    for (let time = 0; time < 9; time++) await expect(go()).rejects.toBe(why)

    expect(outcomes).toEqual([])
    expect(envelope.attempts).toBe(0)
    expect(rooms.breakers.admits({ engine: 'a', model: 'm', weight: 1, order: 0 })).toBe(true)
    expect(await codeOf(given([one, engineOf('c', works)]).go())).toBe('ok')
  })

  it('passes over an engine that cannot honour a field, and names the field when none can', async () => {
    const picky = engineOf('a', works, 'dimensions')

    const one = given([picky, engineOf('b', works)])
    await one.go()
    const none = given([picky])

    expect(one.outcomes).toEqual(['b ok'])
    expect(await codeOf(none.go())).toBe('INVALID_REQUEST dimensions')
  })

  it('leaves an engine alone for as long as it asked, and tells the caller how long', async () => {
    const { go, outcomes } = given([
      engineOf(
        'a',
        fails(() => fail('MODEL_OVERLOADED', { retryAfterMs: 9_000 })),
      ),
    ])

    await go().catch(() => undefined)
    const second = go()

    await expect(second).rejects.toMatchObject({ code: 'MODEL_OVERLOADED', retryAfterMs: 9_000 })
    expect(outcomes).toEqual(['a failed'])
  })

  it('says what to do when no deployment is there', async () => {
    const { go } = given([])

    await expect(go()).rejects.toMatchObject({ code: 'MODEL_OFFLINE', message: expect.stringContaining('start the engine') })
  })

  it('never hides a defect of our own behind another engine', async () => {
    const { go, outcomes } = given([
      engineOf(
        'a',
        fails(() => new TypeError('x')),
      ),
      engineOf('b', works),
    ])

    await expect(go()).rejects.toBeInstanceOf(TypeError)
    expect(outcomes).toEqual(['a failed'])
  })
})
