/**
 * Slows down who sends one wrong request after another, or guesses keys: more than 20 failures of its own doing within
 * 30 s, and it is refused for 30 s. Nothing is kept on disk but the fact, and of addresses not even that.
 */
import { hash, randomBytes } from 'node:crypto'
import type { Caller } from '../core/call.ts'
import type { Clock } from '../core/clock.ts'
import { fail } from '../core/errors.ts'
import type { ErrorCode, Failure } from '../core/errors.ts'
import type { RefusalRow } from '../core/store.ts'
import { isExempt } from './plan.ts'

export const MAX_FAILURES = 20
export const WINDOW_MS = 30_000
export const BLOCK_MS = 30_000
/** How many keys and addresses that failed lately are remembered, each. */
export const MAX_OFFENDERS = 10_000

/** Failures that a caller can stop. Not those for want of money, and none that an engine or this server is to blame for. */
const OWN_DOING: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'INVALID_REQUEST',
  'INVALID_MODEL',
  'TOO_MANY_TOKENS',
  'AUTHENTICATION_FAILED',
  'UNAUTHORIZED',
  'NOT_FOUND',
  'MODEL_NOT_FOUND',
  'METHOD_NOT_ALLOWED',
  'MODEL_SUNSET',
  'PAYLOAD_TOO_LARGE',
  'INVALID_CONTENT_TYPE',
  'CONTENT_POLICY_VIOLATION',
  'RATE_LIMIT_EXCEEDED',
])

type Offender = {
  /** Ticks of the latest failures, a ring: `next` is where the oldest of them is overwritten. */
  readonly failures: number[]
  next: number
  blockedUntil: number
}

export class AbuseGuard {
  readonly #clock: Clock
  readonly #note: (row: RefusalRow) => void
  readonly #keys = new Map<string, Offender>()
  readonly #addresses = new Map<string, Offender>()
  /** New at every start, never kept: the hashes lead back to no address. */
  readonly #salt = randomBytes(16).toString('hex')

  constructor({ clock, note }: { readonly clock: Clock; readonly note: (row: RefusalRow) => void }) {
    this.#clock = clock
    this.#note = note
  }

  /** The refusal of a caller that is blocked at the moment, ready to be thrown, or null. */
  refusal(caller: Caller): Failure | null {
    return this.#refusal(this.#keys.get(caller.keyId))
  }

  /** The same for requests without a valid key, by their remote address. */
  refusalOfAddress(address: string): Failure | null {
    return this.#addresses.size === 0 ? null : this.#refusal(this.#addresses.get(this.#mask(address)))
  }

  /** Counts a failed request. What was refused because of a block does not make it longer. */
  count(caller: Pick<Caller, 'accountId' | 'keyId' | 'plan'>, code: ErrorCode): void {
    if (!OWN_DOING.has(code) || isExempt(caller.plan)) return
    if (!this.#fail(this.#keys, caller.keyId)) return
    this.#note({ at: this.#clock.now(), accountId: caller.accountId, keyId: caller.keyId, model: ANY_MODEL, kind: 'FAILED_REQUESTS' })
  }

  /** Counts a request that came without a valid key. */
  countAddress(address: string, code: ErrorCode): void {
    if (OWN_DOING.has(code)) this.#fail(this.#addresses, this.#mask(address))
  }

  /** True when this failure was the one too many. */
  #fail(offenders: Map<string, Offender>, id: string): boolean {
    const tick = this.#clock.tick()
    const offender = offenders.get(id) ?? { failures: [], next: 0, blockedUntil: 0 }
    if (tick < offender.blockedUntil) return false
    // Last in the map is who failed last; the first makes room.
    offenders.delete(id)
    if (offenders.size >= MAX_OFFENDERS) dropFirst(offenders)
    offenders.set(id, offender)
    const oldest = offender.failures[offender.next]
    offender.failures[offender.next] = tick
    offender.next = (offender.next + 1) % MAX_FAILURES
    if (oldest === undefined || tick - oldest >= WINDOW_MS) return false
    offender.failures.length = 0
    offender.next = 0
    offender.blockedUntil = tick + BLOCK_MS
    return true
  }

  #refusal(offender: Offender | undefined): Failure | null {
    if (!offender) return null
    const retryAfterMs = offender.blockedUntil - this.#clock.tick()
    if (retryAfterMs <= 0) return null
    return fail('RATE_LIMIT_EXCEEDED', {
      say: `More than ${MAX_FAILURES} requests failed within ${WINDOW_MS / 1000} s. Wait ${Math.ceil(retryAfterMs / 1000)} s, correct the request, then try again`,
      retryAfterMs,
      internal: 'FAILED_REQUESTS',
    })
  }

  #mask(address: string): string {
    return hash('sha256', this.#salt + address, 'base64url')
  }
}

/** What a refusal says that is not about one model. */
const ANY_MODEL = '*'

function dropFirst(offenders: Map<string, Offender>): void {
  for (const id of offenders.keys()) {
    offenders.delete(id)
    return
  }
}
