/** Rates are exact, under contention, over time and across a restart. */
import { describe, expect, it } from 'vitest'
import type { RefusalRow, UsageDay } from '../core/store.ts'
import { recordedRequests } from './day-records.ts'
import { Limits, MAX_METERED, RESERVED_OUTPUT_TOKENS } from './limits.ts'
import type { Admission, Ticket } from './limits.ts'
import type { Limit, Plans } from './plan.ts'

const limitOf = (limit: Partial<Limit>): Limit => ({ rpm: null, tpm: null, rpd: null, ...limit })
const PLANS: Plans = {
  default: { text: { S: limitOf({ rpm: 60, tpm: 6_100 }) }, image: limitOf({ rpm: 20 }), createKey: limitOf({ rpm: 3 }) },
  tokens: { text: { S: limitOf({ tpm: 6_100 }) } },
  daily: { text: { S: limitOf({ rpm: 5, rpd: 8 }) } },
  busy: { text: { S: limitOf({ rpm: 5_000 }) } },
  operator: { text: { S: limitOf({ rpm: 1, tpm: 1, rpd: 1 }) } },
}
const MODEL = { id: 'm', modality: 'text', tier: 'S' } as const
const IMAGE = { id: 'i', modality: 'image', tier: null } as const
const caller = (plan = 'default', keyId = 'k1') => ({ accountId: 'a1', keyId, plan })
/** Six hours before midnight, UTC. */
const EVENING = Date.UTC(2026, 2, 4, 18)
const HOUR_MS = 3_600_000

function setUp({ plans = PLANS, requestsOn = async () => 0 }: { plans?: Plans; requestsOn?: () => Promise<number> } = {}) {
  const time = { ms: 0 }
  const rows: RefusalRow[] = []
  const clock = { now: () => EVENING + time.ms, tick: () => time.ms, id: () => 'x' }
  const limits = new Limits({ plans, clock, note: (row) => rows.push(row), requestsOn })
  /** Where no day is limited, decisions come at once. */
  const admit = (who = caller(), model: Parameters<Limits['admit']>[1] = MODEL, input = 0, output = 0): Admission => {
    const admission = limits.admit(who, model, input, output)
    if (admission instanceof Promise) throw new Error('an answer was expected at once')
    return admission
  }
  const times = (count: number, who = caller(), model: Parameters<Limits['admit']>[1] = MODEL) =>
    Array.from({ length: count }, () => admit(who, model)).filter(({ ok }) => ok).length
  return { time, rows, limits, admit, times }
}

function ticketOf(admission: Admission): Ticket {
  if (!admission.ok) throw admission.failure
  return admission
}

describe('requests per minute', () => {
  it.each([
    ['default', 60],
    ['busy', 5_000],
  ])('are admitted exactly as many at once as the plan %s says, of ten times as many', (plan, limit) => {
    const { times } = setUp()

    expect(times(limit * 10, caller(plan))).toBe(limit)
  })

  it('come back when 60 s have passed since each, to the millisecond', () => {
    const { admit, time, times } = setUp()
    times(30)
    time.ms = 30_000.5
    times(30)

    time.ms = 59_999.9
    const early = admit().ok
    time.ms = 60_000
    const due = times(100)
    time.ms = 90_000
    const next = admit().ok

    expect([early, due, next]).toEqual([false, 30, false])
  })

  it('are counted for each key and each model on its own', () => {
    const { times } = setUp()

    const counts = ['k1', 'k2'].flatMap((key) => [IMAGE, { ...IMAGE, id: 'j' }].map((model) => times(30, caller('default', key), model)))

    expect(counts).toEqual([20, 20, 20, 20])
  })

  it('that are refused cost nothing, so asking too often does not lock anybody out', () => {
    const { times, time, admit } = setUp()
    times(500)

    time.ms = 60_000

    expect(admit().ok).toBe(true)
  })

  it('of an account are limited for actions, too, whichever of its keys acts', () => {
    const { limits } = setUp()

    const made = ['k1', 'k2', 'k1', 'k2'].map((key) => limits.admitAction(caller('default', key), 'createKey').ok)

    expect(made).toEqual([true, true, true, false])
    expect(limits.admitAction({ ...caller(), accountId: 'a2' }, 'createKey').ok).toBe(true)
    expect(limits.admitAction(caller('operator'), 'createKey')).toMatchObject({ ok: true, requests: null })
    expect(limits.admitAction(caller(), 'videoRetrieve').ok).toBe(true)
  })
})

