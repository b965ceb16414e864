/** Why a download or a check did not go well, in a sentence for the operator. Made of our own words, names and numbers. */
import { Failure } from '../core/errors.ts'

export class Trouble extends Error {
  /** Whether the same may go well a moment later. */
  readonly passing: boolean
  /** After how long it is worth trying, where the server said so. */
  readonly retryAfterMs: number | null

  constructor(say: string, options: { readonly passing?: boolean; readonly retryAfterMs?: number | null } = {}) {
    super(say)
    this.name = 'Trouble'
    this.passing = options.passing ?? false
    this.retryAfterMs = options.retryAfterMs ?? null
  }
}

/** What is here is of no use: the server has another file by now, or what came is not the one that was announced. */
export class Changed extends Error {
  readonly why: 'changed' | 'hash'

  constructor(why: 'changed' | 'hash') {
    super(why)
    this.why = why
  }
}

const REASONS: Readonly<Record<string, string>> = {
  upstream_refused: 'refuses connections',
  upstream_dns: 'is not known by that name; this machine seems to be offline',
  upstream_connect_timeout: 'does not answer; this machine may be offline',
  upstream_unreachable: 'cannot be reached; this machine may be offline',
  upstream_tls: 'has no valid certificate',
  upstream_first_byte: 'does not answer',
  upstream_stalled: 'has stopped sending',
  upstream_died: 'cut the line',
  upstream_reset: 'cut the line',
  upstream_protocol: 'does not speak HTTP',
}

/** What is beyond repair by trying again. */
const FINAL: Readonly<Record<string, string>> = {
  upstream_address_refused:
    'is an address of this machine or its network; set download.allowPrivateAddresses in local-models.json to fetch files from there',
  download_address: 'sends to an address that no file is fetched from: https only, and no user or password in it',
  download_redirects: 'sends from one address to the next without end',
  upstream_request: 'has an address that HTTP does not allow',
}

/** What a failure of the network door, the disk or this room means for a download from `host`. */
export function troubleOf(error: unknown, host: string): Trouble {
  if (error instanceof Trouble) return error
  if (error instanceof Failure) {
    const internal = error.internal ?? ''
    const final = FINAL[internal]
    if (final !== undefined) return new Trouble(`${host} ${final}.`)
    return new Trouble(`${host} ${REASONS[internal] ?? 'does not answer as a file server does'}.`, { passing: true })
  }
  const code = error instanceof Error && 'code' in error ? error.code : null
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new Trouble('The disk is full; what has come is kept, and the download can be resumed.')
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') return new Trouble('The folder of models cannot be written.')
  return new Trouble(`The download failed on this machine (${typeof code === 'string' ? code : 'unknown reason'}).`)
}
