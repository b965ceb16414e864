/** Who waits for the body of a request. */
import { type Failure, fail } from '../core/errors.ts'

/** Exactly one of `ended` and `failed` is called, once, and nothing after it. */
export type BodyReader = {
  /** A larger body is refused. */
  readonly maxBytes: number
  /** Takes bytes as they come; false asks for no more until the exchange is told to go on. Null for who wants the whole. */
  readonly take: ((bytes: Buffer) => boolean) | null
  /** The body has come to its end. `rest` is what was not taken: the whole body where nothing was. */
  ended(rest: Buffer): void
  failed(reason: Failure): void
}

export const bodyTooLarge = (maxBytes: number): Failure =>
  fail('PAYLOAD_TOO_LARGE', { say: `The request body is larger than the allowed ${Math.floor(maxBytes / 1_048_576)} MB` })

export const bodyCut = (): Failure => fail('INVALID_REQUEST', { say: 'The request body ended early', internal: 'body_cut' })

/** The answer was given without it: nobody wants what still comes. */
export const bodyUnread = (): Failure => fail('INVALID_REQUEST', { internal: 'body_unread' })
