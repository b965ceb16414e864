/**
 * The download of one file: in parts, several at a time, to `<file>.part`, with a journal beside it. Cut anywhere, it goes on from what
 * the journal knows; changed at the server, it begins anew; whole, its hash is checked and it gets its name.
 */
import type { FileHandle } from 'node:fs/promises'
import type { Downloads } from '../core/downloads.ts'
import { finish, hashesOf, openForParts, remove } from './disk.ts'
import { Journal } from './journal.ts'
import { type Identity, Part } from './part.ts'
import { type Range, Ranges } from './ranges.ts'
import type { DownloadBounds } from './settings.ts'
import { Changed, Trouble, troubleOf } from './trouble.ts'

/** How often a file may turn out to be another one before that is given up. */
const FRESH_STARTS = { changed: 3, hash: 1 } as const
const WHY = {
  changed: 'has another file each time it is asked',
  hash: 'sends another file than the one that was announced: its hash differs',
} as const
const BACKOFF_MAX_MS = 30_000
/** An attempt that brought less has brought nothing, or a line that is cut at every byte would be tried for ever. */
const PROGRESS_BYTES = 1024

const backoffMs = (bounds: DownloadBounds, failures: number): number => Math.min(BACKOFF_MAX_MS, bounds.backoffMs * 2 ** (failures - 1))

/** What is known of a file before any of it is here. */
export type WantedFile = {
  /** Where it goes. */
  readonly path: string
  readonly url: string
  readonly token: { reveal(): string } | null
  readonly sizeBytes: number | null
  /** Any of those that the hub or the registry announced; all that are there are checked. */
  readonly sha256: readonly string[]
  readonly gitSha1: string | null
}

export type TransferOptions = {
  readonly downloads: Downloads
  readonly bounds: DownloadBounds
  /** Waits; rejects when the signal is aborted. */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>
  /** Bytes that came. */
  readonly onBytes: (bytes: number) => void
  /** Bytes that were there already; negative for what was thrown away. */
  readonly onFound: (bytes: number) => void
  /** Bytes that were hashed. */
  readonly onChecked: (bytes: number) => void
  /** Its size is known; rejects where there is no room for what is missing. */
  readonly onSize: (sizeBytes: number, missingBytes: number) => Promise<void>
}

export type FetchedFile = { readonly sizeBytes: number; readonly sha256: string }

export class Transfer {
  readonly #wanted: WantedFile
  readonly #options: TransferOptions
  readonly #host: string
  readonly #part: string
  readonly #journal: Journal
  /** Whether what the last attempt left can be added to. */
  #keeps = true

  constructor(wanted: WantedFile, options: TransferOptions) {
    this.#wanted = wanted
    this.#options = options
    this.#host = new URL(wanted.url).host
    this.#part = `${wanted.path}.part`
    this.#journal = new Journal(`${wanted.path}.part.journal`)
  }

