/** The headers of an answer, from the envelope: what the request cost in limits and money, and who answered. */
import { formatUsd } from '../core/money.ts'
import type { Envelope, LimitState } from '../core/call.ts'

/** Readable for scripts of web pages, beyond what browsers always show. */
const EXPOSED = [
  'x-request-id',
  'cf-ray',
  'retry-after',
  'x-venice-version',
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
].join(', ')

const ALLOWED_METHODS = 'GET, POST, PUT, PATCH, DELETE, OPTIONS'

/** A flat list of names and values, as `writeHead` takes it: cheaper than an object. */
export type Head = (string | number)[]

/**
 * The headers every answer has, then those that this request's envelope knows. `crossOrigin`: a web page asks, and its
 * browser wants to be told that it may; keys come in a header that the page must set itself, so any page may.
 */
export function headOf(envelope: Envelope, version: string, crossOrigin: boolean): Head {
  const head: Head = ['x-request-id', envelope.requestId, 'CF-RAY', envelope.requestId, 'x-venice-version', version]
  if (crossOrigin) head.push('access-control-allow-origin', '*', 'access-control-expose-headers', EXPOSED)
  if (envelope.model !== null) head.push('x-venice-model-id', ascii(envelope.model))
  if (envelope.modelName !== null) head.push('x-venice-model-name', ascii(envelope.modelName))
  if (envelope.balance !== null) head.push('x-venice-balance-usd', formatUsd(envelope.balance), 'x-venice-balance-diem', '0')
  if (envelope.requests) pushLimit(head, 'requests', envelope.requests, Math.ceil((envelope.startedAt + envelope.requests.resetMs) / 1000))
  if (envelope.tokens) pushLimit(head, 'tokens', envelope.tokens, Math.ceil(envelope.tokens.resetMs / 1000))
  if (envelope.requests || envelope.tokens) head.push('x-ratelimit-type', 'api_key')
  if (envelope.deprecation) {
    const { date, replacement } = envelope.deprecation
    const advice = replacement ? ` Use ${ascii(replacement)} instead.` : ''
    head.push('x-venice-model-deprecation-warning', `This model is deprecated.${advice}`, 'x-venice-model-deprecation-date', date)
    head.push('x-venice-deprecated', 'true')
    if (replacement) head.push('x-venice-deprecated-replacement', ascii(replacement))
  }
  return head
}

/** The answer to a browser's question whether it may ask: yes, with the headers it named. */
export function preflightHead(requestedHeaders: string | undefined): Head {
  return [
    'access-control-allow-methods',
    ALLOWED_METHODS,
    'access-control-allow-headers',
    requestedHeaders ?? 'authorization, content-type',
    'access-control-max-age',
    86_400,
    'content-length',
    0,
  ]
}

/** `reset` is a Unix time in seconds for requests and seconds from now for tokens, as the API has it. */
function pushLimit(head: Head, kind: 'requests' | 'tokens', state: LimitState, reset: number): void {
  head.push(
    `x-ratelimit-limit-${kind}`,
    state.limit,
    `x-ratelimit-remaining-${kind}`,
    Math.max(0, Math.floor(state.remaining)),
    `x-ratelimit-reset-${kind}`,
    reset,
  )
}

/** Names come from the configuration and from engines; a header takes printable ASCII only. */
function ascii(text: string): string {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code < 32 || code > 126) return encodeURIComponent(text)
  }
  return text
}
