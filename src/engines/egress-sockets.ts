/**
 * The sockets of the network door to one upstream, each opened to a guarded address only.
 *
 * It is a stack of undici clients with one socket each, and no undici pool, because it must be known which socket has
 * served before: a request may be sent again only where a kept-alive socket was closed under it, and only on a new one.
 */
import { Client, buildConnector } from 'undici'
import { fail } from '../core/errors.ts'
import { AddressRefused, allowsHost, guardedLookup } from './address-guard.ts'

/** Sockets to one upstream; a request beyond them is told that the model is at capacity. */
const CONNECTIONS = 1024
const CONNECT_MS = 10_000

export type SocketOptions = {
  /** Whether the upstream may be in this machine or its network. */
  readonly allowPrivateAddresses: boolean
  readonly maxConnections?: number
  readonly connectMs?: number
}

/** One socket, or the place of one: undici opens it with the first request. */
export type Connection = {
  readonly client: Client
  /** Whether it has brought a whole answer before: only then may the server have closed it in the meantime. */
  served: boolean
}

export class Sockets {
  readonly #origin: string
  readonly #options: Client.Options
  readonly #limit: number
  /** Last in, first out: few hot sockets, and the others close when their time is over. */
  readonly #idle: Connection[] = []
  readonly #all = new Set<Connection>()
  #closed = false

  constructor(origin: string, { allowPrivateAddresses, maxConnections, connectMs }: SocketOptions) {
    this.#origin = origin
    this.#limit = maxConnections ?? CONNECTIONS
    const open = buildConnector({ allowH2: false, timeout: connectMs ?? CONNECT_MS, lookup: guardedLookup(allowPrivateAddresses) })
    const connect: buildConnector.connector = (options, callback) => {
      if (allowsHost(options.hostname, allowPrivateAddresses)) open(options, callback)
      else callback(new AddressRefused(), null)
    }
    this.#options = { connect, pipelining: 1, allowH2: false }
  }

  take(fresh: boolean): Connection {
    if (this.#closed) throw fail('SHUTTING_DOWN', { internal: 'engine_closed' })
    const idle = fresh ? undefined : this.#idle.pop()
    if (idle) return idle
    if (this.#all.size >= this.#limit) throw fail('MODEL_AT_CAPACITY', { internal: 'engine_connections' })
    const connection: Connection = { client: new Client(this.#origin, this.#options), served: false }
    connection.client.on('disconnect', () => {
      const at = this.#idle.indexOf(connection)
      if (at === -1) return
      this.#idle.splice(at, 1)
      this.drop(connection)
    })
    this.#all.add(connection)
    return connection
  }

  /** Gives back a connection whose answer was taken whole. */
  giveBack(connection: Connection): void {
    connection.served = true
    if (this.#closed || connection.client.destroyed) this.drop(connection)
    else this.#idle.push(connection)
  }

  /** Closes a connection in whatever state it is. */
  drop(connection: Connection): void {
    this.#all.delete(connection)
    if (!connection.client.destroyed) connection.client.destroy(noop)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#idle.length = 0
    const open = [...this.#all]
    this.#all.clear()
    await Promise.all(open.map(({ client }) => client.destroy()))
  }
}

const noop = (): void => {}
