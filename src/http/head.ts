/** The headers of an answer, from the envelope: what the request cost in limits and money, and who answered. */
import { formatUsd } from '../core/money.ts'
import type { Deprecation, Envelope, LimitState } from '../core/call.ts'

/** Readable for scripts of web pages, beyond what browsers always show. */
const EXPOSED = [
  'x-request-id',
  'cf-ray',
  'retry-after',
  'x-venice-version',
  'x-venice-timestamp',
  'x-venice-model-id',
  'x-venice-model-name',
  'x-venice-model-deprecation-warning',
  'x-venice-model-deprecation-date',
  'x-venice-balance-usd',
  'x-venice-balance-diem',
  'x-ratelimit-limit-requests',
  'x-ratelimit-remaining-requests',
  'x-ratelimit-reset-requests',
  'x-ratelimit-limit-tokens',
  'x-ratelimit-remaining-tokens',
  'x-ratelimit-reset-tokens',
  'x-ratelimit-type',
  'x-pagination-limit',
  'x-pagination-page',
  'x-pagination-total',
  'x-pagination-total-pages',
  'x-next-cursor',
  'x-balance-remaining',
  'payment-required',
  'payment-response',
  'content-disposition',
].join(', ')

const CROSS_ORIGIN = `access-control-allow-origin: *\r\naccess-control-expose-headers: ${EXPOSED}\r\n`

const ALLOWED_METHODS = 'GET, POST, PUT, PATCH, DELETE, OPTIONS'

/**
 * The headers every answer has, then those that this request's envelope knows, as lines of the head. `crossOrigin`: a web
 * page asks, and its browser wants to be told that it may; keys come in a header that the page must set itself, so any page may.
 */
export function headOf(envelope: Envelope, version: string, crossOrigin: boolean): string {
  const { requestId, requests, tokens, startedAt } = envelope
  let head = `x-request-id: ${requestId}\r\nCF-RAY: ${requestId}\r\nx-venice-version: ${version}\r\nx-venice-timestamp: ${isoOf(startedAt)}\r\n`
  if (crossOrigin) head += CROSS_ORIGIN
  if (envelope.model !== null) head += field('x-venice-model-id', envelope.model)
  if (envelope.modelName !== null) head += field('x-venice-model-name', envelope.modelName)
  if (envelope.balance !== null)
    head += `x-venice-balance-usd: ${formatUsd(envelope.balance.usd)}\r\nx-venice-balance-diem: ${formatUsd(envelope.balance.diem)}\r\n`
  if (envelope.cost !== null && envelope.balance !== null && envelope.caller?.keyId.startsWith(WALLET))
    head += `x-balance-remaining: ${microUsd(envelope.balance.usd + envelope.balance.diem - envelope.cost)}\r\n`
  if (requests) head += limitLines('requests', requests, Math.ceil((startedAt + requests.resetMs) / 1000))
  if (tokens) head += limitLines('tokens', tokens, Math.ceil(tokens.resetMs / 1000))
  if (requests || tokens) head += 'x-ratelimit-type: api_key\r\n'
  if (envelope.deprecation) head += deprecationLines(envelope.deprecation)
  return head
}

/** What begins the name of a caller that is a wallet: it is told what is left of what it paid in. */
const WALLET = 'wallet:'

/** Dollars with six decimals, as the token that was paid in has; never more than there is. */
function microUsd(nano: bigint): string {
  const micro = nano <= 0n ? 0n : nano / 1_000n
  const digits = micro.toString().padStart(7, '0')
  return `${digits.slice(0, -6)}.${digits.slice(-6)}`
}

function deprecationLines({ date, replacement }: Deprecation): string {
  const advice = replacement ? ` Use ${replacement} instead.` : ''
  const lines =
    field('x-venice-model-deprecation-warning', `This model is deprecated.${advice}`) + field('x-venice-model-deprecation-date', date)
  return `${lines}x-venice-deprecated: true\r\n${replacement ? field('x-venice-deprecated-replacement', replacement) : ''}`
}

let lastMs = Number.NaN
let lastIso = ''

/** A moment in ISO 8601; that of the last answer is kept, because many answers come in one millisecond. */
function isoOf(ms: number): string {
  if (ms !== lastMs) {
    lastMs = ms
    lastIso = new Date(ms).toISOString()
  }
  return lastIso
}

/** One line of a head. The value may hold anything: what is no printable ASCII is percent-encoded. */
export const field = (name: string, value: string | number): string => `${name}: ${typeof value === 'number' ? value : ascii(value)}\r\n`

/** Lines for headers of an endpoint's own. */
export function fields(headers: Readonly<Record<string, string>> | undefined): string {
  let lines = ''
  for (const name in headers) lines += field(name, headers[name] ?? '')
  return lines
}

/** The answer to a browser's question whether it may ask: yes, with the headers it named. */
export function preflightHead(requestedHeaders: string | undefined): string {
  const asked = field('access-control-allow-headers', requestedHeaders ?? 'authorization, content-type')
  return `access-control-allow-methods: ${ALLOWED_METHODS}\r\n${asked}access-control-max-age: 86400\r\n`
}

/** `reset` is a Unix time in seconds for requests and seconds from now for tokens, as the API has it. */
function limitLines(kind: 'requests' | 'tokens', { limit, remaining }: LimitState, reset: number): string {
  const left = Math.max(0, Math.floor(remaining))
  return `x-ratelimit-limit-${kind}: ${limit}\r\nx-ratelimit-remaining-${kind}: ${left}\r\nx-ratelimit-reset-${kind}: ${reset}\r\n`
}

/** Names come from the configuration and from engines; a header takes printable ASCII only. */
function ascii(text: string): string {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code < 32 || code > 126) return encodeURIComponent(text.toWellFormed())
  }
  return text
}
