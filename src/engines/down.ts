/** What a failed probe says about a server. */
import type { Reach } from '../core/engine.ts'
import { Failure } from '../core/errors.ts'

/** Why a server is down, by what the network door says; everything else is an `error`. */
const REASONS: Readonly<Record<string, string>> = {
  upstream_refused: 'refused',
  upstream_dns: 'unknown_host',
  upstream_connect_timeout: 'timeout',
  upstream_first_byte: 'timeout',
  upstream_stalled: 'timeout',
  upstream_unreachable: 'unreachable',
  upstream_address_refused: 'address_refused',
  upstream_tls: 'tls',
  upstream_auth: 'unauthorized',
  upstream_payment: 'payment',
  upstream_reset: 'reset',
  upstream_protocol: 'no_http',
  caller_left: 'timeout',
  engine_closed: 'closed',
}

/** It answered: it is there, and does not list its models, or not now. */
const UNLISTED: ReadonlySet<string> = new Set(['upstream_404', 'upstream_405', 'upstream_429'])

export function reachAfter(error: unknown): Reach {
  const internal = error instanceof Failure ? (error.internal ?? '') : ''
  return UNLISTED.has(internal) ? { up: true, models: null } : { up: false, why: REASONS[internal] ?? 'error' }
}
