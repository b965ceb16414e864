/** Sends the body of a request while it comes, as fast as the server takes it. */
import { fail } from '../core/errors.ts'
import type { BodyStream } from './egress.ts'
import type { Limits, Waiting } from './egress-alarm.ts'
import type { Connection } from './egress-connection.ts'

/** Who sends it: what its limits wait for, and how it hears that the body has failed. */
export type UploadOptions = {
  readonly body: BodyStream
  readonly connection: Connection
  readonly limits: Limits
  readonly waiting: Waiting
  /** How long the server may take nothing, and then say nothing, in milliseconds. */
  readonly firstByteMs: number
  readonly failed: (reason: unknown) => void
}

/** Invariant: a limit runs while the server is waited for, and none while the body is. */
export class Upload {
  readonly #options: UploadOptions
  #over = false
  /** Whether all of the body was sent. */
  done = false

  constructor(options: UploadOptions) {
    this.#options = options
    void this.#send()
  }

  /** Nothing more is sent. */
  stop(): void {
    this.#over = true
  }

  /** Resolves in any case: a body that fails is told to `failed`, unless nobody waits for it any longer. */
  async #send(): Promise<void> {
    const { body, connection, limits, waiting, firstByteMs, failed } = this.#options
    const chunked = body.sizeBytes === null
    let leftBytes = body.sizeBytes ?? 0
    try {
      limits.stop()
      for await (const piece of body.pieces) {
        if (this.#over) return
        leftBytes -= piece.length
        if (piece.length === 0) continue
        limits.start(waiting, firstByteMs)
        await connection.write(chunked ? [`${piece.length.toString(16)}\r\n`, piece, '\r\n'] : [piece])
        if (this.#over) return
        limits.stop()
      }
      if (this.#over) return
      // The rest of the connection would be taken for the body.
      if (!chunked && leftBytes !== 0) throw fail('INFERENCE_FAILED', { internal: 'upload_size' })
      this.done = true
      limits.start(waiting, firstByteMs)
      if (chunked) await connection.write(['0\r\n\r\n'])
    } catch (error) {
      if (!this.#over) failed(error)
    }
  }
}
