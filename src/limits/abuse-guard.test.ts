/** Who fails too often waits; nobody else does. */
import { describe, expect, it } from 'vitest'
import type { ErrorCode } from '../core/errors.ts'
import type { RefusalRow } from '../core/store.ts'
import { AbuseGuard, BLOCK_MS, MAX_OFFENDERS, UNSUPPORTED_FEATURE, WINDOW_MS } from './abuse-guard.ts'

const callerOf = (keyId = 'k1', plan = 'default') => ({ accountId: 'a1', keyId, plan })

function setUp() {
  const time = { ms: 0 }
  const rows: RefusalRow[] = []
  const clock = { now: () => 1_000 + time.ms, tick: () => time.ms, id: () => 'x' }
  const guard = new AbuseGuard({ clock, note: (row) => rows.push(row) })
  const failTimes = (count: number, caller = callerOf(), code: ErrorCode = 'INVALID_REQUEST') => {
    for (let i = 0; i < count; i++) guard.count(caller, code)
  }
  return { time, rows, guard, failTimes }
}

describe('a key that fails', () => {
  it('is refused from the 21st failure within 30 s, for 30 s, and starts afresh then', () => {
    const { guard, time, failTimes } = setUp()
    failTimes(20)
    expect(guard.refusal(callerOf())).toBeNull()

    time.ms = WINDOW_MS - 1
    failTimes(1)

    expect(guard.refusal(callerOf())).toMatchObject({
      code: 'RATE_LIMIT_EXCEEDED',
      retryAfterMs: BLOCK_MS,
      message: 'Too many failed attempts (> 20) resulting in a non-success status code. Please wait 30s and try again.',
    })
    time.ms += BLOCK_MS
    expect(guard.refusal(callerOf())).toBeNull()
    failTimes(20)
    expect(guard.refusal(callerOf())).toBeNull()
  })

  it('twenty times within any 30 s is not refused, however long it goes on', () => {
    const { guard, time, failTimes } = setUp()

    for (let i = 0; i < 200; i++) {
      failTimes(1)
      expect(guard.refusal(callerOf())).toBeNull()
      time.ms += WINDOW_MS / 20
    }
  })

  it('while it is refused does not make it longer', () => {
    const { guard, time, failTimes } = setUp()
    failTimes(21)

    time.ms = BLOCK_MS - 1
    failTimes(100, callerOf(), 'RATE_LIMIT_EXCEEDED')
    time.ms = BLOCK_MS

    expect(guard.refusal(callerOf())).toBeNull()
  })

  it('is noted once per block, and no other key suffers', () => {
    const { guard, rows, failTimes } = setUp()

    failTimes(50)

    expect(rows).toEqual([{ at: 1_000, accountId: 'a1', keyId: 'k1', model: '*', kind: 'FAILED_REQUESTS' }])
    expect(guard.refusal(callerOf('k2'))).toBeNull()
  })

  it.each<ErrorCode>(['INSUFFICIENT_BALANCE', 'MODEL_OVERLOADED', 'MODEL_OFFLINE', 'INFERENCE_FAILED', 'UNKNOWN_ERROR', 'REQUEST_TIMEOUT'])(
    'by %s is not to blame',
    (code) => {
      const { guard, failTimes } = setUp()

      failTimes(100, callerOf(), code)

      expect(guard.refusal(callerOf())).toBeNull()
    },
  )

  it('by a limit, a wrong field or a missing name is to blame, by a code of any kind', () => {
    for (const code of ['RATE_LIMIT_EXCEEDED', 'INVALID_REQUEST', 'MODEL_NOT_FOUND', 'PAYLOAD_TOO_LARGE', 'UNAUTHORIZED'] as const) {
      const { guard, failTimes } = setUp()

      failTimes(21, callerOf(), code)

      expect(guard.refusal(callerOf())).not.toBeNull()
    }
  })

  it('and is the operator is never refused', () => {
    const { guard, failTimes } = setUp()
    const operator = callerOf('k1', 'operator')

    failTimes(100, operator)

    expect(guard.refusal(operator)).toBeNull()
  })

  it('is forgotten last of all when there are more than can be remembered', () => {
    const { guard, failTimes } = setUp()
    failTimes(20, callerOf('early'))
    for (let i = 0; i < MAX_OFFENDERS - 1; i++) failTimes(1, callerOf(`k${i}`))
    failTimes(1, callerOf('early'))
    failTimes(1, callerOf('one-more'))

    expect(guard.refusal(callerOf('early'))).not.toBeNull()
  })
})

describe('a key that asks models for features they lack', () => {
  const lacking = { model: 'm', internal: UNSUPPORTED_FEATURE }

  it('is refused from the 11th such request within 30 s, for 30 s, and that is noted with the model', () => {
    const { guard, rows, time } = setUp()
    for (let i = 0; i < 10; i++) guard.count(callerOf(), 'INVALID_REQUEST', lacking)
    expect(guard.refusal(callerOf())).toBeNull()

    guard.count(callerOf(), 'INVALID_REQUEST', lacking)

    expect(guard.refusal(callerOf())).toMatchObject({ code: 'RATE_LIMIT_EXCEEDED', message: expect.stringContaining('does not support') })
    expect(rows).toEqual([{ at: 1_000, accountId: 'a1', keyId: 'k1', model: 'm', kind: 'UNSUPPORTED_FEATURE_REQUESTS' }])
    time.ms = BLOCK_MS
    expect(guard.refusal(callerOf())).toBeNull()
  })

  it('is not refused for them sooner when other requests failed as well', () => {
    const { guard, failTimes } = setUp()

    failTimes(9)
    for (let i = 0; i < 10; i++) guard.count(callerOf(), 'INVALID_REQUEST', lacking)

    expect(guard.refusal(callerOf())).toBeNull()
  })
})

describe('requests without a valid key', () => {
  it('are refused by the address they come from, and only those', () => {
    const { guard } = setUp()

    for (let i = 0; i < 21; i++) guard.countAddress('192.0.2.1', 'AUTHENTICATION_FAILED')

    expect(guard.refusalOfAddress('192.0.2.1')).toMatchObject({ status: 429 })
    expect(guard.refusalOfAddress('192.0.2.2')).toBeNull()
  })

  it('leave no trace in the log of refusals', () => {
    const { guard, rows } = setUp()

    for (let i = 0; i < 50; i++) guard.countAddress('192.0.2.1', 'AUTHENTICATION_FAILED')

    expect(rows).toEqual([])
  })
})
