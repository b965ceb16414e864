/** The way in for files: ranged GETs that follow redirects, done by the network door (`engines/downloads.ts`). */
import type { Signal } from './cancel.ts'

export type DownloadAsk = {
  /** The first byte that is wanted, and the last; null for all from `from` on. */
  readonly from: number
  readonly to: number | null
  /** The validator of the file that the rest is here of: the server sends the range only if it still is that file. */
  readonly ifRange: string | null
  readonly accept: string
  /** A bearer token for the host of the address, and for no other that it redirects to. */
  readonly token: { reveal(): string } | null
  readonly signal: Signal
  /** Milliseconds until the first byte of the answer, and between two reads of it. */
  readonly stallMs: number
}

export type DownloadHead = {
  readonly status: number
  /** Whether another host than the one that was asked answers. */
  readonly elsewhere: boolean
  /** Lower-case names: `etag`, `last-modified`, `content-range`, `content-length`, `link`, `retry-after`. */
  readonly headers: Readonly<Record<string, string | undefined>>
}

/** Takes one answer, whatever its status. What either throws ends the download and is what `get` rejects with. */
export type DownloadTaker = {
  head(head: DownloadHead): void
  /** Bytes in order; a promise stops the reading until it resolves. */
  data(chunk: Buffer): void | Promise<void>
}

export type Downloads = {
  /**
   * Resolves when the whole answer was taken. Rejects with a `Failure` whose `internal` says why where none came, or where it broke
   * off; with the signal's reason, or that the caller left, when it is aborted.
   */
  get(url: string, ask: DownloadAsk, taker: DownloadTaker): Promise<void>
  close(): Promise<void>
}
