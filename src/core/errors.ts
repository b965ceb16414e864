/** The error table: code → HTTP status, type, retryable, public words. Nothing outside this table can reach a caller. */
import type { PaymentDemand } from './payment.ts'

export type ErrorType =
  | 'invalid_request_error'
  | 'authentication_error'
  | 'permission_error'
  | 'billing_error'
  | 'rate_limit_error'
  | 'api_error'

type Row = {
  readonly status: number
  readonly type: ErrorType
  /** Whether the same request may succeed later without being changed. */
  readonly retryable: boolean
  /** What the caller reads when the place that failed has nothing more precise to say. */
  readonly message: string
}

const row = (status: number, type: ErrorType, retryable: boolean, message: string): Row => ({
  status,
  type,
  retryable,
  message,
})

export const ERRORS = {
  INVALID_REQUEST: row(400, 'invalid_request_error', false, 'Invalid request parameters'),
  INVALID_MODEL: row(400, 'invalid_request_error', false, 'Invalid model specified'),
  INVALID_AUDIO_FORMAT: row(
    400,
    'invalid_request_error',
    false,
    'Invalid audio format; supported are WAV, FLAC, MP3, M4A, AAC, MP4, OGG and WEBM',
  ),
  TOO_MANY_TOKENS: row(400, 'invalid_request_error', false, "The request exceeds the model's maximum context"),
  X402_INVALID_PAYMENT: row(400, 'billing_error', false, 'Invalid payment header'),
  AUTHENTICATION_FAILED: row(401, 'authentication_error', false, 'Authentication failed'),
  X402_INVALID_SIGN_IN: row(401, 'authentication_error', false, 'Invalid Sign-in-with-x signature'),
  INSUFFICIENT_BALANCE: row(402, 'billing_error', false, 'Insufficient USD or Diem balance to complete request'),
  API_KEY_USD_SPEND_LIMIT_EXCEEDED: row(402, 'billing_error', false, 'API key USD spend limit exceeded'),
  API_KEY_DIEM_SPEND_LIMIT_EXCEEDED: row(402, 'billing_error', false, 'API key DIEM spend limit exceeded'),
  PAYMENT_REQUIRED: row(402, 'billing_error', false, 'Payment required'),
  UNAUTHORIZED: row(403, 'permission_error', false, 'Unauthorized access'),
  X402_WALLET_MISMATCH: row(403, 'permission_error', false, 'You can only access resources for your own wallet'),
  NOT_FOUND: row(404, 'invalid_request_error', false, 'There is no such endpoint'),
  NOT_CONFIGURED: row(404, 'invalid_request_error', false, 'The operator of this server has not set this up'),
  MODEL_NOT_FOUND: row(404, 'invalid_request_error', false, 'Specified model not found'),
  METHOD_NOT_ALLOWED: row(405, 'invalid_request_error', false, 'This endpoint does not take that method'),
  REQUEST_TOO_SLOW: row(408, 'invalid_request_error', true, 'The request body did not arrive in time'),
  MODEL_SUNSET: row(410, 'invalid_request_error', false, 'This model has been retired'),
  PAYLOAD_TOO_LARGE: row(413, 'invalid_request_error', false, 'The request body is too large'),
  INVALID_CONTENT_TYPE: row(415, 'invalid_request_error', false, 'Invalid request content-type'),
  CONTENT_POLICY_VIOLATION: row(422, 'invalid_request_error', false, 'The request was refused by the content policy of the engine'),
  ASR_UPSTREAM_VALIDATION_FAILED: row(
    422,
    'invalid_request_error',
    false,
    'The audio could not be processed: it may be silent, empty or corrupt',
  ),
  HEAD_TOO_LARGE: row(431, 'invalid_request_error', false, 'The headers of the request are too large'),
  RATE_LIMIT_EXCEEDED: row(429, 'rate_limit_error', true, 'Rate limit exceeded'),
  MODEL_OVERLOADED: row(429, 'rate_limit_error', true, 'The model is currently overloaded'),
  PAYMENT_VERIFICATION_FAILED: row(500, 'billing_error', true, 'The payment could not be confirmed; send the same request again'),
  INFERENCE_FAILED: row(500, 'api_error', true, 'Inference processing failed'),
  UNKNOWN_ERROR: row(500, 'api_error', true, 'An unknown error occurred'),
  CHAIN_UNAVAILABLE: row(503, 'api_error', true, 'The node of the blockchain does not answer at the moment'),
  ASR_UPSTREAM_FAILED: row(502, 'api_error', true, 'The transcription failed upstream'),
  PAYMENT_PROVIDER_FAILED: row(502, 'api_error', true, 'The payment provider did not answer as expected; try again later'),
  MODEL_OFFLINE: row(503, 'api_error', true, 'The model is currently offline'),
  MODEL_AT_CAPACITY: row(503, 'api_error', true, 'The model is at capacity'),
  SHUTTING_DOWN: row(503, 'api_error', true, 'The server is shutting down'),
  REQUEST_TIMEOUT: row(504, 'api_error', true, 'The request took too long; use stream=true for long answers'),
} as const satisfies Record<string, Row>

