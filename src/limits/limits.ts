/**
 * Admits a run or refuses it: requests and tokens per minute, per key and model. One synchronous step, so that no two
 * requests ever both take the last piece.
 * Owns: rates. Does not own: abuse (abuse-guard.ts), money, what a plan allows (config).
 */
import type { Caller, LimitState } from '../core/call.ts'
import type { Clock } from '../core/clock.ts'
import { fail } from '../core/errors.ts'
import type { Failure } from '../core/errors.ts'
import type { Model } from '../core/model.ts'
import type { RefusalRow } from '../core/store.ts'
import { Bucket } from './bucket.ts'
import { limitFor } from './plan.ts'
import type { Limit, Plans } from './plan.ts'

/** How many pairs of key and model are remembered. Beyond it one that is at rest is forgotten, which changes nothing. */
export const MAX_METERED = 100_000
/** How many are looked at for one at rest; then the one least recently met goes, and starts afresh if it comes back. */
const EVICTION_LOOKS = 8

type Metered = { requests: Bucket | null; tokens: Bucket | null }

/** Both states are for the headers of the answer, admitted or refused; null where there is no limit. */
export type Admission = Ticket | Refused

export type Ticket = {
  readonly ok: true
  readonly requests: LimitState | null
  readonly tokens: LimitState | null
  /** What `settle` corrects: opaque to everybody else. Null once it is settled, and where nothing is metered. */
  bucket: Bucket | null
  readonly taken: number
}

export type Refused = {
  readonly ok: false
  readonly requests: LimitState | null
  readonly tokens: LimitState | null
  readonly kind: 'RPM' | 'TPM'
  readonly retryAfterMs: number
  /** Ready to be thrown: says which limit, of how much, and when to come back. */
  readonly failure: Failure
}

const FREE: Ticket = Object.freeze({ ok: true, requests: null, tokens: null, bucket: null, taken: 0 })

export type LimitsOptions = {
  readonly plans: Plans
  readonly clock: Clock
  /** Told of every refusal. */
  readonly note: (row: RefusalRow) => void
}

export class Limits {
  readonly #plans: Plans
  readonly #clock: Clock
  readonly #note: (row: RefusalRow) => void
  readonly #metered = new Map<string, Metered>()

  constructor({ plans, clock, note }: LimitsOptions) {
    this.#plans = plans
    this.#clock = clock
    this.#note = note
  }

  /**
   * Counts one request of `tokens` estimated input tokens, or refuses it and counts nothing.
   * A request of more tokens than a minute allows is admitted when nothing was used lately, and waited for afterwards.
   */
  admit(caller: Pick<Caller, 'accountId' | 'keyId' | 'plan'>, model: Pick<Model, 'id' | 'modality' | 'tier'>, tokens: number): Admission {
    const limit = limitFor(this.#plans, caller.plan, model)
    if (limit.rpm === null && limit.tpm === null) return FREE
    const now = Math.floor(this.#clock.tick())
    const metered = this.#meter(`${caller.keyId} ${model.id}`, limit, now)
    const requestsWaitMs = metered.requests?.waitMs(1) ?? 0
    const tokensWaitMs = metered.tokens?.waitMs(tokens) ?? 0
    if (requestsWaitMs > 0 || tokensWaitMs > 0) {
      const kind = requestsWaitMs >= tokensWaitMs ? 'RPM' : 'TPM'
      this.#note({ at: this.#clock.now(), accountId: caller.accountId, keyId: caller.keyId, model: model.id, kind })
      return refused(metered, kind, Math.max(requestsWaitMs, tokensWaitMs))
    }
    metered.requests?.take(1)
    const taken = metered.tokens?.take(tokens) ?? 0
    return { ok: true, ...statesOf(metered), bucket: metered.tokens, taken }
  }

  /**
   * Replaces the estimate by what the run used in all, input and output; 0 where it was refused later on or failed.
   * Only the first call for a ticket counts.
   */
  settle(ticket: Ticket, tokens: number): void {
    const { bucket } = ticket
    if (!bucket) return
    ticket.bucket = null
    bucket.correct(ticket.taken, tokens)
  }

  #meter(id: string, limit: Limit, now: number): Metered {
    let metered = this.#metered.get(id)
    if (!metered) {
      if (this.#metered.size >= MAX_METERED) this.#evict(now)
      metered = { requests: null, tokens: null }
      this.#metered.set(id, metered)
    }
    metered.requests = current(metered.requests, limit.rpm, now)
    metered.tokens = current(metered.tokens, limit.tpm, now)
    return metered
  }

  /** Second chance instead of strict order of use, which would cost every request a move: the busy ones go to the end. */
  #evict(now: number): void {
    let looks = 0
    for (const [id, metered] of this.#metered) {
      this.#metered.delete(id)
      if (atRest(metered.requests, now) && atRest(metered.tokens, now)) return
      if (++looks === EVICTION_LOOKS) return
      this.#metered.set(id, metered)
    }
  }
}

function current(bucket: Bucket | null, limit: number | null, now: number): Bucket | null {
  if (limit === null) return null
  if (!bucket) return new Bucket(limit, now)
  bucket.refill(limit, now)
  return bucket
}

const atRest = (bucket: Bucket | null, now: number): boolean => bucket?.isFull(now) ?? true

const statesOf = (metered: Metered) => ({ requests: metered.requests?.state() ?? null, tokens: metered.tokens?.state() ?? null })

const NOUNS = { RPM: 'requests', TPM: 'tokens' } as const

function refused(metered: Metered, kind: 'RPM' | 'TPM', retryAfterMs: number): Refused {
  const states = statesOf(metered)
  const limit = (kind === 'RPM' ? states.requests : states.tokens)?.limit ?? 0
  const seconds = Math.ceil(retryAfterMs / 1000)
  const failure = fail('RATE_LIMIT_EXCEEDED', {
    say: `Rate limit exceeded: this key may use ${limit} ${NOUNS[kind]} per minute (${kind}) of this model; try again in ${seconds} s`,
    retryAfterMs,
    internal: kind,
  })
  return { ok: false, ...states, kind, retryAfterMs, failure }
}
