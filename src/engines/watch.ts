/** Asks every engine whether it is there, at the start and then for ever, and reports what it answers. */
import type { Engine, Reach } from '../core/engine.ts'

/** No probe takes longer, whatever the engine does. */
const PROBE_MS = 2_000

/** How often an engine is asked, in milliseconds. */
export type Rhythm = { readonly upMs: number; readonly downMs: number }

/** A local server comes, goes and changes its models while one works with it. */
export const LOCAL_RHYTHM: Rhythm = { upMs: 10_000, downMs: 10_000 }
/** A service is asked rarely: its failures show in the runs. */
export const REMOTE_RHYTHM: Rhythm = { upMs: 300_000, downMs: 30_000 }

export type WatchOptions = {
  /** Ends the watch. */
  readonly signal: AbortSignal
  /** By default engines that list their models are local. */
  readonly rhythm?: (engine: Engine) => Rhythm
  /** Time, so that tests own it. */
  readonly timers?: Timers
}

/** Calls back once after so many milliseconds, without keeping the process alive; returns what takes it back. */
export type Timers = { after(ms: number, call: () => void): () => void }

const REAL: Timers = {
  after(ms, call) {
    const timer = setTimeout(call, ms)
    timer.unref()
    return () => clearTimeout(timer)
  },
}

/**
 * Starts the watch: all engines at once, each again after its own pause. `report` hears of every answer, in no order
 * among engines, and never after the signal was aborted. `firstRound` resolves once each engine was heard or given up.
 */
export function watchEngines(
  engines: Iterable<Engine>,
  report: (engineId: string, reach: Reach) => void,
  { signal, rhythm = rhythmOf, timers = REAL }: WatchOptions,
): { readonly firstRound: Promise<void> } {
  const watched = [...engines].map((engine) => new Watch(engine, rhythm(engine), report, timers, signal))
  signal.addEventListener('abort', () => watched.forEach((watch) => watch.stop()), { once: true })
  const firstRound = Promise.all(watched.map((watch) => watch.ask())).then(() => undefined)
  return { firstRound }
}

const rhythmOf = (engine: Engine): Rhythm => (engine.lists ? LOCAL_RHYTHM : REMOTE_RHYTHM)

class Watch {
  readonly #engine: Engine
  readonly #rhythm: Rhythm
  readonly #report: (engineId: string, reach: Reach) => void
  readonly #timers: Timers
  readonly #signal: AbortSignal
  #cancel: () => void = () => {}

  constructor(engine: Engine, rhythm: Rhythm, report: (engineId: string, reach: Reach) => void, timers: Timers, signal: AbortSignal) {
    this.#engine = engine
    this.#rhythm = rhythm
    this.#report = report
    this.#timers = timers
    this.#signal = signal
  }

  async ask(): Promise<void> {
    if (this.#signal.aborted) return
    const reach = await this.#probe()
    if (this.#signal.aborted) return
    this.#report(this.#engine.id, reach)
    this.#cancel = this.#timers.after(reach.up ? this.#rhythm.upMs : this.#rhythm.downMs, () => void this.ask())
  }

  stop(): void {
    this.#cancel()
  }

  /** An engine that takes too long, or that breaks its promise not to reject, is down. */
  #probe(): Promise<Reach> {
    const limit = new AbortController()
    return new Promise((resolve) => {
      const settle = (reach: Reach): void => {
        cancel()
        this.#signal.removeEventListener('abort', stop)
        limit.abort()
        resolve(reach)
      }
      const stop = (): void => settle({ up: false, why: 'stopped' })
      const cancel = this.#timers.after(PROBE_MS, () => settle({ up: false, why: 'timeout' }))
      this.#signal.addEventListener('abort', stop)
      probe(this.#engine, limit.signal).then(settle, () => settle({ up: false, why: 'error' }))
    })
  }
}

/** So that an engine that throws instead of rejecting is caught the same way. */
const probe = async (engine: Engine, signal: AbortSignal): Promise<Reach> => engine.probe(signal)
