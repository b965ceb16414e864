/**
 * Slows down who sends one wrong request after another, or guesses keys: more than 20 failures of its own doing within
 * 30 s, or more than 10 requests for features that the model asked for them lacks, and it is refused for 30 s. Nothing is
 * kept on disk but the fact, and of addresses not even that.
 */
import { hash, randomBytes } from 'node:crypto'
import type { Caller } from '../core/call.ts'
import type { Clock } from '../core/clock.ts'
import { ERRORS, fail } from '../core/errors.ts'
import type { ErrorCode, Failure } from '../core/errors.ts'
import type { RefusalRow } from '../core/store.ts'
import { ANY_MODEL } from './limits.ts'
import { isExempt } from './plan.ts'

export const MAX_FAILURES = 20
export const MAX_UNSUPPORTED = 10
export const WINDOW_MS = 30_000
export const BLOCK_MS = 30_000
/** How many keys and addresses that failed lately are remembered, each. */
export const MAX_OFFENDERS = 10_000

/** The `internal` of a refusal because the model lacks the feature that was asked for. */
export const UNSUPPORTED_FEATURE = 'unsupported_feature'

/** Refusals in the range of 4xx that are not the caller's doing: the engine's load, and the network in between. */
const NOT_ITS_DOING: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['MODEL_OVERLOADED', 'REQUEST_TOO_SLOW'])
/** Failures that a caller can stop: not those for want of money, and none that an engine or this server is to blame for. */
const OWN_DOING: ReadonlySet<string> = new Set(
  Object.entries(ERRORS)
    .filter(([, { status, type }]) => status < 500 && type !== 'billing_error')
    .map(([code]) => code),
)

const isOwnDoing = (code: ErrorCode): boolean => OWN_DOING.has(code) && !NOT_ITS_DOING.has(code)

type Kind = 'FAILED_REQUESTS' | 'UNSUPPORTED_FEATURE_REQUESTS'

type Offender = {
  readonly failures: Latest
  readonly unsupported: Latest
  blockedUntil: number
  why: Kind
}

/** Ticks of the latest failures, a ring: `next` is where the oldest of them is overwritten. */
type Latest = { readonly ticks: number[]; next: number }

/** What is known of a failed request, as the envelope has it. */
export type About = { readonly model?: string | null; readonly internal?: string | null }

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
  refusal(caller: Pick<Caller, 'keyId'>): Failure | null {
    return this.#refusal(this.#keys.get(caller.keyId))
  }

  /** The same for requests without a valid key, by their remote address. */
  refusalOfAddress(address: string): Failure | null {
    return this.#addresses.size === 0 ? null : this.#refusal(this.#addresses.get(this.#mask(address)))
  }

  /** Counts a failed request. What was refused because of a block does not make it longer. */
  count(caller: Pick<Caller, 'accountId' | 'keyId' | 'plan'>, code: ErrorCode, { model, internal }: About = {}): void {
    if (!isOwnDoing(code) || isExempt(caller.plan)) return
    const kind = this.#fail(this.#keys, caller.keyId, internal === UNSUPPORTED_FEATURE)
    if (kind === null) return
    this.#note({ at: this.#clock.now(), accountId: caller.accountId, keyId: caller.keyId, model: model ?? ANY_MODEL, kind })
  }

  /** Counts a request that came without a valid key. */
  countAddress(address: string, code: ErrorCode): void {
    if (isOwnDoing(code)) this.#fail(this.#addresses, this.#mask(address), false)
  }

  /** Of what there were too many when this failure was the one too many; else null. */
  #fail(offenders: Map<string, Offender>, id: string, unsupported: boolean): Kind | null {
    const tick = this.#clock.tick()
    const offender = offenders.get(id) ?? newOffender()
    if (tick < offender.blockedUntil) return null
    // Last in the map is who failed last; the first makes room.
    offenders.delete(id)
    if (offenders.size >= MAX_OFFENDERS) dropFirst(offenders)
    offenders.set(id, offender)
    const lacking = unsupported && isTooMuch(offender.unsupported, MAX_UNSUPPORTED, tick)
    if (!isTooMuch(offender.failures, MAX_FAILURES, tick) && !lacking) return null
    forget(offender.failures)
    forget(offender.unsupported)
    offender.blockedUntil = tick + BLOCK_MS
    offender.why = lacking ? 'UNSUPPORTED_FEATURE_REQUESTS' : 'FAILED_REQUESTS'
    return offender.why
  }

  #refusal(offender: Offender | undefined): Failure | null {
    if (!offender) return null
    const retryAfterMs = offender.blockedUntil - this.#clock.tick()
    if (retryAfterMs <= 0) return null
    return fail('RATE_LIMIT_EXCEEDED', { say: WORDS[offender.why], retryAfterMs, internal: offender.why })
  }

  #mask(address: string): string {
    return hash('sha256', this.#salt + address, 'base64url')
  }
}

/** The words of the first are the API's, to the letter: clients compare them. How long it really is is in `Retry-After`. */
const WORDS: Readonly<Record<Kind, string>> = {
  FAILED_REQUESTS: `Too many failed attempts (> ${MAX_FAILURES}) resulting in a non-success status code. Please wait ${BLOCK_MS / 1000}s and try again.`,
  UNSUPPORTED_FEATURE_REQUESTS: `Too many requests (> ${MAX_UNSUPPORTED}) for features that the model does not support. Please wait ${BLOCK_MS / 1000}s and try again.`,
}

const newOffender = (): Offender => ({
  failures: { ticks: [], next: 0 },
  unsupported: { ticks: [], next: 0 },
  blockedUntil: 0,
  why: 'FAILED_REQUESTS',
})

/** Adds one, and whether there were more than `most` of them within the window. */
function isTooMuch(latest: Latest, most: number, tick: number): boolean {
  const oldest = latest.ticks[latest.next]
  latest.ticks[latest.next] = tick
  latest.next = (latest.next + 1) % most
  return oldest !== undefined && tick - oldest < WINDOW_MS
}

function forget(latest: Latest): void {
  latest.ticks.length = 0
  latest.next = 0
}

function dropFirst(offenders: Map<string, Offender>): void {
  for (const id of offenders.keys()) {
    offenders.delete(id)
    return
  }
}
