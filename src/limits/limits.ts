/**
 * Admits a run or refuses it: requests and tokens per minute and requests per day, per key and model. One synchronous step,
 * so that no two requests ever both take the last piece.
 * Owns: rates. Does not own: abuse (abuse-guard.ts), the load of the whole server (load.ts), money, what a plan allows (config).
 */
import type { Caller, LimitState } from '../core/call.ts'
import type { Clock } from '../core/clock.ts'
import { fail } from '../core/errors.ts'
import type { Failure } from '../core/errors.ts'
import type { Model } from '../core/model.ts'
import type { RefusalRow } from '../core/store.ts'
import { Day } from './day.ts'
import { actionLimit, limitFor } from './plan.ts'
import type { Action, Limit, Plans } from './plan.ts'
import { MAX_EXACT, Ring } from './ring.ts'
import { Window } from './window.ts'

/** How many pairs of key and model are remembered. Beyond it one that is at rest is forgotten, which changes nothing. */
export const MAX_METERED = 100_000
/** How many moments of requests are remembered in all of them together: 32 MB. */
const MAX_MOMENTS = 4_000_000
/** How many are looked at for one at rest; then the one least recently met goes, and starts afresh if it comes back. */
const EVICTION_LOOKS = 8
/**
 * How many output tokens are taken at admission at most. What a request may use at most is often all that the model can
 * write, and taking that would let a handful of short answers fill a minute; this is more than most answers have.
 */
export const RESERVED_OUTPUT_TOKENS = 1_000

type Metered = { requests: Ring | Window | null; tokens: Window | null; day: Day | null }

/** Both states are for the headers of the answer, admitted or refused; null where there is no limit. */
export type Admission = Ticket | Refused

export type Ticket = {
  readonly ok: true
  /** Of the minute or of the day, whichever leaves less. */
  readonly requests: LimitState | null
  readonly tokens: LimitState | null
  /** What `settle` corrects: opaque to everybody else. Null once it is settled, and where nothing is metered. */
  window: Window | null
  readonly slot: number
  readonly taken: number
}

export type Refused = {
  readonly ok: false
  readonly requests: LimitState | null
  readonly tokens: LimitState | null
  readonly kind: Kind
  readonly retryAfterMs: number
  /** Ready to be thrown: says which limit, of how much, and when to come back. */
  readonly failure: Failure
}

type Kind = 'RPM' | 'TPM' | 'RPD'
type Asking = Pick<Caller, 'accountId' | 'keyId' | 'plan'>

const FREE: Ticket = Object.freeze({ ok: true, requests: null, tokens: null, window: null, slot: 0, taken: 0 })

export type LimitsOptions = {
  readonly plans: Plans
  readonly clock: Clock
  /** Told of every refusal. */
  readonly note: (row: RefusalRow) => void
  /**
   * How many requests of this key for this model are on record for this UTC day (days since 1970): asked once per key and
   * model where a plan limits the day, so that a restart does not forget it. Rejects while the records cannot be read.
   */
  readonly requestsOn: (caller: Pick<Caller, 'accountId' | 'keyId'>, model: string, day: number) => Promise<number>
}

export class Limits {
  readonly #options: LimitsOptions
  readonly #metered = new Map<string, Metered>()
  #moments = 0

  constructor(options: LimitsOptions) {
    this.#options = options
  }

