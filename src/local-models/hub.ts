/** What the hub says of a repository: its files, their sizes, and the hashes by which they are known when they are here. */
import { z } from 'zod'
import type { DownloadHead, DownloadTaker, Downloads } from '../core/downloads.ts'
import { refusalOf } from './part.ts'
import { isSafePath } from './settings.ts'
import { Trouble, troubleOf } from './trouble.ts'

const PAGE_BYTES = 8 * 1024 * 1024
const PAGES = 20

/** `oid` is git's id of a small file's content; `lfs.oid` the SHA-256 of a large one's. */
const tree = z.array(
  z.object({
    type: z.string(),
    path: z.string(),
    size: z.int().min(0).optional(),
    oid: z.string().optional(),
    lfs: z.object({ oid: z.string(), size: z.int().min(0) }).nullish(),
  }),
)

export type HubFile = {
  readonly path: string
  readonly sizeBytes: number | null
  readonly sha256: string | null
  readonly gitSha1: string | null
}

export type HubOptions = {
  readonly downloads: Downloads
  /** Without a slash at its end. */
  readonly hub: string
  readonly token: { reveal(): string } | null
  readonly stallMs: number
  readonly retries: number
  readonly backoffMs: number
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>
}

/** All files of a repository at a revision. Rejects with a `Trouble`, or with the signal's reason. */
export async function filesOf(repository: string, revision: string, options: HubOptions, signal: AbortSignal): Promise<HubFile[]> {
  const found: HubFile[] = []
  const { hub } = options
  const missing = `${new URL(hub).host} has no ${repository}${revision === 'main' ? '' : ` at ${revision}`}.`
  let url: string | null = `${hub}/api/models/${repository}/tree/${encodeURIComponent(revision)}?recursive=true`
  for (let page = 0; url !== null; page++) {
    if (page === PAGES) throw new Trouble(`${new URL(hub).host} has too many files in ${repository}.`)
    const { body, next } = await pageOf(url, missing, options, signal)
    const entries = tree.safeParse(body)
    if (!entries.success) throw new Trouble(`${new URL(hub).host} does not list the files of ${repository} as the hub does.`)
    for (const entry of entries.data) if (entry.type === 'file' && isSafePath(entry.path)) found.push(fileOf(entry))
    url = next === null ? null : sameOrigin(next, hub)
  }
  return found
}

/** Where a file is downloaded from. */
export const addressOf = (hub: string, repository: string, revision: string, path: string): string =>
  `${hub}/${repository}/resolve/${encodeURIComponent(revision)}/${path.split('/').map(encodeURIComponent).join('/')}`

function fileOf({ path, size, oid, lfs }: z.infer<typeof tree>[number]): HubFile {
  const sha256 = lfs && /^[0-9a-f]{64}$/.test(lfs.oid) ? lfs.oid : null
  return { path, sizeBytes: lfs?.size ?? size ?? null, sha256, gitSha1: lfs || !oid || !/^[0-9a-f]{40}$/.test(oid) ? null : oid }
}

/** With as many attempts as the bounds allow. */
async function pageOf(
  url: string,
  missing: string,
  options: HubOptions,
  signal: AbortSignal,
): Promise<{ body: unknown; next: string | null }> {
  for (let attempt = 0; ; attempt++) {
    signal.throwIfAborted()
    try {
      return await onePage(url, missing, options, signal)
    } catch (error) {
      signal.throwIfAborted()
      const trouble = troubleOf(error, new URL(url).host)
      // A machine that is offline should say so at once, and not after a minute: one more attempt is enough for a list.
      if (!trouble.passing || attempt >= Math.min(1, options.retries)) throw trouble
      await options.wait(trouble.retryAfterMs ?? options.backoffMs, signal)
    }
  }
}

async function onePage(
  url: string,
  missing: string,
  { downloads, token, stallMs }: HubOptions,
  signal: AbortSignal,
): Promise<{ body: unknown; next: string | null }> {
  const page = new Page(new URL(url).host, missing)
  await downloads.get(url, { from: 0, to: null, ifRange: null, accept: 'application/json', token, signal, stallMs }, page)
  return { body: page.json(), next: page.next }
}

class Page implements DownloadTaker {
  next: string | null = null
  readonly #host: string
  readonly #missing: string
  readonly #pieces: Buffer[] = []
  #sizeBytes = 0

  /** `missing` is said where there is no such list. */
  constructor(host: string, missing: string) {
    this.#host = host
    this.#missing = missing
  }

  head({ status, elsewhere, headers }: DownloadHead): void {
    if (status === 404) throw new Trouble(this.#missing)
    if (status !== 200) throw refusalOf(status, elsewhere, this.#host, headers['retry-after'], false)
    this.next = /<([^>]+)>;\s*rel="next"/.exec(headers['link'] ?? '')?.[1] ?? null
  }

  data(chunk: Buffer): void {
    this.#sizeBytes += chunk.length
    if (this.#sizeBytes > PAGE_BYTES) throw new Trouble(`${this.#host} does not answer as the hub does.`)
    this.#pieces.push(chunk)
  }

  json(): unknown {
    try {
      return JSON.parse(Buffer.concat(this.#pieces).toString('utf8'))
    } catch {
      return null
    }
  }
}

/** The token goes along, so the next page is on the hub or nowhere. */
function sameOrigin(next: string, hub: string): string {
  const url = URL.canParse(next, hub) ? new URL(next, hub) : null
  if (url?.origin !== new URL(hub).origin) throw new Trouble(`${new URL(hub).host} sends elsewhere for the rest of its list.`)
  return url.href
}
