/** A hub on a free loopback port, as good or as bad as a test wants it: ranges, validators, lists of files, redirects, cut lines. */
import { createHash } from 'node:crypto'
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'

export type HubContent = {
  bytes: Buffer
  /** What the list says of it; the truth where it is left out. */
  announcedSize?: number
  announcedSha256?: string
  /** In git itself, as small files are. */
  small?: boolean
}

export type Asked = { readonly path: string; readonly headers: IncomingMessage['headers'] }

export type TestHub = {
  readonly url: string
  readonly asked: Asked[]
  /** By `org/repo/path`. */
  readonly files: Map<string, HubContent>
  /** Answers instead of the hub where it returns true. */
  handle: ((request: IncomingMessage, response: ServerResponse, count: number) => boolean) | null
  /** Before a body is sent: how many of its bytes, after which the line is cut; null for all. */
  cut: (path: string, bytes: number) => number | null
  ranges: boolean
  etags: boolean
  /** Bytes of bodies that were sent. */
  sent: number
  close(): Promise<void>
}

export const sha256Of = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
const gitOf = (bytes: Buffer): string => createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex')

/** The same bytes for the same seed. */
export function bytesOf(sizeBytes: number, seed: number): Buffer {
  const bytes = Buffer.allocUnsafe(sizeBytes)
  let state = (seed * 2654435761) >>> 0 || 1
  for (let at = 0; at < sizeBytes; at++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    bytes[at] = state & 255
  }
  return bytes
}

export async function startHub(files: Readonly<Record<string, HubContent | Buffer>>): Promise<TestHub> {
  const open = new Set<Socket>()
  let count = 0
  const server = createServer((request, response) => {
    hub.asked.push({ path: request.url ?? '', headers: request.headers })
    response.on('error', () => undefined)
    if (hub.handle?.(request, response, count++)) return
    answer(hub, request, response)
  })
  server.on('connection', (socket) => {
    open.add(socket)
    socket.on('close', () => open.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  // A server that listens on TCP has an address and a port.
  const { port } = server.address() as AddressInfo
  const hub: TestHub = {
    url: `http://127.0.0.1:${port}`,
    asked: [],
    files: new Map(Object.entries(files).map(([path, content]) => [path, Buffer.isBuffer(content) ? { bytes: content } : content])),
    handle: null,
    cut: () => null,
    ranges: true,
    etags: true,
    sent: 0,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const socket of open) socket.destroy()
      }),
  }
  return hub
}

function answer(hub: TestHub, request: IncomingMessage, response: ServerResponse): void {
  const { pathname } = new URL(request.url ?? '', hub.url)
  const [, listed] = /^\/api\/models\/([^/]+\/[^/]+)\/tree\//.exec(pathname) ?? []
  if (listed !== undefined) return list(hub, listed, response)
  const [, repository = '', path = ''] = /^\/([^/]+\/[^/]+)\/resolve\/[^/]+\/(.+)$/.exec(pathname) ?? []
  const content = hub.files.get(`${repository}/${decodeURIComponent(path)}`)
  if (!content) {
    response.writeHead(404).end('no such file')
    return
  }
  sendFile(hub, content.bytes, request, response)
}

/** A file as a server with ranges and validators sends it; `hub.cut` may end it early. */
export function sendFile(hub: TestHub, bytes: Buffer, request: IncomingMessage, response: ServerResponse): void {
  const etag = `"${sha256Of(bytes).slice(0, 16)}"`
  const validator = hub.etags ? { etag } : {}
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? []
  const ifRange = request.headers['if-range']
  const partial = hub.ranges && first !== undefined && (ifRange === undefined || ifRange === etag)
  const from = partial ? Number(first) : 0
  const to = partial && last ? Math.min(Number(last) + 1, bytes.length) : bytes.length
  if (partial && from >= bytes.length) {
    response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end()
    return
  }
  const body = bytes.subarray(from, to)
  response.writeHead(partial ? 206 : 200, {
    ...validator,
    'content-length': body.length,
    ...(partial ? { 'content-range': `bytes ${from}-${to - 1}/${bytes.length}` } : {}),
  })
  const cut = hub.cut(request.url ?? '', body.length)
  if (cut === null || cut >= body.length) {
    hub.sent += body.length
    response.end(body)
    return
  }
  hub.sent += cut
  response.write(body.subarray(0, cut), () => response.socket?.end())
}

function list(hub: TestHub, repository: string, response: ServerResponse): void {
  const entries = [...hub.files].flatMap(([name, { bytes, announcedSize, announcedSha256, small }]) => {
    if (!name.startsWith(`${repository}/`)) return []
    const size = announcedSize ?? bytes.length
    const path = name.slice(repository.length + 1)
    if (small) return [{ type: 'file', oid: gitOf(bytes), size, path }]
    return [{ type: 'file', oid: '0'.repeat(40), size, path, lfs: { oid: announcedSha256 ?? sha256Of(bytes), size, pointerSize: 135 } }]
  })
  if (entries.length === 0) {
    response.writeHead(404).end('{}')
    return
  }
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(entries))
}
