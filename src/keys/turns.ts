/** One after the other: what is read, changed and written back under one name is not changed by somebody else meanwhile. */
import { fail } from '../core/errors.ts'

/** How many may wait for their turn under one name. */
export const MAX_TURNS = 256
const RETRY_MS = 1_000

export class Turns {
  readonly #lines = new Map<string, { last: Promise<void>; length: number }>()

  /** Runs the work once all work that came before it under this name is over, however that ended. Gives what it gives. */
  take<T>(name: string, work: () => Promise<T>): Promise<T> {
    const line = this.#lines.get(name) ?? { last: Promise.resolve(), length: 0 }
    if (line.length >= MAX_TURNS) {
      const say = 'Rate limit exceeded: too many changes of this account at once'
      return Promise.reject(fail('RATE_LIMIT_EXCEEDED', { say, retryAfterMs: RETRY_MS, internal: 'too many turns' }))
    }
    const mine = line.last.then(work)
    const over = (): void => {
      if (--line.length === 0) this.#lines.delete(name)
    }
    line.length++
    line.last = mine.then(over, over)
    this.#lines.set(name, line)
    return mine
  }
}
