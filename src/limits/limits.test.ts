/** Rates are exact, under contention, over time and against a model that a child could follow. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { RefusalRow } from '../core/store.ts'
import { Limits, MAX_METERED } from './limits.ts'
import type { Admission, Ticket } from './limits.ts'
import type { Plans } from './plan.ts'

const PLANS: Plans = {
  default: { text: { S: { rpm: 60, tpm: 6_000 } }, image: { rpm: 20, tpm: null } },
  tokens: { text: { S: { rpm: null, tpm: 6_000 } } },
  operator: { text: { S: { rpm: 1, tpm: 1 } } },
}
const MODEL = { id: 'm', modality: 'text', tier: 'S' } as const
const caller = (plan = 'default', keyId = 'k1') => ({ accountId: 'a1', keyId, plan })

function setUp(plans = PLANS) {
  const time = { ms: 0 }
  const rows: RefusalRow[] = []
  const clock = { now: () => 1_000 + time.ms, tick: () => time.ms, id: () => 'x' }
  return { time, rows, limits: new Limits({ plans, clock, note: (row) => rows.push(row) }) }
}

function ticketOf(admission: Admission): Ticket {
  if (!admission.ok) throw admission.failure
  return admission
}

const admitted = (attempts: Admission[]) => attempts.filter((attempt) => attempt.ok).length

describe('requests per minute', () => {
  it('are admitted exactly as many at once as the plan says, however many come', () => {
    const { limits } = setUp()

    const attempts = Array.from({ length: 544 }, () => limits.admit(caller(), MODEL, 1))

    expect(admitted(attempts)).toBe(60)
  })

  it('come back evenly: 60 a minute is one each second, to the millisecond', () => {
    const { limits, time } = setUp()
    for (let i = 0; i < 60; i++) ticketOf(limits.admit(caller(), MODEL, 1))

    time.ms = 999.9
    const early = limits.admit(caller(), MODEL, 1)
    time.ms = 1_000
    const due = limits.admit(caller(), MODEL, 1)
    const next = limits.admit(caller(), MODEL, 1)

    expect([early.ok, due.ok, next.ok]).toEqual([false, true, false])
  })

  it('do not drift: ten minutes of steady asking admit ten minutes worth, beyond the first burst', () => {
    const { limits, time } = setUp({ default: { image: { rpm: 7, tpm: null } } })
    const attempts: Admission[] = []

    for (time.ms = 0; time.ms <= 600_000; time.ms += 25) attempts.push(limits.admit(caller(), { ...MODEL, modality: 'image' }, 0))

    expect(admitted(attempts)).toBe(7 + 70)
  })

  it('are counted for each key and each model on its own', () => {
    const { limits } = setUp()
    const image = { id: 'i', modality: 'image', tier: null } as const

    const counts = ['k1', 'k2'].flatMap((keyId) =>
      [image, { ...image, id: 'j' }].map((model) =>
        admitted(Array.from({ length: 30 }, () => limits.admit(caller('default', keyId), model, 0))),
      ),
    )

    expect(counts).toEqual([20, 20, 20, 20])
  })

  it('that are refused cost nothing, so asking too often does not lock anybody out', () => {
    const { limits, time } = setUp()
    for (let i = 0; i < 500; i++) limits.admit(caller(), MODEL, 1)

    time.ms = 1_000

    expect(limits.admit(caller(), MODEL, 1).ok).toBe(true)
  })
})

describe('tokens per minute', () => {
  it('are taken by the estimate and corrected by what was used', () => {
    const { limits } = setUp()
    const ticket = ticketOf(limits.admit(caller('tokens'), MODEL, 1_000))

    limits.settle(ticket, 400)

    expect(limits.admit(caller('tokens'), MODEL, 5_601).ok).toBe(false)
    expect(limits.admit(caller('tokens'), MODEL, 5_600).ok).toBe(true)
  })

  it('of one ticket are corrected once', () => {
    const { limits } = setUp()
    const ticket = ticketOf(limits.admit(caller('tokens'), MODEL, 6_000))

    limits.settle(ticket, 5_000)
    limits.settle(ticket, 0)

    expect(limits.admit(caller('tokens'), MODEL, 1_001).ok).toBe(false)
    expect(limits.admit(caller('tokens'), MODEL, 1_000).ok).toBe(true)
  })

  it('used beyond the estimate are a debt of a minute at most', () => {
    const { limits, time } = setUp()
    limits.settle(ticketOf(limits.admit(caller('tokens'), MODEL, 10)), 1_000_000)

    const refused = limits.admit(caller('tokens'), MODEL, 1)
    time.ms = 60_010

    expect(refused).toMatchObject({ ok: false, kind: 'TPM', retryAfterMs: 60_010, tokens: { remaining: 0, resetMs: 120_000 } })
    expect(limits.admit(caller('tokens'), MODEL, 1).ok).toBe(true)
  })

  it('of one request may be more than a minute allows, when nothing was used lately', () => {
    const { limits } = setUp()

    expect(limits.admit(caller('tokens'), MODEL, 50_000).ok).toBe(true)
    expect(limits.admit(caller('tokens'), MODEL, 1).ok).toBe(false)
  })

  it('are not taken from a request that has no request left, and the other way round', () => {
    const { limits } = setUp()
    const noRequest = setUp({ default: { text: { S: { rpm: 1, tpm: 6_000 } } } }).limits
    ticketOf(noRequest.admit(caller(), MODEL, 0))
    ticketOf(limits.admit(caller(), MODEL, 5_999))

    const withoutRequest = noRequest.admit(caller(), MODEL, 100)
    const withoutTokens = limits.admit(caller(), MODEL, 2)

    expect(withoutRequest).toMatchObject({ ok: false, kind: 'RPM', tokens: { remaining: 6_000 } })
    expect(withoutTokens).toMatchObject({ ok: false, kind: 'TPM', requests: { remaining: 59 } })
  })
})

describe('an admission', () => {
  it('says where the caller stands, this request counted', () => {
    const { limits } = setUp()

    const admission = limits.admit(caller(), MODEL, 600)

    expect(admission).toMatchObject({
      requests: { limit: 60, remaining: 59, resetMs: 1_000 },
      tokens: { limit: 6_000, remaining: 5_400, resetMs: 6_000 },
    })
  })

  it('that is refused says so too, names the limit, and is true about when to come back', () => {
    const { limits, time } = setUp()
    for (let i = 0; i < 60; i++) limits.admit(caller(), MODEL, 1)

    const refused = limits.admit(caller(), MODEL, 1)
    time.ms = refused.ok ? 0 : refused.retryAfterMs

    expect(refused).toMatchObject({ kind: 'RPM', retryAfterMs: 1_000, requests: { limit: 60, remaining: 0 }, tokens: { limit: 6_000 } })
    expect(refused).toMatchObject({
      failure: { code: 'RATE_LIMIT_EXCEEDED', message: expect.stringMatching(/60 requests per minute \(RPM\)/) },
    })
    expect(limits.admit(caller(), MODEL, 1).ok).toBe(true)
  })

  it('that is refused is noted, with numbers and names only', () => {
    const { limits, rows } = setUp()
    for (let i = 0; i < 61; i++) limits.admit(caller(), MODEL, 1)

    expect(rows).toEqual([{ at: 1_000, accountId: 'a1', keyId: 'k1', model: 'm', kind: 'RPM' }])
  })

  it('has no limit for the operator, nor where the plan names none', () => {
    const { limits } = setUp()

    for (const [plan, modality] of [
      ['operator', 'text'],
      ['default', 'video'],
    ] as const) {
      const attempts = Array.from({ length: 1_000 }, () => limits.admit(caller(plan), { ...MODEL, modality }, 10_000))
      expect(admitted(attempts)).toBe(1_000)
      expect(attempts[0]).toMatchObject({ requests: null, tokens: null })
    }
  })

  it('takes the default plan for an account whose plan is not in the configuration', () => {
    const { limits } = setUp()

    const attempts = Array.from({ length: 100 }, () => limits.admit(caller('pertner'), MODEL, 1))

    expect(admitted(attempts)).toBe(60)
  })
})

describe('the memory of limits', () => {
  it('is bounded, forgets who is at rest first, and keeps the strain on who is not', () => {
    const { limits, time } = setUp()
    for (let i = 0; i < 100; i++) limits.admit(caller('default', 'busy'), MODEL, 1)
    for (let i = 0; i < 100; i++) limits.admit(caller('default', 'resting'), MODEL, 1)
    for (let i = 2; i < MAX_METERED; i++) limits.admit(caller('default', `k${i}`), MODEL, 1)
    time.ms = 59_999
    limits.admit(caller('default', 'busy'), MODEL, 1)
    for (let i = 0; i < 59; i++) limits.admit(caller('default', 'busy'), MODEL, 1)

    for (let i = 0; i < 1_000; i++) limits.admit(caller('default', `new${i}`), MODEL, 1)

    expect(limits.admit(caller('default', 'busy'), MODEL, 1).ok).toBe(false)
  })
})

describe('against a naive model', () => {
  type Step = { waitMs: number; tokens: number; used: number }
  const steps = fc.array(fc.record({ waitMs: fc.nat(20_000), tokens: fc.nat(3_000), used: fc.nat(9_000) }) satisfies fc.Arbitrary<Step>, {
    maxLength: 60,
  })

  it('every decision and every remaining count is the same', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 7_000 }), steps, (rpm, tpm, given) => {
        const { limits, time } = setUp({ default: { text: { S: { rpm, tpm } } } })
        const requests = new NaiveBucket(BigInt(rpm))
        const tokens = new NaiveBucket(BigInt(tpm))

        for (const step of given) {
          time.ms += step.waitMs
          requests.pass(BigInt(step.waitMs))
          tokens.pass(BigInt(step.waitMs))
          const asked = BigInt(Math.min(step.tokens, tpm))
          const expected = requests.has(1n) && tokens.has(asked)

          const admission = limits.admit(caller(), MODEL, step.tokens)

          expect(admission.ok).toBe(expected)
          if (expected) {
            requests.use(1n)
            tokens.use(asked)
          }
          expect(admission.requests?.remaining).toBe(requests.remaining())
          expect(admission.tokens?.remaining).toBe(tokens.remaining())
          if (admission.ok) {
            limits.settle(admission, step.used)
            tokens.use(BigInt(step.used) - asked)
          }
        }
      }),
      { numRuns: 300 },
    )
  })
})

/** One piece is 60,000 drops, of which `limit` fall each millisecond; big integers, one rule per line. */
class NaiveBucket {
  readonly #limit: bigint
  #drops: bigint

  constructor(limit: bigint) {
    this.#limit = limit
    this.#drops = limit * 60_000n
  }

  pass(ms: bigint): void {
    for (let left = ms; left > 0n; left -= 1_000n) this.#set(this.#drops + this.#limit * (left < 1_000n ? left : 1_000n))
  }

  has(pieces: bigint): boolean {
    return this.#drops >= pieces * 60_000n
  }

  use(pieces: bigint): void {
    this.#set(this.#drops - pieces * 60_000n)
  }

  remaining(): number {
    return this.#drops < 0n ? 0 : Number(this.#drops / 60_000n)
  }

  #set(drops: bigint): void {
    const full = this.#limit * 60_000n
    this.#drops = drops > full ? full : drops < -full ? -full : drops
  }
}
