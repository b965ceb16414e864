/**
 * Which network addresses an engine may be reached at. Asked by the socket connector, after names were resolved, so
 * no name, redirect or rebinding leads to an address that is not allowed.
 */
import { lookup } from 'node:dns'
import type { LookupAddress } from 'node:dns'
import { BlockList, isIP } from 'node:net'
import type { LookupFunction } from 'node:net'

/** Carries no message of its own: only `code` is ever read. */
export class AddressRefused extends Error {
  readonly code = 'ADDRESS_REFUSED'
}

/**
 * Refused even where private addresses are allowed: what a name resolves to must never be a link-local address or one
 * of the clouds' metadata services, which hand out credentials to whoever asks.
 */
const METADATA = listOf([
  ['169.254.0.0', 16],
  ['100.100.100.200', 32],
  ['fe80::', 10],
  ['fd00:ec2::254', 128],
  ['64:ff9b::a9fe:0', 112],
])

/** Everything that is not on the public internet. */
const PRIVATE = listOf([
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
  ['::', 128],
  ['::1', 128],
  ['64:ff9b::', 96],
  ['64:ff9b:1::', 48],
  ['100::', 64],
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['fc00::', 7],
  ['ff00::', 8],
])

/** Whether a socket may be opened to this IP address, which a name was resolved to. */
export function allowsAddress(address: string, allowPrivate: boolean): boolean {
  // A zone (`fe80::1%eth0`) is no part of the address.
  const bare = address.includes('%') ? address.slice(0, address.indexOf('%')) : address
  const family = isIP(bare)
  if (family === 0) return false
  const type = family === 4 ? 'ipv4' : 'ipv6'
  if (METADATA.check(bare, type)) return false
  return allowPrivate || !PRIVATE.check(bare, type)
}

/**
 * Whether a socket may be opened to the host as the operator wrote it, before any look-up. An address that was written
 * out is meant, link-local included, as long as private ones are allowed at all. Names are left to `guardedLookup`.
 */
export function allowsHost(host: string, allowPrivate: boolean): boolean {
  return isIP(host) === 0 || allowPrivate || allowsAddress(host, false)
}

/** A `lookup` for sockets that only ever answers with allowed addresses, and fails when there is none. */
export function guardedLookup(allowPrivate: boolean): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found: LookupAddress[]) => {
      if (error) return callback(error, '')
      const allowed = found.filter((entry) => allowsAddress(entry.address, allowPrivate))
      const first = allowed[0]
      if (!first) return callback(new AddressRefused(), '')
      if (options.all) callback(null, allowed)
      else callback(null, first.address, first.family)
    })
  }
}

function listOf(subnets: readonly (readonly [string, number])[]): BlockList {
  const list = new BlockList()
  for (const [network, bits] of subnets) list.addSubnet(network, bits, isIP(network) === 4 ? 'ipv4' : 'ipv6')
  return list
}
