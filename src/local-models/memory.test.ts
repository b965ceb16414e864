import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { Failure } from '../core/errors.ts'
import type { Lease, LocalModel, Tenant } from '../core/local-models.ts'
import { Memory } from './memory.ts'

const model = (id: string, memoryBytes: number): LocalModel => ({
  id,
  modality: 'text',
  file: `${id}.gguf`,
  others: {},
  contextTokens: 1024,
  parallel: 1,
  sizeBytes: memoryBytes,
  memoryBytes,
})

type TestTenant = Tenant & { busy: boolean; willing: boolean; asked: number }

const tenant = (busy = false): TestTenant => ({
  busy,
  willing: true,
  asked: 0,
  evict() {
    this.asked++
    return Promise.resolve(this.willing && !this.busy)
  },
})

const never = new AbortController().signal

function world(different: Partial<ConstructorParameters<typeof Memory>[0]> = {}): { memory: Memory; pass: (ms: number) => void } {
  let now = 0
  const memory = new Memory({
    clock: { tick: () => now },
    budgetBytes: () => 100,
    waitMs: 1000,
    idleMs: 0,
    keeps: new Set(),
    ...different,
  })
  return { memory, pass: (ms) => (now += ms) }
}

const codeOf = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error instanceof Failure && error.code)

