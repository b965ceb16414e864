/** Who may be computed now: so many at once, the others in turn, and not more of them than can be served in time. */
import type { Signal } from '../core/cancel.ts'
import { Failure, callerLeft, fail } from '../core/errors.ts'

type Waiting = { readonly place: number; readonly further: boolean; readonly go: () => void }

/**
 * A queue that is fair among runs. Each further choice of a run stands behind as many runs as are computed at once, so that one
 * that asks for many answers does not keep everybody waiting, and comes to its end all the same.
 */
export class Slots {
  readonly #count: number
  readonly #mostWaiting: number
  #busy = 0
  #arrivals = 0
  #waiting: Waiting[] = []

  constructor(count: number, mostWaiting: number) {
    this.#count = count
    this.#mostWaiting = mostWaiting
  }

  /** How many wait. */
  get waiting(): number {
    return this.#waiting.length
  }

  /**
   * Resolves, in turn, with what gives the slot back; that is to be called once. Rejects with `MODEL_AT_CAPACITY` where too many
   * wait already or the turn does not come within `waitMs`, and with the signal's reason when that is aborted.
   */
  take(choice: number, signal: Signal, waitMs: number): Promise<() => void> {
    if (signal.aborted) return Promise.reject(reasonOf(signal))
    if (this.#busy < this.#count) {
      this.#busy++
      return Promise.resolve(this.#once())
    }
    const further = choice > 0
    if (!further && this.#waiting.filter((one) => !one.further).length >= this.#mostWaiting) {
      return Promise.reject(fail('MODEL_AT_CAPACITY', { internal: 'local_queue_full' }))
    }
    return new Promise((resolve, reject) => {
      const settle = (end: () => void): void => {
        clearTimeout(timer)
        signal.removeEventListener('abort', leave)
        this.#waiting = this.#waiting.filter((one) => one !== entry)
        end()
      }
      const leave = (): void => settle(() => reject(reasonOf(signal)))
      const late = (): void => settle(() => reject(fail('MODEL_AT_CAPACITY', { internal: 'local_queue_timeout' })))
      const timer = setTimeout(late, waitMs)
      const place = (further ? this.#arrivals : ++this.#arrivals) + choice * this.#count
      const entry: Waiting = { place, further, go: () => settle(() => resolve(this.#once())) }
      const at = this.#waiting.findLastIndex((one) => one.place <= place) + 1
      this.#waiting.splice(at, 0, entry)
      signal.addEventListener('abort', leave, { once: true })
    })
  }

  #once(): () => void {
    let given = false
    return () => {
      if (given) return
      given = true
      const next = this.#waiting[0]
      // The slot goes from hand to hand: whoever comes now stands behind those who wait.
      if (next) next.go()
      else this.#busy--
    }
  }
}

const reasonOf = (signal: Signal): Failure => (signal.reason instanceof Failure ? signal.reason : callerLeft())
