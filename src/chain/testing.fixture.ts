/** What the tests of this room share: a clock, and sign-in messages as wallets make them. */
import type { Clock } from '../core/clock.ts'

export type TestClock = Clock & { time: number }

/** A clock that stands until it is moved. */
export function testClock(time = Date.parse('2026-11-20T12:00:00Z')): TestClock {
  let ids = 0
  const clock: TestClock = {
    time,
    now: () => clock.time,
    tick: () => clock.time,
    id: () => (++ids).toString(16).padStart(32, '0'),
  }
  return clock
}

export type MessageParts = {
  readonly domain: string
  readonly kind: 'Ethereum' | 'Solana'
  readonly address: string
  readonly statement: string | null
  readonly uri: string
  readonly version: string
  readonly chainId: string
  readonly nonce: string
  readonly issuedAt: string
  readonly expirationTime: string | null
}

export function messageOf(parts: MessageParts): string {
  return [
    `${parts.domain} wants you to sign in with your ${parts.kind} account:`,
    parts.address,
    '',
    ...(parts.statement === null ? [''] : [parts.statement, '']),
    `URI: ${parts.uri}`,
    `Version: ${parts.version}`,
    `Chain ID: ${parts.chainId}`,
    `Nonce: ${parts.nonce}`,
    `Issued At: ${parts.issuedAt}`,
    ...(parts.expirationTime === null ? [] : [`Expiration Time: ${parts.expirationTime}`]),
  ].join('\n')
}

export const headerOf = (payload: unknown): string => Buffer.from(JSON.stringify(payload)).toString('base64')