describe('tokens per minute', () => {
  it('are taken by the estimate and corrected by what was used', () => {
    const { limits, admit } = setUp()
    const ticket = ticketOf(admit(caller('tokens'), MODEL, 1_000))

    limits.settle(ticket, 400)

    expect(admit(caller('tokens'), MODEL, 5_701).ok).toBe(false)
    expect(admit(caller('tokens'), MODEL, 5_700).ok).toBe(true)
  })

  it('are reserved for the answer as well: what was asked for, and a modest number at most', () => {
    const { admit } = setUp()

    const [short, long] = [admit(caller('tokens'), MODEL, 100, 50), admit(caller('tokens', 'k2'), MODEL, 100, 131_072)]

    expect(short).toMatchObject({ tokens: { remaining: 6_100 - 150 } })
    expect(long).toMatchObject({ tokens: { remaining: 6_100 - 100 - RESERVED_OUTPUT_TOKENS } })
  })

  it('of one ticket are corrected once', () => {
    const { limits, admit } = setUp()
    const ticket = ticketOf(admit(caller('tokens'), MODEL, 6_100))

    limits.settle(ticket, 5_000)
    limits.settle(ticket, 0)

    expect(admit(caller('tokens'), MODEL, 1_101).ok).toBe(false)
    expect(admit(caller('tokens'), MODEL, 1_100).ok).toBe(true)
  })

  it('of one request may be more than a minute allows, when nothing was used lately', () => {
    const { admit } = setUp()

    expect(admit(caller('tokens'), MODEL, 50_000).ok).toBe(true)
    expect(admit(caller('tokens'), MODEL, 1).ok).toBe(false)
  })

  it('are not taken from a request that has no request left, and the other way round', () => {
    const noRequest = setUp({ plans: { default: { text: { S: limitOf({ rpm: 1, tpm: 6_100 }) } } } })
    const noToken = setUp()
    noRequest.admit()
    noToken.admit(caller(), MODEL, 6_099)

    expect(noRequest.admit(caller(), MODEL, 100)).toMatchObject({ ok: false, kind: 'RPM', tokens: { remaining: 6_100 } })
    expect(noToken.admit(caller(), MODEL, 2)).toMatchObject({ ok: false, kind: 'TPM', requests: { remaining: 59 } })
  })

  it('that a run used after its minute was over are counted when it ends', () => {
    const { limits, admit, time } = setUp()
    const ticket = ticketOf(admit(caller('tokens'), MODEL, 100))

    time.ms = 200_000
    limits.settle(ticket, 6_200)

    expect(admit(caller('tokens'), MODEL, 1)).toMatchObject({ ok: false, retryAfterMs: 61_000 })
  })
})