  /**
   * Counts one request of about `inputTokens` that may write `outputTokens` at most, or refuses it and counts nothing. A
   * promise only where a day is limited whose earlier requests are not known yet; the decision then falls in one step after.
   * A request of more tokens than a minute allows is admitted when nothing was used lately, and waited for afterwards.
   */
  admit(
    caller: Asking,
    model: Pick<Model, 'id' | 'modality' | 'tier'>,
    inputTokens: number,
    outputTokens = 0,
  ): Admission | Promise<Admission> {
    const limit = limitFor(this.#options.plans, caller.plan, model)
    if (limit.rpm === null && limit.tpm === null && limit.rpd === null) return FREE
    const metered = this.#meter(`${caller.keyId} ${model.id}`, limit)
    const tokens = inputTokens + Math.min(outputTokens, RESERVED_OUTPUT_TOKENS)
    const { day } = metered
    if (day === null || !(day.loading || day.wantsSeed)) return this.#decide(metered, caller, model.id, tokens)
    day.loading ??= this.#seed(day, caller, model.id)
    return day.loading.then(() => {
      this.#update(metered, limit)
      return this.#decide(metered, caller, model.id, tokens)
    })
  }

  /** The same for what runs no model; counted for the whole account, since its keys make each other. */
  admitAction(caller: Asking, action: Action): Admission {
    const limit = actionLimit(this.#options.plans, caller.plan, action)
    if (limit.rpm === null) return FREE
    const id = action === 'createKey' ? caller.accountId : caller.keyId
    return this.#decide(this.#meter(`${id} *${action}`, { rpm: limit.rpm, tpm: null, rpd: null }), caller, ANY_MODEL, 0)
  }

  /**
   * Replaces the estimate by what the run used in all, input and output; 0 where it was refused later on or failed.
   * Only the first call for a ticket counts.
   */
  settle(ticket: Ticket, tokens: number): void {
    const { window } = ticket
    if (!window) return
    ticket.window = null
    window.correct(ticket.slot, ticket.taken, tokens, this.#options.clock.tick())
  }

  #decide(metered: Metered, caller: Asking, model: string, asked: number): Admission {
    const { requests, tokens, day } = metered
    const requestsWaitMs = requests === null ? 0 : requests.waitMs(1)
    const tokensWaitMs = tokens === null ? 0 : tokens.waitMs(asked)
    const dayWaitMs = day === null ? 0 : day.waitMs()
    if (requestsWaitMs > 0 || tokensWaitMs > 0 || dayWaitMs > 0) {
      const { clock, note } = this.#options
      const retryAfterMs = Math.max(requestsWaitMs, tokensWaitMs, dayWaitMs)
      const kind = retryAfterMs === dayWaitMs ? 'RPD' : retryAfterMs === requestsWaitMs ? 'RPM' : 'TPM'
      note({ at: clock.now(), accountId: caller.accountId, keyId: caller.keyId, model, kind })
      return refused(metered, kind, retryAfterMs)
    }
    if (requests instanceof Ring) {
      this.#moments -= requests.places
      requests.take()
      this.#moments += requests.places
    } else requests?.take(1)
    day?.take()
    const taken = tokens === null ? 0 : tokens.take(asked)
    return {
      ok: true,
      requests: requestsState(metered),
      tokens: tokens === null ? null : tokens.state(),
      window: tokens,
      slot: tokens === null ? 0 : tokens.slot,
      taken,
    }
  }

  async #seed(day: Day, caller: Asking, model: string): Promise<void> {
    const on = day.day
    try {
      day.seed(await this.#options.requestsOn(caller, model, on), on)
    } catch {
      // Requests go on while the database is away, counted by what is known here.
      day.seedFailed()
    } finally {
      day.loading = null
    }
  }

  #meter(id: string, limit: Limit): Metered {
    let metered = this.#metered.get(id)
    if (!metered) {
      while (this.#metered.size >= MAX_METERED || this.#moments > MAX_MOMENTS) this.#evict()
      metered = { requests: null, tokens: null, day: null }
      this.#metered.set(id, metered)
    }
    this.#update(metered, limit)
    return metered
  }

  /** Brings all three up to date; a limit that the plan has no more is forgotten, and one that it has now begins. */
  #update(metered: Metered, { rpm, tpm, rpd }: Limit): void {
    const tick = this.#options.clock.tick()
    const { requests } = metered
    if (rpm === null) this.#replace(metered, null)
    else if (requests === null || requests instanceof Ring !== rpm <= MAX_EXACT) {
      this.#replace(metered, rpm <= MAX_EXACT ? new Ring(rpm) : new Window(rpm, tick))
    }
    if (rpm !== null) metered.requests?.update(rpm, tick)
    if (tpm === null) metered.tokens = null
    else (metered.tokens ??= new Window(tpm, tick)).update(tpm, tick)
    if (rpd === null) metered.day = null
    else {
      const now = this.#options.clock.now()
      metered.day ??= new Day(rpd, now)
      metered.day.update(rpd, now)
    }
  }

  #replace(metered: Metered, requests: Ring | Window | null): void {
    if (metered.requests instanceof Ring) this.#moments -= metered.requests.places
    metered.requests = requests
  }

  /** Second chance instead of strict order of use, which would cost every request a move: the busy ones go to the end. */
  #evict(): void {
    const { clock } = this.#options
    let looks = 0
    for (const [id, metered] of this.#metered) {
      this.#metered.delete(id)
      const { requests, tokens, day } = metered
      const atRest = (requests?.isAtRest(clock.tick()) ?? true) && (tokens?.isAtRest(clock.tick()) ?? true)
      if ((atRest && (day?.isAtRest(clock.now()) ?? true)) || ++looks === EVICTION_LOOKS) {
        if (requests instanceof Ring) this.#moments -= requests.places
        return
      }
      this.#metered.set(id, metered)
    }
  }
}

/** What a refusal says that is not about one model. */
export const ANY_MODEL = '*'

/** The tighter of minute and day: how many may follow is what callers ask these headers. */
function requestsState({ requests, day }: Metered): LimitState | null {
  const minute = requests === null ? null : requests.state()
  if (day === null) return minute
  const ofDay = day.state()
  return minute === null || ofDay.remaining < minute.remaining ? ofDay : minute
}

const WORDS = { RPM: 'requests per minute', TPM: 'tokens per minute', RPD: 'requests per UTC day' } as const

function refused(metered: Metered, kind: Kind, retryAfterMs: number): Refused {
  const requests = (kind === 'RPD' ? metered.day?.state() : kind === 'RPM' ? metered.requests?.state() : null) ?? requestsState(metered)
  const tokens = metered.tokens?.state() ?? null
  const limit = (kind === 'TPM' ? tokens : requests)?.limit ?? 0
  const failure = fail('RATE_LIMIT_EXCEEDED', {
    say: `Rate limit exceeded: ${limit} ${WORDS[kind]} (${kind}) are allowed here; try again in ${Math.ceil(retryAfterMs / 1000)} s`,
    retryAfterMs,
    internal: kind,
  })
  return { ok: false, requests, tokens, kind, retryAfterMs, failure }
}