export type ErrorCode = keyof typeof ERRORS

/** What is wrong with one field of a request, in the words and keys of zod. Made from schemas, never from values. */
export type Issue = {
  readonly code: string
  readonly path: readonly (string | number)[]
  readonly message: string
  readonly [more: string]: unknown
}

export type FailOptions = {
  /**
   * Public words for this very case, instead of the table's. They go to the caller only, never to a log, and are
   * made of our own words, names of fields and names of the catalogue: nothing an upstream said.
   */
  readonly say?: string
  /** The request field at fault, by its wire name. */
  readonly param?: string
  /** Which fields are wrong, for a 400. */
  readonly issues?: readonly Issue[]
  /** After how long a retry is worth it, in milliseconds. */
  readonly retryAfterMs?: number
  /** Why, as one word for programs, where the code alone does not tell: of a set of ours, such as `signature_mismatch`. */
  readonly reason?: string
  /** What is to be paid, and how: a 402 of the x402 protocol, whose shape the door knows. */
  readonly demand?: PaymentDemand
  /** A short constant for the operator's log: why, in our own words. Never content, never foreign text. */
  readonly internal?: string
}

/** A failure with a code of the table. Everything else that is thrown is an `UNKNOWN_ERROR`. */
export class Failure extends Error {
  readonly code: ErrorCode
  readonly param: string | undefined
  readonly issues: readonly Issue[] | undefined
  readonly retryAfterMs: number | undefined
  readonly reason: string | undefined
  readonly demand: PaymentDemand | undefined
  readonly internal: string | undefined

  constructor(code: ErrorCode, options: FailOptions = {}) {
    super(options.say ?? ERRORS[code].message)
    this.name = 'Failure'
    this.code = code
    this.param = options.param
    this.issues = options.issues
    this.retryAfterMs = options.retryAfterMs
    this.reason = options.reason
    this.demand = options.demand
    this.internal = options.internal
  }

  get status(): number {
    return ERRORS[this.code].status
  }
}

/** `throw fail('MODEL_OFFLINE', { say: … })` is the only way an error is made. */
export const fail = (code: ErrorCode, options?: FailOptions): Failure => new Failure(code, options)

/** A 400 for one field: the words name it and the issue's path points at it. `internal` is for the operator's log. */
export function failField(param: string, message: string, internal?: string): Failure {
  const path = param.split('.')
  return fail('INVALID_REQUEST', {
    say: `Invalid request parameters: ${param}: ${message}`,
    param,
    issues: [{ code: 'custom', path, message }],
    ...(internal !== undefined && { internal }),
  })
}

/** The `internal` of what happens because the caller has gone. */
export const CALLER_LEFT = 'caller_left'

/** The caller has gone: thrown by a sink that nobody listens to any more, and by an engine whose signal was aborted. */
export const callerLeft = (): Failure => fail('INFERENCE_FAILED', { internal: CALLER_LEFT })

export const isCallerLeft = (error: unknown): boolean => error instanceof Failure && error.internal === CALLER_LEFT
