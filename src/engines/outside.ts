/** The network door for rooms that are no engine: one POST to an address of the configuration, bounded in time and size. */
import { Cancel } from '../core/cancel.ts'
import { fail } from '../core/errors.ts'
import type { Outside, OutsideAnswer, OutsideRequest } from '../core/outside.ts'
import { Egress, type Receiver } from './egress.ts'

/** Addresses with their headers: as many as the configuration names, and a few more while secrets are replaced. */
const ADDRESSES = 16

export class OutsideDoor implements Outside {
  readonly #doors = new Map<string, Egress>()

  async post(url: string, { headers, body, timeoutMs, maxBytes }: OutsideRequest): Promise<OutsideAnswer> {
    const { origin, pathname, search } = new URL(url)
    const answer = new Answer(maxBytes)
    const cancel = new Cancel()
    const timer = setTimeout(() => cancel.abort(fail('REQUEST_TIMEOUT', { internal: 'outside_timeout' })), timeoutMs)
    try {
      await this.#door(origin, headers).send(
        {
          method: 'POST',
          path: pathname + search,
          fromRoot: true,
          body,
          accept: 'application/json',
          anyStatus: true,
          signal: cancel,
          firstByteMs: timeoutMs,
          stallMs: timeoutMs,
        },
        answer,
      )
    } finally {
      clearTimeout(timer)
    }
    return answer.taken()
  }

  async close(): Promise<void> {
    await Promise.all([...this.#doors.values()].map((door) => door.close()))
  }

  #door(origin: string, headers: Readonly<Record<string, string>>): Egress {
    const key = JSON.stringify([origin, headers])
    const known = this.#doors.get(key)
    if (known) return known
    if (this.#doors.size >= ADDRESSES) {
      for (const [oldest, door] of this.#doors) {
        this.#doors.delete(oldest)
        void door.close()
        break
      }
    }
    // Only the operator's configuration names these addresses.
    const door = new Egress({ baseUrl: origin, headers, allowPrivateAddresses: true })
    this.#doors.set(key, door)
    return door
  }
}

class Answer implements Receiver {
  readonly #maxBytes: number
  readonly #chunks: Buffer[] = []
  #status = 0
  #sizeBytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  head(status: number): void {
    this.#status = status
  }

  data(chunk: Buffer): void {
    this.#sizeBytes += chunk.length
    if (this.#sizeBytes > this.#maxBytes) throw fail('INFERENCE_FAILED', { internal: 'outside_answer_too_large' })
    this.#chunks.push(chunk)
  }

  taken(): OutsideAnswer {
    return { status: this.#status, body: Buffer.concat(this.#chunks, this.#sizeBytes) }
  }
}
