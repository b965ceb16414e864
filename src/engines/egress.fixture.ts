/** What the tests of the network door share: upstreams, doors to them, and their closing after each test. */
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { afterEach } from 'vitest'
import { Egress, type EgressOptions, type EgressRequest } from './egress.ts'
import { type Answering, type Upstream, startUpstream } from './upstream.fixture.ts'

export const opened: { close(): Promise<void> }[] = []

afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close()
})

export async function upstreamThat(answer: (answering: Answering) => void | Promise<void>): Promise<Upstream> {
  const upstream = await startUpstream(answer)
  opened.push(upstream)
  return upstream
}

export function egressTo(baseUrl: string, different: Partial<EgressOptions> = {}): Egress {
  const egress = new Egress({ baseUrl, headers: {}, allowPrivateAddresses: true, ...different })
  opened.push(egress)
  return egress
}

/** A server of raw bytes, for what no HTTP server would do; `answer` gets each request's socket and how many came on it. */
export async function rawUpstream(answer: (socket: Socket, count: number) => void): Promise<{ baseUrl: string; sockets: () => number }> {
  const open = new Set<Socket>()
  let sockets = 0
  const server = createServer((socket) => {
    sockets++
    open.add(socket)
    let count = 0
    socket.on('error', () => undefined)
    socket.on('data', () => answer(socket, count++))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  opened.push({
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const socket of open) socket.destroy()
      }),
  })
  // A server that listens on TCP has an address and a port.
  const { port } = server.address() as AddressInfo
  return { baseUrl: `http://127.0.0.1:${port}`, sockets: () => sockets }
}

export const ask = (different: Partial<EgressRequest> = {}): EgressRequest => ({
  method: 'POST',
  path: '/chat',
  body: '{"a":1}',
  accept: 'application/json',
  signal: new AbortController().signal,
  firstByteMs: 10_000,
  stallMs: 10_000,
  ...different,
})

export function leaving(): { signal: AbortSignal; leave: () => void } {
  const controller = new AbortController()
  return { signal: controller.signal, leave: () => controller.abort() }
}

export const ignore = { data: () => undefined }
