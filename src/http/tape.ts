/**
 * A file on its way from a connection to whoever reads it: what has come and was not read yet, and of what was read as much as there
 * is room for. One writes, one reads, and neither waits longer than for the other.
 */
import type { Signal } from '../core/cancel.ts'
import { callerLeft, fail } from '../core/errors.ts'
import type { Upload } from '../core/upload.ts'
import { SMALL_BYTES, Slab } from './slab.ts'

/** What is looked at to tell what a file is: pictures in the tags before it included. */
const HEAD_BYTES = 256 * 1024

export type TapeOptions = {
  /** The most that is held; null for a file that is kept to its end, whatever its size. */
  readonly roomBytes: number | null
  /** The most that the file can have. */
  readonly atMostBytes: number
  /** Called when there is room again after there was none. */
  readonly onRoom: () => void
  /** Called with how much is held whenever it has grown, where anybody counts that. What it throws ends the upload. */
  readonly onHeld: ((bytes: number) => void) | null
}

/** Invariant: what is held follows on without a gap, and of a tape with room for so much it is that and one write more. */
export class Tape implements Upload {
  readonly #options: TapeOptions
  #pieces: Buffer[] = []
  /** How many of these the reader has. */
  #read = 0
  #heldBytes = 0
  #cameBytes = 0
  readonly #slab = new Slab()
  #full = false
  #wake: (() => void) | null = null
  #reader = 0
  arrived = false
  fromStart = true

  constructor(options: TapeOptions) {
    this.#options = options
  }

  /** Whether nothing more should be written until `onRoom`. */
  get full(): boolean {
    return this.#full
  }

  get atMostBytes(): number {
    return this.arrived ? this.#cameBytes : this.#options.atMostBytes
  }

  get head(): Buffer {
    this.#slab.close(this.#pieces)
    return Buffer.concat(this.#pieces, Math.min(HEAD_BYTES, this.#heldBytes))
  }

  write(bytes: Buffer): void {
    this.#cameBytes += bytes.length
    this.#heldBytes += bytes.length
    if (bytes.length >= SMALL_BYTES) {
      this.#slab.close(this.#pieces)
      this.#pieces.push(bytes)
    } else this.#slab.add(bytes, this.#pieces)
    this.#options.onHeld?.(this.#heldBytes)
    this.#makeRoom()
    this.#wake?.()
  }

  end(): void {
    this.arrived = true
    this.#wake?.()
  }

  async *read(signal: Signal): AsyncGenerator<Buffer, void, undefined> {
    if (!this.fromStart) throw fail('INFERENCE_FAILED', { internal: 'upload_forgotten' })
    const mine = ++this.#reader
    this.#read = 0
    for (;;) {
      if (signal.aborted) throw signal.reason instanceof Error ? signal.reason : callerLeft()
      if (this.#reader !== mine) return
      this.#slab.close(this.#pieces)
      const piece = this.#pieces[this.#read]
      if (piece) {
        this.#read++
        if (this.#full) this.#makeRoom()
        yield piece
      } else if (this.arrived) return
      else await this.#more(signal)
    }
  }

  /** What was read makes room, and only where there is none. */
  #makeRoom(): void {
    const { roomBytes, onRoom } = this.#options
    if (roomBytes === null) return
    while (this.#heldBytes >= roomBytes && this.#read > 0) {
      this.#heldBytes -= this.#pieces.shift()?.length ?? 0
      this.#read--
      this.fromStart = false
    }
    const was = this.#full
    this.#full = this.#heldBytes >= roomBytes
    if (was && !this.#full) onRoom()
  }

  #more(signal: Signal): Promise<void> {
    return new Promise((resolve) => {
      this.#wake?.()
      const wake = (): void => {
        signal.removeEventListener('abort', wake)
        if (this.#wake === wake) this.#wake = null
        resolve()
      }
      this.#wake = wake
      signal.addEventListener('abort', wake, { once: true })
    })
  }
}
