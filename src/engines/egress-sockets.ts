/**
 * The connections of the network door to one upstream: the idle ones for the next request, and a bound for all.
 *
 * Which of them has served before is known, because a request may be sent again only where a kept-alive connection was
 * closed under it, and only on a new one.
 */
import { fail } from '../core/errors.ts'
import { AddressRefused, allowsHost } from './address-guard.ts'
import { Connection, type Keeper, type Target } from './egress-connection.ts'
import { connectFailure } from './upstream-error.ts'

/** Connections to one upstream; a request beyond them is told that the model is at capacity. */
const CONNECTIONS = 1024
const CONNECT_MS = 10_000

export type SocketOptions = {
  /** Whether the upstream may be in this machine or its network. */
  readonly allowPrivateAddresses: boolean
  /** A Unix socket that all connections go to, whatever the base URL says; that has to be plain http. */
  readonly socketPath?: string
  readonly maxConnections?: number
  /** Milliseconds until a connection is open: the look-up of the name and the TLS handshake included. */
  readonly connectMs?: number
}

/** Why requests under way on connections that are closed from this side fail. */
export class EngineClosed extends Error {
  readonly code = 'ENGINE_CLOSED'
}

export class Sockets implements Keeper {
  readonly #target: Target
  readonly #limit: number
  /** Last in, first out: few hot connections, and the others close when their time is over. */
  readonly #idle: Connection[] = []
  readonly #all = new Set<Connection>()
  #closed = false

  constructor({ protocol, hostname, port }: URL, { allowPrivateAddresses, socketPath, maxConnections, connectMs }: SocketOptions) {
    const tls = protocol === 'https:'
    this.#limit = maxConnections ?? CONNECTIONS
    this.#target = {
      tls,
      host: hostname.startsWith('[') ? hostname.slice(1, -1) : hostname,
      port: port === '' ? (tls ? 443 : 80) : Number(port),
      socketPath: socketPath ?? null,
      allowPrivateAddresses,
      connectMs: connectMs ?? CONNECT_MS,
      session: null,
    }
  }

  /** An idle connection, or a new one; never an idle one where a fresh one is asked for. Throws a `Failure`. */
  take(fresh: boolean): Connection {
    if (this.#closed) throw fail('SHUTTING_DOWN', { internal: 'engine_closed' })
    const idle = fresh ? undefined : this.#idle.pop()
    if (idle) return idle
    if (!allowsHost(this.#target.host, this.#target.allowPrivateAddresses)) throw connectFailure(new AddressRefused())
    if (this.#all.size >= this.#limit) throw fail('MODEL_AT_CAPACITY', { internal: 'engine_connections' })
    const connection = new Connection(this.#target, this)
    this.#all.add(connection)
    return connection
  }

  /** Takes back a connection whose answer came whole: to be used again, if it can be. */
  giveBack(connection: Connection): void {
    if (connection.release()) this.#idle.push(connection)
  }

  gone(connection: Connection): void {
    this.#all.delete(connection)
    const at = this.#idle.lastIndexOf(connection)
    if (at !== -1) this.#idle.splice(at, 1)
  }

  /** Closes every connection; resolves once the system has let go of all. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#all].map((connection) => connection.end(new EngineClosed())))
  }
}