describe('memory', () => {
  test('is made free by who was used least recently, and by no more than it takes', async () => {
    const { memory, pass } = world()
    const tenants = [tenant(), tenant(), tenant()] as const
    const leases: Lease[] = []
    for (const [index, one] of tenants.entries()) {
      pass(10)
      leases.push(await memory.acquire(model(`m${index}`, 30), one, never))
    }
    pass(10)
    leases[0]?.used()

    await memory.acquire(model('new', 40), tenant(), never)

    expect(tenants.map(({ asked }) => asked)).toEqual([0, 1, 0])
    expect(memory.loaded).toEqual(['m2', 'm0', 'new'])
    expect(memory.usedBytes).toBe(100)
  })

  test('is not taken from a model that something is at work in; who wants it waits until that is over', async () => {
    const { memory } = world()
    const busy = tenant(true)
    const lease = await memory.acquire(model('busy', 80), busy, never)
    let got: Lease | null = null
    const wanted = memory.acquire(model('next', 50), tenant(), never).then((next) => (got = next))
    await new Promise(setImmediate)
    const before = got

    busy.busy = false
    lease.used()
    await wanted

    expect(before).toBeNull()
    expect(busy.asked).toBe(1)
    expect(memory.loaded).toEqual(['next'])
  })

  test('goes to those who ask in their order', async () => {
    const { memory } = world()
    const busy = tenant(true)
    const lease = await memory.acquire(model('busy', 90), busy, never)
    const order: string[] = []
    const waiting = ['large', 'small'].map((id) =>
      memory.acquire(model(id, id === 'large' ? 50 : 10), tenant(true), never).then(() => order.push(id)),
    )
    await new Promise(setImmediate)

    lease.release()
    await Promise.all(waiting)

    expect(order).toEqual(['large', 'small'])
  })

  test('that does not become free in time is refused as such, and at once where nobody shall wait', async () => {
    vi.useFakeTimers()
    try {
      const { memory } = world({ waitMs: 1000 })
      await memory.acquire(model('busy', 90), tenant(true), never)
      const late = codeOf(memory.acquire(model('next', 50), tenant(), never))

      await vi.advanceTimersByTimeAsync(1000)

      expect(await late).toBe('MODEL_AT_CAPACITY')
      const hurried = world({ waitMs: 0 }).memory
      await hurried.acquire(model('busy', 90), tenant(true), never)
      expect(await codeOf(hurried.acquire(model('next', 50), tenant(), never))).toBe('MODEL_AT_CAPACITY')
    } finally {
      vi.useRealTimers()
    }
  })

  test('is no longer waited for by who has left', async () => {
    const { memory } = world()
    const lease = await memory.acquire(model('busy', 90), tenant(true), never)
    const leaving = new AbortController()
    const left = codeOf(memory.acquire(model('gone', 50), tenant(), leaving.signal))
    const next = memory.acquire(model('next', 50), tenant(), never)

    leaving.abort()
    lease.release()

    expect(await left).toBe('INFERENCE_FAILED')
    await next
    expect(memory.loaded).toEqual(['next'])
  })

  test('is looked for elsewhere when a tenant stays, fails, or does not answer', async () => {
    const { memory, pass } = world({ evictMs: 20 })
    const stays = Object.assign(tenant(), { willing: false })
    const fails: Tenant = { busy: false, evict: () => Promise.reject(new Error('its own words')) }
    const hangs: Tenant = { busy: false, evict: () => new Promise<boolean>(() => undefined) }
    const goes = tenant()
    for (const [index, one] of [stays, fails, hangs, goes].entries()) {
      pass(10)
      await memory.acquire(model(`m${index}`, 25), one, never)
    }

    await memory.acquire(model('new', 25), tenant(), never)

    expect(memory.loaded).toEqual(['m0', 'm1', 'm2', 'new'])
  })

  test('of a model that nobody used for a while is given back, unless it is to stay or is at work', async () => {
    const { memory, pass } = world({ idleMs: 60_000, keeps: new Set(['kept']) })
    const [idle, kept, busy, used] = [tenant(), tenant(), tenant(true), tenant()]
    await memory.acquire(model('idle', 10), idle, never)
    await memory.acquire(model('kept', 10), kept, never)
    await memory.acquire(model('busy', 10), busy, never)
    const lease = await memory.acquire(model('used', 10), used, never)
    pass(59_000)
    lease.used()
    pass(2000)

    await memory.sweep()

    expect(memory.loaded).toEqual(['kept', 'busy', 'used'].sort((a, b) => Number(a === 'used') - Number(b === 'used')))
    expect([idle, kept, busy, used].map(({ asked }) => asked)).toEqual([1, 0, 0, 0])
    memory.close()
  })

  test('is counted once for a lease that is released twice', async () => {
    const { memory } = world()
    const lease = await memory.acquire(model('a', 60), tenant(), never)

    lease.release()
    lease.release()

    expect(memory.usedBytes).toBe(0)
  })

  test('that is given out is never more than the budget, whatever comes, goes, works and refuses', async () => {
    const step = fc.oneof(
      fc.record({
        do: fc.constant('acquire' as const),
        bytes: fc.integer({ min: 1, max: 100 }),
        busy: fc.boolean(),
        willing: fc.boolean(),
      }),
      fc.record({ do: fc.constantFrom('release' as const, 'use' as const, 'rest' as const, 'leave' as const), which: fc.nat(20) }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const { memory, pass } = world({ waitMs: 60_000 })
        const held: { lease: Lease; tenant: TestTenant }[] = []
        const leaving: AbortController[] = []
        const all: Promise<unknown>[] = []
        for (const one of steps) {
          pass(1)
          if (one.do === 'acquire') {
            const own = Object.assign(tenant(one.busy), { willing: one.willing })
            const leave = new AbortController()
            leaving.push(leave)
            all.push(
              memory.acquire(model('m', one.bytes), own, leave.signal).then(
                (lease) => held.push({ lease, tenant: own }),
                () => undefined,
              ),
            )
          } else if (one.do === 'leave') leaving[one.which]?.abort()
          else {
            const chosen = held[one.which]
            if (one.do === 'release') chosen?.lease.release()
            else if (chosen) {
              chosen.tenant.busy = one.do === 'use'
              chosen.lease.used()
            }
          }
          await new Promise(setImmediate)
          expect(memory.usedBytes).toBeLessThanOrEqual(100)
        }
        memory.close()
        await Promise.all(all)
      }),
      { numRuns: 100 },
    )
  })
})
