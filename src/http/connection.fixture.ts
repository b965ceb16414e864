/** What the tests of connections share: a server of nothing but connections, whose time the test owns, and callers of raw bytes. */
import { once } from 'node:events'
import { type AddressInfo, type Socket, connect, createServer } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { afterEach } from 'vitest'
import type { ConnectionOptions } from './connection-options.ts'
import { Connection } from './connection.ts'
import type { Exchange } from './exchange.ts'

/** The longest that a test waits for anything to come. */
const WAIT_MS = 10_000
/** The Unix time that answers are dated by. */
export const NOW = Date.UTC(2026, 0, 2, 3, 4, 5)
export const DATE = 'Fri, 02 Jan 2026 03:04:05 GMT'

const opened: (() => void)[] = []
afterEach(() => opened.splice(0).forEach((close) => close()))

export type Serving = {
  readonly connections: ReadonlySet<Connection>
  /** The requests so far, in order. */
  readonly exchanges: readonly Exchange[]
  /** Lets time pass, and looks at every connection once. */
  pass(ms: number): void
  /** Takes no more requests. */
  retire(): void
  caller(): Promise<Caller>
}

export async function serving(serve: (exchange: Exchange) => unknown, more: Partial<ConnectionOptions> = {}): Promise<Serving> {
  const connections = new Set<Connection>()
  const exchanges: Exchange[] = []
  const sockets = new Set<Socket>()
  let tick = 0
  let stopping = false
  const options: ConnectionOptions = {
    idleMs: 75_000,
    bodyMs: 300_000,
    tick: () => tick,
    now: () => NOW,
    stopping: () => stopping,
    closed: (connection) => void connections.delete(connection),
    serve(exchange) {
      exchanges.push(exchange)
      void serve(exchange)
    },
    ...more,
  }
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    connections.add(new Connection(socket, options))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  // A server that listens on TCP has an address and a port.
  const { port } = server.address() as AddressInfo
  opened.push(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return {
    connections,
    exchanges,
    pass(ms) {
      tick += ms
      for (const connection of connections) connection.sweep(tick)
    },
    retire() {
      stopping = true
      for (const connection of connections) connection.retire()
    },
    async caller() {
      const caller = await Caller.at(port)
      await until(() => {
        caller.server = [...sockets].find((socket) => socket.remotePort === caller.port) ?? null
        return caller.server !== null
      })
      return caller
    },
  }
}

/** Waits turn by turn. */
export async function until(holds: () => boolean): Promise<void> {
  const signal = AbortSignal.timeout(WAIT_MS)
  while (!holds()) {
    if (signal.aborted) throw new Error('what was waited for did not come')
    await turn()
  }
}

export class Caller {
  readonly socket: Socket
  /** The other end of the connection. */
  server: Socket | null = null
  /** All that came back, one character a byte. */
  text = ''
  /** How the server closed the connection, once it has. */
  closed: 'no' | 'ended' | 'reset' = 'no'

  private constructor(socket: Socket) {
    this.socket = socket
    opened.push(() => socket.destroy())
    socket.setEncoding('latin1').on('data', (piece: string) => (this.text += piece))
    socket.on('end', () => (this.closed = 'ended'))
    socket.on('error', () => (this.closed = 'reset'))
  }

  static async at(port: number): Promise<Caller> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    await once(socket, 'connect')
    return new Caller(socket)
  }

  get port(): number {
    return this.socket.localPort ?? 0
  }

  /** Sends bytes, one a character, and resolves once the server has read them, apart from those that follow. */
  async send(text: string): Promise<void> {
    const wanted = (this.server?.bytesRead ?? 0) + text.length
    this.socket.write(text, 'latin1')
    await until(() => (this.server?.bytesRead ?? 0) >= wanted || this.closed !== 'no' || this.server?.destroyed === true)
  }

  /** Waits until this text has come, and gives all that has. */
  async until(text: string): Promise<string> {
    await until(() => this.text.includes(text) || this.closed !== 'no')
    if (!this.text.includes(text)) throw new Error(`${this.closed} without ${text}: ${this.text}`)
    return this.text
  }

  /** Waits until the server closes, and gives all that came. */
  async end(): Promise<string> {
    await until(() => this.closed !== 'no')
    return this.text
  }

  /** The statuses of all answers so far. */
  get statuses(): number[] {
    return [...this.text.matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, status]) => Number(status))
  }
}

/** Answers with what was asked. */
export async function echo(exchange: Exchange): Promise<void> {
  try {
    const body = await exchange.body(1024 * 1024)
    exchange.answer(200, '', `${exchange.head.method} ${exchange.head.target} ${body.toString('latin1')};`)
  } catch {
    exchange.answer(400, '', 'no body;')
  }
}
