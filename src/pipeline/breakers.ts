/** Which deployments are left alone for a while because they failed or asked for time. */
import type { Clock } from '../core/clock.ts'
import type { Deployment } from '../core/model.ts'

/** After so many failures in a row a deployment is left alone. */
const FAILURES_TO_OPEN = 5
/** For how long at first, and at most; it doubles with every failed probe. */
const OPEN_MS = 5_000
const OPEN_MAX_MS = 60_000
/** The longest `Retry-After` that is believed, and the wait where none was given. */
const ASKED_MAX_MS = 60_000
const ASKED_DEFAULT_MS = 1_000

type State = {
  failures: number
  /** Open until this tick; 0 while closed. */
  openUntil: number
  openMs: number
  /** A probe is on its way: half-open lets one through at a time. */
  probing: boolean
  /** The engine itself asked to be left alone until this tick. */
  askedUntil: number
}

/**
 * One breaker per deployment. Closed: everything passes. Open: nothing does, for a time. Half-open, after that time:
 * one probe passes; its success closes the breaker, its failure opens it for twice as long.
 * Bounded: there are as many states as deployments, and those come from the catalogue.
 */
export class Breakers {
  readonly #states = new Map<string, State>()
  readonly #clock: Clock
  readonly #changed: (deployment: Deployment, open: boolean) => void

  /** `changed` hears of every opening, again after a failed probe, and of the closing by a successful one. */
  constructor(clock: Clock, changed: (deployment: Deployment, open: boolean) => void) {
    this.#clock = clock
    this.#changed = changed
  }

  /** Whether a request may go there now. A `true` must be followed by one of the verdicts below. */
  admits(deployment: Deployment): boolean {
    const state = this.#states.get(keyOf(deployment))
    if (!state) return true
    const now = this.#clock.tick()
    if (state.askedUntil > now) return false
    if (state.openUntil === 0) return true
    if (state.openUntil > now || state.probing) return false
    state.probing = true
    return true
  }

  succeeded(deployment: Deployment): void {
    const key = keyOf(deployment)
    const state = this.#states.get(key)
    if (!state) return
    this.#states.delete(key)
    if (state.openUntil !== 0) this.#changed(deployment, false)
  }

  failed(deployment: Deployment): void {
    const state = this.#state(deployment)
    state.failures++
    const wasProbe = state.probing
    state.probing = false
    if (!wasProbe && (state.openUntil !== 0 || state.failures < FAILURES_TO_OPEN)) return
    state.openMs = Math.min(OPEN_MAX_MS, wasProbe ? state.openMs * 2 : OPEN_MS)
    state.openUntil = this.#clock.tick() + state.openMs
    this.#changed(deployment, true)
  }

  /** The engine answered 429: it lives, and wants to be left alone for `retryAfterMs`. */
  asked(deployment: Deployment, retryAfterMs: number | null): void {
    const state = this.#state(deployment)
    state.probing = false
    state.askedUntil = this.#clock.tick() + Math.min(ASKED_MAX_MS, retryAfterMs ?? ASKED_DEFAULT_MS)
  }

  /** The attempt says nothing about the deployment: the caller left, or the request was at fault. */
  undecided(deployment: Deployment): void {
    const state = this.#states.get(keyOf(deployment))
    if (state) state.probing = false
  }

  /** How long until the first of these may be asked again, where an engine asked for time or a breaker is open; else null. */
  shortestWaitMs(deployments: readonly Deployment[]): number | null {
    let shortest: number | null = null
    for (const deployment of deployments) {
      const state = this.#states.get(keyOf(deployment))
      if (!state) continue
      const waitMs = Math.max(state.askedUntil, state.openUntil) - this.#clock.tick()
      if (waitMs > 0 && (shortest === null || waitMs < shortest)) shortest = waitMs
    }
    return shortest
  }

  #state(deployment: Deployment): State {
    const key = keyOf(deployment)
    let state = this.#states.get(key)
    if (!state) {
      state = { failures: 0, openUntil: 0, openMs: OPEN_MS, probing: false, askedUntil: 0 }
      this.#states.set(key, state)
    }
    return state
  }
}

const keyOf = (deployment: Deployment): string => `${deployment.engine} ${deployment.model}`