describe('requests per day', () => {
  const daily = caller('daily')

  it('begin again at 00:00 UTC, and until then are refused with the time that is left', async () => {
    const { limits, time } = setUp({ requestsOn: async () => 6 })
    await limits.admit(daily, MODEL, 0)
    const second = limits.admit(daily, MODEL, 0)
    const third = limits.admit(daily, MODEL, 0)
    time.ms = 6 * HOUR_MS
    const tomorrow = limits.admit(daily, MODEL, 0)

    expect(second).toMatchObject({ ok: true, requests: { limit: 8, remaining: 0, resetMs: 6 * HOUR_MS } })
    expect(third).toMatchObject({ ok: false, kind: 'RPD', retryAfterMs: 6 * HOUR_MS, requests: { limit: 8, remaining: 0 } })
    expect(third).toMatchObject({ failure: { message: expect.stringContaining('8 requests per UTC day (RPD)') } })
    expect(tomorrow).toMatchObject({ ok: true, requests: { limit: 5, remaining: 4 } })
  })

  it('are exact when many come at once before the records were read, which happens once', async () => {
    let reads = 0
    const { limits } = setUp({
      plans: { daily: { text: { S: limitOf({ rpd: 8 }) } } },
      async requestsOn() {
        reads++
        return 3
      },
    })

    const attempts = await Promise.all(Array.from({ length: 80 }, () => limits.admit(daily, MODEL, 0)))

    expect([attempts.filter(({ ok }) => ok).length, reads]).toEqual([5, 1])
  })

  it('are counted by this process alone while the records are away, and by the records when they are back', async () => {
    let away = true
    const { limits, time } = setUp({
      async requestsOn() {
        if (away) throw new Error('away')
        return 7
      },
    })
    const first = await limits.admit(daily, MODEL, 0)
    const second = limits.admit(daily, MODEL, 0)
    away = false
    time.ms = 1_000
    const third = await limits.admit(daily, MODEL, 0)
    const fourth = limits.admit(daily, MODEL, 0)

    expect(first.ok).toBe(true)
    expect(second).toMatchObject({ ok: true })
    expect([third.ok, fourth]).toMatchObject([true, { ok: false, kind: 'RPD' }])
  })

  it('are what the records say, each request once however many rows it has', async () => {
    const row = (more: Partial<UsageDay>): UsageDay => ({
      day: 3,
      keyId: 'k1',
      model: 'm',
      modality: 'text',
      unit: 'inputToken',
      currency: 'USD',
      count: 9,
      amount: 9n,
      requests: 4,
      ...more,
    })
    const asked: unknown[] = []
    const recorded = recordedRequests({
      async usageDays(...given) {
        asked.push(given)
        return [row({}), row({ unit: 'outputToken', requests: 5 }), row({ keyId: 'k2', requests: 90 }), row({ model: 'n', requests: 90 })]
      },
    })

    expect([await recorded({ accountId: 'a1', keyId: 'k1' }, 'm', 3), asked]).toEqual([5, [['a1', 3, 3]]])
  })
})

describe('an admission', () => {
  it('says where the caller stands, this request counted', () => {
    const { admit } = setUp()

    expect(admit(caller(), MODEL, 600)).toMatchObject({
      requests: { limit: 60, remaining: 59, resetMs: 60_000 },
      tokens: { limit: 6_100, remaining: 5_500, resetMs: 61_000 },
    })
  })

  it('that is refused says so too, names the limit, and is true about when to come back', () => {
    const { admit, times, time } = setUp()
    times(60)

    const refused = admit()
    time.ms = refused.ok ? 0 : refused.retryAfterMs

    expect(refused).toMatchObject({ kind: 'RPM', retryAfterMs: 60_000, requests: { limit: 60, remaining: 0 }, tokens: { limit: 6_100 } })
    expect(refused).toMatchObject({
      failure: { code: 'RATE_LIMIT_EXCEEDED', message: expect.stringMatching(/60 requests per minute \(RPM\)/) },
    })
    expect(admit().ok).toBe(true)
  })

  it('that is refused is noted, with numbers and names only', () => {
    const { rows, times } = setUp()
    times(61)

    expect(rows).toEqual([{ at: EVENING, accountId: 'a1', keyId: 'k1', model: 'm', kind: 'RPM' }])
  })

  it('has no limit for the operator, nor where the plan names none', () => {
    const { admit, times } = setUp()

    expect(times(1_000, caller('operator'))).toBe(1_000)
    expect(times(1_000, caller(), { ...MODEL, modality: 'video' })).toBe(1_000)
    expect(admit(caller('operator'))).toMatchObject({ requests: null, tokens: null })
  })

  it.each(['pertner', 'toString'])('takes the default plan for an account whose plan %s is not in the configuration', (plan) => {
    expect(setUp().times(100, caller(plan))).toBe(60)
  })
})

describe('the memory of limits', () => {
  it('is bounded, forgets who is at rest first, and keeps the strain on who is not', () => {
    const { admit, times, time } = setUp()
    times(100, caller('default', 'busy'))
    times(100, caller('default', 'resting'))
    for (let i = 2; i < MAX_METERED; i++) admit(caller('default', `k${i}`))
    time.ms = 60_000
    times(60, caller('default', 'busy'))

    for (let i = 0; i < 1_000; i++) admit(caller('default', `new${i}`))

    expect(admit(caller('default', 'busy')).ok).toBe(false)
  })
})
