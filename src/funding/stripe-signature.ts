/** Whether Stripe sent these bytes: one HMAC over a time and the body (https://docs.stripe.com/webhooks#verify-manually). */
import { createHmac, timingSafeEqual } from 'node:crypto'

/** How far the time of a signature may be from ours: who overheard a notice cannot send it again later. */
export const TOLERANCE_MS = 300_000
/** Stripe signs with each secret that is in force while one is being replaced. */
const MAX_SIGNATURES = 16
const MAX_HEADER_CHARS = 4_096
const SHA256_HEX = /^[0-9a-f]{64}$/

export type SignatureProblem = 'missing' | 'malformed' | 'wrong' | 'stale'

/**
 * Null where one of the header's `v1` signatures is right for one of the secrets and was made within the tolerance; else
 * why not. Bytes are compared in constant time. The body is not looked at but for the signature.
 */
export function signatureProblem(header: string | null, body: Buffer, secrets: readonly string[], nowMs: number): SignatureProblem | null {
  if (header === null) return 'missing'
  if (header.length > MAX_HEADER_CHARS) return 'malformed'
  const fields = header.split(',').map((field) => field.trim().split('=', 2))
  const times = fields.flatMap(([name, value]) => (name === 't' && value !== undefined ? [value] : []))
  const [time] = times
  if (time === undefined || times.length > 1 || !/^\d{1,12}$/.test(time)) return 'malformed'
  // Other schemes, such as the `v0` of test notices, are not believed.
  const given = fields.flatMap(([name, value]) => (name === 'v1' && value !== undefined && SHA256_HEX.test(value) ? [value] : []))
  if (given.length === 0 || given.length > MAX_SIGNATURES) return 'malformed'
  const right = secrets.some((secret) => {
    const expected = createHmac('sha256', secret).update(`${time}.`).update(body).digest()
    return given.some((value) => timingSafeEqual(Buffer.from(value, 'hex'), expected))
  })
  if (!right) return 'wrong'
  return Math.abs(nowMs - Number(time) * 1_000) > TOLERANCE_MS ? 'stale' : null
}
