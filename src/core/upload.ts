/** A file that a caller sends, from its first bytes on: it may be read while the rest of it is still on its way. */
import type { Signal } from './cancel.ts'

/** Opaque to everybody but its reader. It has no name: what somebody calls a file is content. */
export type Upload = {
  /** Its first bytes, all of a small file: enough to tell what it is. To be looked at before it is read. */
  readonly head: Buffer
  /** Its size, or the most that it can be as long as not all of it has come. */
  readonly atMostBytes: number
  /** Whether all of it has come, so that `atMostBytes` is its size. */
  readonly arrived: boolean
  /**
   * Whether it can be read from its beginning. What was read is kept only as long as there is room, so who may have to read twice
   * asks this first.
   */
  readonly fromStart: boolean
  /**
   * Its bytes from the beginning, as they come. Where the reader is slow the caller is made to wait. One reads at a time: who
   * begins anew ends the one before. Throws the signal's reason when that is aborted, which is also how an upload that breaks off ends.
   */
  read(signal: Signal): AsyncGenerator<Buffer, void, undefined>
}
