/** Takes connections in and lets them go: one socket server, and a look at every connection once a second. */
import { type Server, createServer } from 'node:net'
import { Connection } from './connection.ts'
import type { Exchange } from './exchange.ts'

const SWEEP_MS = 1_000
const BACKLOG = 1_024

export type ListenerOptions = {
  readonly idleMs: number
  readonly bodyMs: number
  readonly tick: () => number
  readonly now: () => number
  /** Takes every request. Must not throw. */
  readonly serve: (exchange: Exchange) => void
}

export class Listener {
  readonly #server: Server
  readonly #connections = new Set<Connection>()
  readonly #tick: () => number
  #sweeping: NodeJS.Timeout | null = null
  #stopping = false

  constructor(options: ListenerOptions) {
    this.#tick = options.tick
    const shared = {
      ...options,
      stopping: () => this.#stopping,
      closed: (connection: Connection) => void this.#connections.delete(connection),
    }
    this.#server = createServer(
      { noDelay: true, allowHalfOpen: true },
      (socket) => void this.#connections.add(new Connection(socket, shared)),
    )
  }

  /** The port it listens on, once it does. */
  get port(): number {
    const address = this.#server.address()
    return typeof address === 'object' && address ? address.port : 0
  }

  get stopping(): boolean {
    return this.#stopping
  }

  /** Resolves once it listens; rejects with the system's error. */
  listen(port: number, host: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen({ port, host, backlog: BACKLOG }, () => {
        this.#server.off('error', reject)
        this.#sweeping = setInterval(() => this.#sweep(), SWEEP_MS).unref()
        resolve()
      })
    })
  }

  /** Takes no more connections, and closes each as soon as nothing is being answered on it. Resolves when all are closed. */
  async close(): Promise<void> {
    this.#stopping = true
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    for (const connection of this.#connections) connection.retire()
    await closed
    if (this.#sweeping) clearInterval(this.#sweeping)
  }

  /** Closes every connection at once. */
  cut(): void {
    for (const connection of this.#connections) connection.destroy()
  }

  #sweep(): void {
    const now = this.#tick()
    for (const connection of this.#connections) {
      if (this.#stopping) connection.retire()
      connection.sweep(now)
    }
  }
}
