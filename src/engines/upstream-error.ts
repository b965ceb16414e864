/**
 * What an upstream's refusal means to us. Its status and its codes are read; its words are content and are dropped,
 * here, after a look for the few phrases by which servers without codes say that the context is too small.
 */
import { fail } from '../core/errors.ts'
import type { ErrorCode, Failure } from '../core/errors.ts'

/** An error body is read up to this size; the rest of a longer one is not waited for. */
export const ERROR_BODY_BYTES = 64 * 1024

/** The longest wait that an upstream is believed to ask for. */
const RETRY_AFTER_MAX_MS = 24 * 60 * 60 * 1000

export type UpstreamHeaders = Readonly<Record<string, string | string[] | undefined>>

/** Why a socket or a response failed, by the `code` of the error. */
const SOCKET_REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'upstream_refused',
  ENOTFOUND: 'upstream_dns',
  EAI_AGAIN: 'upstream_dns',
  EAI_FAIL: 'upstream_dns',
  ETIMEDOUT: 'upstream_connect_timeout',
  CONNECT_TIMEOUT: 'upstream_connect_timeout',
  EHOSTUNREACH: 'upstream_unreachable',
  ENETUNREACH: 'upstream_unreachable',
  EADDRNOTAVAIL: 'upstream_unreachable',
  ADDRESS_REFUSED: 'upstream_address_refused',
}
const RESET_CODES: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED'])
const TLS_CODE = /^(ERR_(TLS|SSL|OSSL)|CERT_|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO_|HOSTNAME_MISMATCH|EPROTO)/

/** Codes and types of error bodies, lower-case, by what they mean. */
const CONTEXT_CODES: ReadonlySet<string> = new Set([
  'context_length_exceeded',
  'exceed_context_size_error',
  'context_window_exceeded',
  'string_above_max_length',
  'model_max_prompt_tokens_exceeded',
])
const POLICY_CODES: ReadonlySet<string> = new Set([
  'content_policy_violation',
  'content_filter',
  'moderation_blocked',
  'responsibleaipolicyviolation',
  'data_inspection_failed',
  'sensitive_words_detected',
])
const STATUS_OF_CODE: Readonly<Record<string, number>> = {
  rate_limit_exceeded: 429,
  rate_limit_error: 429,
  rate_limit_reached_error: 429,
  insufficient_quota: 429,
  overloaded_error: 529,
  engine_overloaded: 529,
  unavailable_error: 503,
  server_overloaded: 503,
  authentication_error: 401,
  invalid_api_key: 401,
  permission_error: 403,
  not_found_error: 404,
  model_not_found: 404,
  invalid_request_error: 400,
  bad_request_error: 400,
  badrequesterror: 400,
  timeout_error: 504,
}
/** For servers that give no code: vLLM, SGLang, Anthropic, OpenRouter, older llama.cpp, in this order. */
const CONTEXT_PHRASES = [
  'maximum context length',
  'is longer than the model',
  'prompt is too long',
  'context length',
  'available context size',
  'context window',
]

/** A failure of the socket before the head of an answer; all of them may pass on another deployment. */
export function connectFailure(error: unknown): Failure {
  const code = codeOf(error)
  if (RESET_CODES.has(code)) return fail('INFERENCE_FAILED', { internal: 'upstream_reset' })
  if (code === 'BAD_ANSWER') return fail('INFERENCE_FAILED', { internal: 'upstream_protocol' })
  if (TLS_CODE.test(code)) return fail('MODEL_OFFLINE', { internal: 'upstream_tls' })
  return fail('MODEL_OFFLINE', { internal: SOCKET_REASONS[code] ?? 'upstream_unreachable' })
}

/** Whether a kept-alive socket may simply have been closed by the server while we were writing to it. */
export const isReset = (error: unknown): boolean => RESET_CODES.has(codeOf(error))

/** An answer with an error status. `body` may be cut short or be no JSON at all. */
export function refusal(status: number, headers: UpstreamHeaders, body: string): Failure {
  return failureOf(status, parse(body), retryAfterMs(headers))
}

/**
 * An error object inside a successful answer: an event of a stream, or llama-server's and others' body of a 200.
 * Where it says nothing that we know, the run has failed.
 */
export function errorInBody(error: unknown): Failure {
  const said = isRecord(error) ? error : { message: error }
  return failureOf(statusOf(said), said, undefined)
}

