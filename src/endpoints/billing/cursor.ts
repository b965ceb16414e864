/**
 * Cursors of `GET /billing/usage-history`: where a walk goes on, and what it is a walk through. A check sum binds one to the
 * account that got it. It needs no secret: whoever makes one up walks through their own usage, because it is the caller's
 * account that is read, never one that a cursor names.
 */
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { CURRENCIES, type Currency } from '../../core/money.ts'
import type { UsagePlace } from '../../core/store.ts'

export const CURSOR_MAX_CHARS = 512
export const CURSOR_PATTERN = /^[A-Za-z0-9_-]+$/

export type Walk = {
  readonly place: UsagePlace
  readonly currency: Currency | null
  /** Before this moment, in ms since 1970; null is without end. */
  readonly to: number | null
  readonly pageSize: number
}

/** A cursor of another version is one that nobody was given. */
const VERSION = 1
const SUM_BYTES = 12

const count = z.int().min(0)
const fields = z.tuple([z.int(), count, count, z.enum(CURRENCIES).nullable(), z.int().nullable(), z.int().min(1)])

/** At most some 150 characters of `CURSOR_PATTERN`. */
export function cursorOf(accountId: string, { place, currency, to, pageSize }: Walk): string {
  const payload: z.infer<typeof fields> = [place.at, place.seq, place.line, currency, to, pageSize]
  return encoded(accountId, Buffer.from(JSON.stringify(payload)))
}

/** Null for what is not, to the last character, a cursor that this account was given. */
export function walkOf(accountId: string, cursor: string): Walk | null {
  const payload = Buffer.from(cursor, 'base64url').subarray(1 + SUM_BYTES)
  if (encoded(accountId, payload) !== cursor) return null
  const read = fields.safeParse(parsed(payload))
  if (!read.success) return null
  const [at, seq, line, currency, to, pageSize] = read.data
  return { place: { at, seq, line }, currency, to, pageSize }
}

function encoded(accountId: string, payload: Buffer): string {
  const sum = createHash('sha256').update(`${VERSION}\n${accountId}\n`).update(payload).digest().subarray(0, SUM_BYTES)
  return Buffer.concat([Buffer.of(VERSION), sum, payload]).toString('base64url')
}

/** Undefined for what is no JSON. */
function parsed(payload: Buffer): unknown {
  try {
    return JSON.parse(payload.toString('utf8'))
  } catch {
    return undefined
  }
}
