/** What a connection is told by whoever took it. */
import type { Connection } from './connection.ts'
import type { Exchange } from './exchange.ts'

export type ConnectionOptions = {
  readonly idleMs: number
  readonly bodyMs: number
  /** Milliseconds that never run backwards. */
  readonly tick: () => number
  /** A Unix time in milliseconds. */
  readonly now: () => number
  /** Takes a request. Must not throw. */
  readonly serve: (exchange: Exchange) => void
  /** No further request is taken on any connection. */
  readonly stopping: () => boolean
  readonly closed: (connection: Connection) => void
}
