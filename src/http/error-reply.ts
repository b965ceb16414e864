/** The wire shapes of errors: the only place that knows them. */
import { ERRORS, type ErrorCode, Failure, type Issue, fail } from '../core/errors.ts'
import { demandBody, demandHeader } from './payment-required.ts'
import { reasonOf } from './reason.ts'

/** What a caller may see of anything that was thrown: a `Failure` as it is, everything else as `UNKNOWN_ERROR`. */
export const asFailure = (error: unknown): Failure => (error instanceof Failure ? error : fail('UNKNOWN_ERROR', { internal: 'defect' }))

/**
 * The JSON body. Most errors are `{error, code}`, a 400 has zod's `details` and `issues` as well. A prompt that is too
 * long has OpenAI's object instead, because that is the one error whose code clients act on. What x402 asks for, and why it
 * took no payment, has the shapes of its clients.
 */
export function errorBody(failure: Failure, requestId: string): Readonly<Record<string, unknown>> {
  if (failure.demand) return demandBody(failure.demand)
  if (OF_A_PAYMENT.has(failure.code)) return paymentBody(failure)
  const message = failure.code === 'UNKNOWN_ERROR' ? `${failure.message} (request id ${requestId})` : failure.message
  if (failure.code === 'TOO_MANY_TOKENS') {
    return {
      error: { message, type: 'invalid_request_error', param: failure.param ?? 'messages', code: 'context_length_exceeded' },
      code: failure.code,
    }
  }
  const body: Record<string, unknown> = { error: message, code: failure.code }
  if (failure.issues) {
    body['details'] = detailsOf(failure.issues)
    body['issues'] = failure.issues
  }
  return body
}

/** The headers that go with this failure's body and are not those of every answer. */
export function errorHeaders(failure: Failure): Readonly<Record<string, string>> {
  return failure.demand ? { 'payment-required': demandHeader(failure.demand) } : NO_HEADERS
}

const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze({})

/** Why a payment was not taken: clients of x402 look for the code in `error`. */
const OF_A_PAYMENT: ReadonlySet<ErrorCode> = new Set(['X402_INVALID_PAYMENT', 'PAYMENT_VERIFICATION_FAILED'])

const paymentBody = ({ code, message, reason }: Failure): Readonly<Record<string, unknown>> => ({
  error: code,
  message,
  ...(reason === undefined ? {} : { details: { reason } }),
  code,
})

/** The event that ends a stream which cannot go on. No `[DONE]` follows it. */
export function errorEvent(failure: Failure, requestId: string): string {
  const { type } = ERRORS[failure.code]
  const error = { message: `${failure.message} (request id ${requestId})`, type, code: failure.code, param: failure.param ?? null }
  return `data: ${JSON.stringify({ error, code: failure.code })}\n\n`
}

/** A whole answer to what never became a request, after which the connection is closed. `date` is that of its head. */
export function refusal(failure: Failure, date: string): string {
  const body = JSON.stringify(errorBody(failure, ''))
  const typed = `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n`
  return `HTTP/1.1 ${failure.status} ${reasonOf(failure.status)}\r\ndate: ${date}\r\n${typed}connection: close\r\n\r\n${body}`
}

type Details = { _errors: string[]; [field: string]: Details | string[] }

/** Zod's `format()`: a tree along the paths of the issues, each node with its `_errors`. */
function detailsOf(issues: readonly Issue[]): Details {
  const root = emptyDetails()
  for (const issue of issues) {
    let node = root
    for (const key of issue.path) {
      const name = String(key)
      const next = Object.hasOwn(node, name) ? node[name] : undefined
      if (next && !Array.isArray(next)) node = next
      else {
        const made = emptyDetails()
        node[name] = made
        node = made
      }
    }
    node._errors.push(issue.message)
  }
  return root
}

/** Without a prototype, so that a field called `__proto__` is a field like any other. */
const emptyDetails = (): Details => Object.setPrototypeOf({ _errors: [] }, null) as Details