function failureOf(status: number, said: Readonly<Record<string, unknown>> | null, retryAfter: number | undefined): Failure {
  const wait = retryAfter === undefined ? {} : { retryAfterMs: retryAfter }
  const internal = `upstream_${status}`
  if (status !== 429 && status !== 401 && said) {
    if (isPolicy(status, said)) return fail('CONTENT_POLICY_VIOLATION', { internal })
    if (isContext(status, said)) return fail('TOO_MANY_TOKENS', { ...contextNumbers(said), internal })
  }
  if (status === 401 || status === 403) return fail('MODEL_OFFLINE', { internal: 'upstream_auth' })
  if (status === 402) return fail('MODEL_OFFLINE', { internal: 'upstream_payment' })
  if (status === 429) return fail('MODEL_OVERLOADED', { internal, ...wait })
  if (status === 503 || status === 529) return fail('MODEL_AT_CAPACITY', { internal, ...wait })
  if (status === 408 || status === 504) return fail('REQUEST_TIMEOUT', { internal })
  if (status === 413) return fail('PAYLOAD_TOO_LARGE', { internal })
  if (status >= 500) return fail('INFERENCE_FAILED', { internal })
  // A redirect is not followed, and a path or method that is not there is the operator's to mend.
  if (status < 400 || status === 404 || status === 405 || status === 410) return fail('MODEL_OFFLINE', { internal })
  const code: ErrorCode = 'INVALID_REQUEST'
  return fail(code, { say: 'The engine refused the request', internal })
}

function isContext(status: number, said: Readonly<Record<string, unknown>>): boolean {
  if (CONTEXT_CODES.has(word(said['code'])) || CONTEXT_CODES.has(word(said['type']))) return true
  if (status !== 400 && status !== 413 && status !== 422 && status !== 500) return false
  const message = said['message']
  if (typeof message !== 'string') return false
  const lower = message.slice(0, 1024).toLowerCase()
  return CONTEXT_PHRASES.some((phrase) => lower.includes(phrase))
}

/** llama.cpp says how many tokens there are and how many there may be. */
function contextNumbers({ n_prompt_tokens: asked, n_ctx: limit }: Readonly<Record<string, unknown>>): { readonly say?: string } {
  if (!Number.isSafeInteger(asked) || !Number.isSafeInteger(limit)) return {}
  return { say: `The request has ${Number(asked)} tokens; the model takes ${Number(limit)}` }
}

function isPolicy(status: number, said: Readonly<Record<string, unknown>>): boolean {
  if (POLICY_CODES.has(word(said['code'])) || POLICY_CODES.has(word(said['type']))) return true
  // OpenRouter answers a moderated request with a 403 that lists the reasons.
  const metadata = said['metadata']
  return status === 403 && isRecord(metadata) && Array.isArray(metadata['reasons'])
}

/** The status that an error inside a 200 stands for: 500 unless it says something better. */
function statusOf(said: Readonly<Record<string, unknown>>): number {
  for (const field of ['status', 'status_code', 'code', 'type']) {
    const value = said[field]
    if (typeof value === 'number' && Number.isInteger(value) && value >= 400 && value < 600) return value
    const known = typeof value === 'string' ? STATUS_OF_CODE[value.toLowerCase()] : undefined
    if (known !== undefined) return known
    if (typeof value === 'string' && value.length === 3 && Number(value) >= 400 && Number(value) < 600) return Number(value)
  }
  return 500
}

/** The error object of a body: `{error: {…}}`, `{error: "…"}`, or the body itself (older vLLM). */
function parse(body: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(body)
    const outer: unknown = Array.isArray(value) ? value[0] : value
    if (!isRecord(outer)) return null
    const inner = outer['error']
    if (isRecord(inner)) return inner
    return typeof inner === 'string' ? { ...outer, message: inner } : outer
  } catch {
    // No JSON: the status alone must do.
    return null
  }
}

/** `retry-after-ms`, or `retry-after` in seconds or as a date. */
function retryAfterMs(headers: UpstreamHeaders): number | undefined {
  const exact = Number(first(headers['retry-after-ms']) ?? Number.NaN)
  if (exact >= 0) return Math.min(Math.ceil(exact), RETRY_AFTER_MAX_MS)
  const text = first(headers['retry-after'])
  if (text === undefined || text.trim() === '') return undefined
  const seconds = Number(text)
  const ms = Number.isNaN(seconds) ? Date.parse(text) - Date.now() : seconds * 1000
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(0, Math.ceil(ms)), RETRY_AFTER_MAX_MS)
}

function codeOf(error: unknown): string {
  return isRecord(error) && typeof error['code'] === 'string' ? error['code'] : ''
}

const first = (value: string | string[] | undefined): string | undefined => (Array.isArray(value) ? value[0] : value)

const word = (value: unknown): string => (typeof value === 'string' && value.length <= 64 ? value.toLowerCase() : '')

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null
