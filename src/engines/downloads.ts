/**
 * The network door for files: ranged GETs that follow redirects. Each hop goes through the door of its own origin, with its checks of
 * addresses; a token is for the first host only, and nothing that came over https goes on over http.
 */
import { callerLeft, fail } from '../core/errors.ts'
import type { DownloadAsk, DownloadHead, DownloadTaker, Downloads } from '../core/downloads.ts'
import { Egress, type Receiver } from './egress.ts'
import type { RangeFields } from './egress-head.ts'
import type { UpstreamHeaders } from './upstream-error.ts'

/** Hops that one download may take: the hub renames, then sends to where its files lie. */
const REDIRECTS = 5
/** Origins that connections are kept to. */
const ORIGINS = 16
const REDIRECT_STATUSES: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

export type DownloadOptions = {
  /** Whether files may come from this machine or its network. An address that they redirect to is held to the same. */
  readonly allowPrivateAddresses: boolean
  readonly connectMs?: number
}

export class DownloadDoor implements Downloads {
  readonly #options: DownloadOptions
  readonly #doors = new Map<string, Egress>()

  constructor(options: DownloadOptions) {
    this.#options = options
  }

  async get(url: string, ask: DownloadAsk, taker: DownloadTaker): Promise<void> {
    let at = this.#allowed(url, null)
    const { host } = at
    for (let hop = 0; hop <= REDIRECTS; hop++) {
      const token = at.host === host ? ask.token : null
      const receiver = new HopReceiver(taker, at.host !== host)
      try {
        await this.#door(at.origin).send(
          {
            method: 'GET',
            path: at.pathname + at.search,
            fromRoot: true,
            accept: ask.accept,
            range: fieldsOf(ask, token),
            anyStatus: true,
            signal: ask.signal,
            firstByteMs: ask.stallMs,
            stallMs: ask.stallMs,
          },
          receiver,
        )
        return
      } catch (error) {
        if (!(error instanceof Redirected)) throw error
        if (ask.signal.aborted) throw callerLeft()
        at = this.#allowed(error.location, at)
      }
    }
    throw fail('INFERENCE_FAILED', { internal: 'download_redirects' })
  }

  async close(): Promise<void> {
    await Promise.all([...this.#doors.values()].map((door) => door.close()))
  }

  /** Throws a `Failure` for what no file is fetched from. */
  #allowed(address: string, from: URL | null): URL {
    const url = URL.canParse(address, from?.href) ? new URL(address, from?.href) : null
    const plain = url?.protocol === 'http:' && this.#options.allowPrivateAddresses && from?.protocol !== 'https:'
    if (!url || url.username !== '' || url.password !== '' || (url.protocol !== 'https:' && !plain))
      throw fail('INFERENCE_FAILED', { internal: 'download_address' })
    return url
  }

  #door(origin: string): Egress {
    const known = this.#doors.get(origin)
    if (known) {
      // The one that is used last is let go of last.
      this.#doors.delete(origin)
      this.#doors.set(origin, known)
      return known
    }
    if (this.#doors.size >= ORIGINS) {
      for (const [oldest, door] of this.#doors) {
        this.#doors.delete(oldest)
        void door.close()
        break
      }
    }
    const door = new Egress({ baseUrl: origin, headers: {}, ...this.#options })
    this.#doors.set(origin, door)
    return door
  }
}

/** Not a failure: where to ask next. */
class Redirected extends Error {
  readonly location: string

  constructor(location: string) {
    super('redirected')
    this.location = location
  }
}

class HopReceiver implements Receiver {
  readonly #taker: DownloadTaker
  readonly #elsewhere: boolean

  constructor(taker: DownloadTaker, elsewhere: boolean) {
    this.#taker = taker
    this.#elsewhere = elsewhere
  }

  head(status: number, fields: UpstreamHeaders): void {
    const headers = single(fields)
    if (REDIRECT_STATUSES.has(status) && headers['location'] !== undefined) throw new Redirected(headers['location'])
    this.#taker.head({ status, elsewhere: this.#elsewhere, headers })
  }

  data(chunk: Buffer): void | Promise<void> {
    return this.#taker.data(chunk)
  }
}

const single = (headers: UpstreamHeaders): DownloadHead['headers'] =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value[0] : value]))

const fieldsOf = ({ from, to, ifRange }: DownloadAsk, token: DownloadAsk['token']): RangeFields => ({
  range: from === 0 && to === null ? '' : `bytes=${from}-${to ?? ''}`,
  ifRange: ifRange ?? '',
  authorization: token ? `Bearer ${token.reveal()}` : '',
})
