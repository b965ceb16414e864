/**
 * A form on its way in. Whoever wants it is called when it is there, or when enough of it is: the field that the work begins with, and
 * then as much of the file as is held at once. What comes later calls the work off where it is wrong.
 */
import type { Cancel } from '../core/cancel.ts'
import type { Upload } from '../core/upload.ts'
import type { FormRules } from '../endpoints/endpoint.ts'
import type { BodyReader } from './body-reader.ts'
import { asFailure } from './error-reply.ts'
import { AROUND_FILE_BYTES, type FormFields, FormReader, fileTooLarge } from './form.ts'
import { Tape } from './tape.ts'

/** What is held of a file that is read while it comes: a smaller one is always there whole. */
export const HELD_BYTES = 512 * 1024

export type IncomingFormOptions = {
  readonly rules: FormRules
  readonly boundary: string
  /** The size that the body was announced with; -1 where it was not. */
  readonly lengthBytes: number
  /** Checks fields as far as they have come. Throws a 400 that names one. */
  readonly check: (fields: FormFields) => unknown
  /** So much is held from now on. Throws where that is too much for the server. */
  readonly hold: (bytes: number) => void
  /** Calls off what is done with the form. */
  readonly cancel: Cancel
  /** The connection may go on. */
  readonly goOn: () => void
}

export class IncomingForm implements BodyReader {
  /** Resolves when the work can begin; rejects with what is wrong with the form. */
  readonly ready: Promise<void>
  readonly maxBytes: number
  readonly #options: IncomingFormOptions
  readonly #reader: FormReader
  readonly #over: Promise<unknown>
  #begin = (): void => undefined
  #complete = (_fields: unknown): void => undefined
  #reject = (_reason: unknown): void => undefined
  #file: Tape | null = null
  #failed = false

  /** Throws 413 for a body that cannot but be too large. */
  constructor(options: IncomingFormOptions) {
    const { rules, boundary, lengthBytes } = options
    this.#options = options
    this.maxBytes = rules.maxBytes + AROUND_FILE_BYTES
    if (lengthBytes > this.maxBytes) throw fileTooLarge(rules)
    this.#over = new Promise((resolve, reject) => {
      this.#complete = resolve
      this.#reject = reject
    })
    this.ready = new Promise((resolve, reject) => {
      this.#begin = resolve
      this.#over.then(() => resolve(), reject)
    })
    // Who does not wait for them hears of it by the signal.
    this.ready.catch(() => undefined)
    this.#reader = new FormReader(boundary, rules, {
      begin: (beforeBytes, afterBytes) => this.#beginFile(beforeBytes + afterBytes),
      write: (bytes) => this.#file?.write(bytes),
      end: () => this.#file?.end(),
    })
  }

  get file(): Upload | null {
    return this.#file
  }

  /** The fields that have come, checked. */
  known(): unknown {
    return this.#options.check(this.#reader.fields)
  }

  /** All fields, once the form has come to its end. */
  all(): Promise<unknown> {
    return this.#over
  }

  take(bytes: Buffer): boolean {
    if (this.#failed) return true
    try {
      this.#reader.feed(bytes)
    } catch (error) {
      this.failed(error)
      return true
    }
    const file = this.#file
    // What comes after the file is little, and whoever waits for it may not read the file before.
    if (!file?.full || file.arrived) return true
    this.#begin()
    return false
  }

  ended(): void {
    if (this.#failed) return
    try {
      this.#reader.end()
      this.#complete(this.known())
    } catch (error) {
      this.failed(error)
    }
  }

  failed(reason: unknown): void {
    if (this.#failed) return
    this.#failed = true
    this.#reject(reason)
    this.#options.cancel.abort(asFailure(reason))
  }

  #beginFile(aroundBytes: number): void {
    const { rules, lengthBytes, hold, goOn } = this.#options
    const atMostBytes = lengthBytes < 0 ? rules.maxBytes : Math.max(0, Math.min(rules.maxBytes, lengthBytes - aroundBytes))
    const streams = rules.first in this.#reader.fields
    // Until it is known what to do with it, all of it must be kept.
    if (!streams && lengthBytes >= 0) hold(atMostBytes)
    this.#file = new Tape({ roomBytes: streams ? HELD_BYTES : null, atMostBytes, onRoom: goOn, onHeld: streams ? null : hold })
  }
}
