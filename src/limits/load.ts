/**
 * Bounds what the whole server works on at once, requests and the bytes of their bodies, so that a flood is turned away with
 * a 503 before it is a lack of memory. Nobody waits in here: who finds no place is told to come back.
 *
 * Fairness is one rule: a key may hold as much as is free, and no more. So a single key can take half of the server, two
 * greedy ones a third each, n of them 1/(n+1), and a key that holds nothing always finds a place while there is one.
 * Invariant: what is held is the sum of what the holders hold; a holder that holds nothing is not remembered.
 */
import { fail } from '../core/errors.ts'
import type { Failure } from '../core/errors.ts'

export type LoadOptions = {
  /** How many requests at once. */
  readonly maxRequests: number
  /** How many bytes their bodies have together. */
  readonly maxBodiesBytes: number
}

/** What one request holds; returned by `enter`, ended by `leave`. */
export type Place = {
  readonly holder: Holder
  bytes: number
  left: boolean
}

type Holder = { readonly id: string; requests: number; bytes: number }

const RETRY_AFTER_MS = 1_000

export class Load {
  readonly #options: LoadOptions
  readonly #holders = new Map<string, Holder>()
  #requests = 0
  #bytes = 0

  constructor(options: LoadOptions) {
    this.#options = options
  }

  get requests(): number {
    return this.#requests
  }

  get bytes(): number {
    return this.#bytes
  }

  /**
   * A place for one request of this holder (the id of a key; one word for all who have none) with a body of so many bytes, as
   * far as that is known. Throws `MODEL_AT_CAPACITY` where there is none.
   */
  enter(id: string, bytes = 0): Place {
    const holder = this.#holders.get(id) ?? { id, requests: 0, bytes: 0 }
    if (holder.requests >= this.#options.maxRequests - this.#requests) throw busy('load_requests')
    this.#checkRoom(holder, bytes)
    if (holder.requests === 0) this.#holders.set(id, holder)
    holder.requests++
    this.#requests++
    const place: Place = { holder, bytes: 0, left: false }
    this.#add(place, bytes)
    return place
  }

  /** More of the body has come, or will. Throws as `enter` does; what the place held before it goes on holding until `leave`. */
  grow(place: Place, bytes: number): void {
    if (place.left) return
    this.#checkRoom(place.holder, bytes)
    this.#add(place, bytes)
  }

  /** Gives everything back. A second time does nothing. */
  leave(place: Place): void {
    if (place.left) return
    place.left = true
    const { holder } = place
    this.#add(place, -place.bytes)
    this.#requests--
    holder.requests--
    if (holder.requests === 0) this.#holders.delete(holder.id)
  }

  #checkRoom(holder: Holder, bytes: number): void {
    if (bytes > 0 && holder.bytes + bytes > this.#options.maxBodiesBytes - this.#bytes) throw busy('load_bytes')
  }

  #add(place: Place, bytes: number): void {
    place.bytes += bytes
    place.holder.bytes += bytes
    this.#bytes += bytes
  }
}

const busy = (internal: string): Failure =>
  fail('MODEL_AT_CAPACITY', {
    say: 'The server has as many requests at once as it can take; try again shortly',
    retryAfterMs: RETRY_AFTER_MS,
    internal,
  })
