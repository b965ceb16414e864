/** A real HTTP server on a free loopback port whose answers a test writes itself, byte for byte where it wants to. */
import { type IncomingHttpHeaders, type IncomingMessage, type ServerResponse, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export type Asked = {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export type Answering = {
  readonly asked: Asked
  readonly response: ServerResponse
  readonly request: IncomingMessage
  /** Resolves when the caller's side of this exchange is gone. */
  readonly left: Promise<void>
}

export type Upstream = {
  /** With `/v1` at its end. */
  readonly baseUrl: string
  readonly asked: Asked[]
  /** Sockets that were ever opened. */
  readonly sockets: () => number
  /** Resolves when the caller of the exchange with this number, counted from 0, has gone. */
  readonly left: (exchange: number) => Promise<void>
  readonly close: () => Promise<void>
}

export async function startUpstream(answer: (answering: Answering) => void | Promise<void>): Promise<Upstream> {
  const asked: Asked[] = []
  const lefts: Promise<void>[] = []
  let sockets = 0
  const server = createServer((request, response) => {
    const left = new Promise<void>((resolve) => response.once('close', resolve))
    const pieces: Buffer[] = []
    request.on('data', (piece: Buffer) => pieces.push(piece))
    request.on('end', () => {
      const body = Buffer.concat(pieces).toString('utf8')
      const one: Asked = { method: request.method ?? '', url: request.url ?? '', headers: request.headers, body }
      asked.push(one)
      lefts.push(left)
      void answer({ asked: one, response, request, left })
    })
  })
  server.on('connection', () => sockets++)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  // A server that listens on TCP has an address and a port.
  const { port } = server.address() as AddressInfo
  return {
    baseUrl: `http://127.0.0.1:${port}/v1`,
    asked,
    sockets: () => sockets,
    left: (exchange) => lefts[exchange] ?? Promise.reject(new Error('there was no such exchange')),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** Writes an answer in portions of so many bytes, each in a packet of its own as far as the system lets it. */
export async function writeInPortions(response: ServerResponse, bytes: Buffer, portion: number): Promise<void> {
  response.socket?.setNoDelay(true)
  for (let at = 0; at < bytes.length; at += portion) {
    if (response.destroyed) return
    response.write(bytes.subarray(at, at + portion))
    await new Promise(setImmediate)
  }
  response.end()
}