  /** Rejects with a `Trouble`, or with the signal's reason; what has come by then is kept. */
  async run(signal: AbortSignal): Promise<FetchedFile> {
    const { bounds, wait } = this.#options
    const starts = { changed: 0, hash: 0, cut: 0 }
    for (;;) {
      try {
        return await this.#once(signal)
      } catch (error) {
        signal.throwIfAborted()
        if (error instanceof Changed) {
          await this.#discard()
          if (++starts[error.why] > FRESH_STARTS[error.why]) throw new Trouble(`${this.#host} ${WHY[error.why]}.`)
          continue
        }
        const trouble = troubleOf(error, this.#host)
        // A server without ranges sends all of it again; for one with them all attempts have been made.
        if (!trouble.passing || this.#keeps || ++starts.cut > bounds.retries) throw trouble
        await wait(trouble.retryAfterMs ?? backoffMs(bounds, starts.cut), signal)
      } finally {
        await this.#journal.close()
      }
    }
  }

  async #once(signal: AbortSignal): Promise<FetchedFile> {
    const digest = this.#announced()
    const found = await this.#journal.read(this.#part)
    const fits = found && found.head.digest === digest && (this.#wanted.sizeBytes ?? found.head.sizeBytes) === found.head.sizeBytes
    if (!fits) await remove(this.#part)
    const file = await openForParts(this.#part)
    const flow = new Flow(this.#wanted, file, this.#journal, this.#host, digest, this.#options)
    try {
      await flow.run(fits ? found : null, signal)
      await file.sync()
    } catch (error) {
      this.#keeps = flow.keeps
      // What a server without ranges sent cannot be added to, and what is another file by now is not wanted.
      if (flow.bytes > 0 && (error instanceof Changed || !flow.keeps)) this.#options.onFound(-flow.bytes)
      if (!flow.keeps) await this.#journal.remove()
      throw error
    } finally {
      await file.close()
    }
    return this.#checked(flow.bytes, signal)
  }

  async #checked(bytes: number, signal: AbortSignal): Promise<FetchedFile> {
    const { sizeBytes, sha256, gitSha1 } = this.#wanted
    const hashes = await hashesOf(this.#part, signal, this.#options.onChecked, gitSha1 !== null)
    const wrong =
      (sizeBytes !== null && hashes.sizeBytes !== sizeBytes) ||
      sha256.some((announced) => announced !== hashes.sha256) ||
      (gitSha1 !== null && gitSha1 !== hashes.gitSha1)
    if (wrong) {
      this.#options.onFound(-bytes)
      this.#options.onChecked(-hashes.sizeBytes)
      throw new Changed('hash')
    }
    await finish(this.#part, this.#wanted.path)
    await this.#journal.remove()
    return { sizeBytes: hashes.sizeBytes, sha256: hashes.sha256 }
  }

  #announced(): string | null {
    return this.#wanted.sha256[0] ?? this.#wanted.gitSha1
  }

  async #discard(): Promise<void> {
    await this.#journal.remove()
    await remove(this.#part)
  }
}

/** The parts of one file on their way, over one open file. */
class Flow {
  /** Whether what is here can be added to later. */
  keeps = true
  readonly #wanted: WantedFile
  readonly #file: FileHandle
  readonly #journal: Journal
  readonly #host: string
  readonly #digest: string | null
  readonly #options: TransferOptions
  #ranges = new Ranges()
  #known: Identity | null = null
  #queue: Range[] = []
  #failures = 0
  /** Written and not in the journal yet, and what is just being noted. */
  #unnoted: Range[] = []
  #noting: Promise<void> = Promise.resolve()

  constructor(wanted: WantedFile, file: FileHandle, journal: Journal, host: string, digest: string | null, options: TransferOptions) {
    this.#wanted = wanted
    this.#file = file
    this.#journal = journal
    this.#host = host
    this.#digest = digest
    this.#options = options
  }

  get bytes(): number {
    return this.#ranges.bytes
  }

  async run(found: Awaited<ReturnType<Journal['read']>>, signal: AbortSignal): Promise<void> {
    const { bounds, onFound } = this.#options
    if (this.#wanted.sizeBytes === 0) return
    if (found) {
      this.#ranges = found.ranges
      this.#known = { sizeBytes: found.head.sizeBytes, validator: found.head.validator, ranges: true }
      onFound(found.ranges.bytes)
    } else await this.#first(signal)
    const { sizeBytes } = this.#known ?? {}
    if (sizeBytes === null || sizeBytes === undefined) return
    this.#queue = this.#ranges.missing(sizeBytes, bounds.partBytes)
    if (found && this.#queue.length > 0) await this.#options.onSize(sizeBytes, sizeBytes - this.#ranges.bytes)
    await this.#all(Math.min(bounds.connections, this.#queue.length), signal)
  }

  /** The beginning: its answer says what file it is, and whether more of it can be asked for beside it. */
  async #first(signal: AbortSignal): Promise<void> {
    const size = Math.min(this.#options.bounds.partBytes, this.#wanted.sizeBytes ?? Number.MAX_SAFE_INTEGER)
    await this.#fetched({ from: 0, to: size }, signal)
  }

  async #all(workers: number, signal: AbortSignal): Promise<void> {
    const stop = new AbortController()
    const both = AbortSignal.any([signal, stop.signal])
    const results = await Promise.allSettled(
      Array.from({ length: workers }, async () => {
        try {
          for (let range = this.#queue.shift(); range; range = this.#queue.shift()) await this.#fetched(range, both)
        } catch (error) {
          // The first one to fail for good ends the others; what they threw after that is only that.
          if (!stop.signal.aborted) stop.abort(error)
          throw error
        }
      }),
    )
    signal.throwIfAborted()
    if (stop.signal.aborted) throw stop.signal.reason
    for (const result of results) if (result.status === 'rejected') throw result.reason
  }

  /** Gets a range, with as many attempts as that takes and the bounds allow. */
  async #fetched(range: Range, signal: AbortSignal): Promise<void> {
    const { bounds, wait } = this.#options
    for (let at = range.from; at < range.to; ) {
      signal.throwIfAborted()
      const before = at
      try {
        at = await this.#part(at, range.to, signal)
        this.#failures = 0
        if (this.#known?.ranges === false || at >= (this.#known?.sizeBytes ?? range.to)) return
        if (at === before) throw new Trouble(`${this.#host} sends nothing.`, { passing: true })
      } catch (error) {
        signal.throwIfAborted()
        if (error instanceof Changed) throw error
        const trouble = troubleOf(error, this.#host)
        if (!trouble.passing || !this.keeps) throw trouble
        at = Math.max(at, this.#reached.get(range.to) ?? at)
        this.#failures = at - before >= PROGRESS_BYTES ? 1 : this.#failures + 1
        if (this.#failures > bounds.retries) throw trouble
        await wait(trouble.retryAfterMs ?? backoffMs(bounds, this.#failures), signal)
      }
    }
  }

  /** How far the range that ends there has come, for the attempt after one that broke off. */
  readonly #reached = new Map<number, number>()

  async #part(from: number, to: number, signal: AbortSignal): Promise<number> {
    let sized: Promise<void> | null = null
    const part = new Part({
      file: this.#file,
      host: this.#host,
      from,
      to,
      known: this.#known,
      identified: (identity) => {
        if (this.#known) return
        this.#identified(identity)
        if (identity.sizeBytes !== null) sized = this.#begun(identity.sizeBytes)
        sized?.catch(() => undefined)
      },
      written: async (begin, end) => {
        await sized
        await this.#written(begin, end)
      },
    })
    const ifRange = this.#known?.ranges ? this.#known.validator : null
    const { url, token } = this.#wanted
    const { downloads, bounds } = this.#options
    try {
      await downloads.get(url, { from, to: to - 1, ifRange, accept: '*/*', token, signal, stallMs: bounds.stallMs }, part)
      await part.flush()
    } catch (error) {
      // What came before the line was cut is as good as any other.
      await part.flush()
      throw error
    } finally {
      this.#reached.set(to, part.at)
      await this.#note()
    }
    return part.at
  }

  #identified(identity: Identity): void {
    const { sizeBytes } = this.#wanted
    if (sizeBytes !== null && identity.sizeBytes !== null && identity.sizeBytes !== sizeBytes)
      throw new Trouble(`${this.#host} has a file of ${identity.sizeBytes} bytes where ${sizeBytes} were announced.`)
    this.#known = identity
    this.keeps = identity.ranges
  }

  async #begun(sizeBytes: number): Promise<void> {
    await this.#options.onSize(sizeBytes, sizeBytes)
    if (this.#known?.ranges) await this.#journal.begin({ sizeBytes, validator: this.#known.validator, digest: this.#digest })
  }

  async #written(from: number, to: number): Promise<void> {
    this.#ranges.add(from, to)
    this.#unnoted.push({ from, to })
    this.#options.onBytes(to - from)
    const unnoted = this.#unnoted.reduce((sum, range) => sum + range.to - range.from, 0)
    if (unnoted >= this.#options.bounds.journalBytes) await this.#note()
  }

  /** One after another, so that a line is never in the middle of another. */
  #note(): Promise<void> {
    const noting = this.#noting.then(async () => {
      const ranges = this.#unnoted
      this.#unnoted = []
      // What is whole is checked next, and needs no journal.
      if (ranges.length === 0 || !this.#known?.ranges || this.#ranges.bytes === this.#known.sizeBytes) return
      const joined = new Ranges()
      for (const { from, to } of ranges) joined.add(from, to)
      await this.#file.datasync()
      for (const { from, to } of joined.pieces) await this.#journal.note(from, to)
    })
    this.#noting = noting.catch(() => undefined)
    return noting
  }
}
