import { describe, expect, test } from 'vitest'
import { connectFailure, errorInBody, refusal } from './upstream-error.ts'

const SECRET = 'the marker that an upstream put into its words'
const json = (error: unknown): string => JSON.stringify({ error })

describe('an upstream that refuses', () => {
  test.each([
    [400, 'INVALID_REQUEST', 'upstream_400'],
    [401, 'MODEL_OFFLINE', 'upstream_auth'],
    [402, 'MODEL_OFFLINE', 'upstream_payment'],
    [403, 'MODEL_OFFLINE', 'upstream_auth'],
    [404, 'MODEL_OFFLINE', 'upstream_404'],
    [408, 'REQUEST_TIMEOUT', 'upstream_408'],
    [413, 'PAYLOAD_TOO_LARGE', 'upstream_413'],
    [422, 'INVALID_REQUEST', 'upstream_422'],
    [429, 'MODEL_OVERLOADED', 'upstream_429'],
    [500, 'INFERENCE_FAILED', 'upstream_500'],
    [502, 'INFERENCE_FAILED', 'upstream_502'],
    [503, 'MODEL_AT_CAPACITY', 'upstream_503'],
    [504, 'REQUEST_TIMEOUT', 'upstream_504'],
    [529, 'MODEL_AT_CAPACITY', 'upstream_529'],
    [302, 'MODEL_OFFLINE', 'upstream_302'],
  ])('with %d is told apart and never quoted', (status, code, internal) => {
    const failure = refusal(status, {}, json({ message: SECRET, type: SECRET, code: SECRET, param: SECRET }))

    expect(failure).toMatchObject({ code, internal })
    expect(`${failure.message} ${failure.internal} ${failure.param} ${JSON.stringify(failure.issues)}`).not.toContain(SECRET)
  })

  test.each([
    ['OpenAI', 400, json({ code: 'context_length_exceeded', message: SECRET })],
    ['llama-server', 400, json({ code: 400, type: 'exceed_context_size_error', message: SECRET })],
    [
      'llama-server before its types',
      500,
      json({ code: 500, type: 'server_error', message: 'the request exceeds the available context size' }),
    ],
    ['vLLM', 400, json({ message: "This model's maximum context length is 4096 tokens. However, …", type: 'BadRequestError', code: 400 })],
    ['vLLM before its nesting', 400, JSON.stringify({ object: 'error', message: "This model's maximum context length is 4096 tokens" })],
    ['Anthropic', 400, json({ type: 'invalid_request_error', message: 'prompt is too long: 210000 tokens > 200000 maximum' })],
  ])('a context that is too small is told as such, in the words of %s', (_who, status, body) => {
    expect(refusal(status, {}, body)).toMatchObject({ code: 'TOO_MANY_TOKENS' })
  })

  test.each([
    ['by code', 400, json({ code: 'content_policy_violation' })],
    ['by Azure’s code', 400, json({ code: 'content_filter' })],
    ['by OpenRouter’s reasons', 403, json({ code: 403, message: SECRET, metadata: { reasons: ['x'] } })],
  ])('a refused content is told as such, %s', (_how, status, body) => {
    expect(refusal(status, {}, body)).toMatchObject({ code: 'CONTENT_POLICY_VIOLATION' })
  })

  test.each([
    [{ 'retry-after': '7' }, 7000],
    [{ 'retry-after': '0.5' }, 500],
    [{ 'retry-after-ms': '250', 'retry-after': '7' }, 250],
    [{ 'retry-after': new Date(0).toUTCString() }, 0],
    [{ 'retry-after': '99999999' }, 86_400_000],
    [{ 'retry-after': 'soon' }, undefined],
    [{ 'retry-after': '' }, undefined],
    [{}, undefined],
  ])('its wish to be left alone, %j, is understood', (headers, retryAfterMs) => {
    expect(refusal(429, headers, '').retryAfterMs).toBe(retryAfterMs)
    expect(refusal(503, headers, '').retryAfterMs).toBe(retryAfterMs)
  })

  test('a date to wait for is a time from now', () => {
    const { retryAfterMs } = refusal(429, { 'retry-after': new Date(Date.now() + 3_600_000).toUTCString() }, '')

    expect(retryAfterMs).toBeGreaterThan(3_000_000)
    expect(retryAfterMs).toBeLessThanOrEqual(3_600_000)
  })

  test.each(['', 'no json', '[', '[]', 'null', '7', '{"error":null}', '{"error":7}', '{"error":{"code":{}}}'])(
    'a body of %j changes nothing',
    (body) => {
      expect(refusal(500, {}, body)).toMatchObject({ code: 'INFERENCE_FAILED', internal: 'upstream_500' })
    },
  )
})

describe('an error within a successful answer', () => {
  test('about the context says the numbers where the server does, and nothing else of it', () => {
    const error = { type: 'exceed_context_size_error', message: SECRET, n_prompt_tokens: 900, n_ctx: 512 }

    expect(errorInBody(error).message).toBe('The request has 900 tokens; the model takes 512')
    expect(errorInBody({ ...error, n_ctx: SECRET }).message).not.toContain(SECRET)
  })

  test.each([
    [{ code: 429 }, 'MODEL_OVERLOADED'],
    [{ code: '503' }, 'MODEL_AT_CAPACITY'],
    [{ type: 'overloaded_error' }, 'MODEL_AT_CAPACITY'],
    [{ code: 'rate_limit_exceeded' }, 'MODEL_OVERLOADED'],
    [{ code: 'context_length_exceeded' }, 'TOO_MANY_TOKENS'],
    [{ code: 400, type: 'exceed_context_size_error' }, 'TOO_MANY_TOKENS'],
    [{ code: 'server_error', message: SECRET }, 'INFERENCE_FAILED'],
    [{ code: 7 }, 'INFERENCE_FAILED'],
    ['just words', 'INFERENCE_FAILED'],
    [true, 'INFERENCE_FAILED'],
  ])('%j stands for %s', (error, code) => {
    expect(errorInBody(error)).toMatchObject({ code })
  })
})

describe('a connection that fails', () => {
  test.each([
    ['ECONNREFUSED', 'MODEL_OFFLINE', 'upstream_refused'],
    ['ENOTFOUND', 'MODEL_OFFLINE', 'upstream_dns'],
    ['CONNECT_TIMEOUT', 'MODEL_OFFLINE', 'upstream_connect_timeout'],
    ['CERT_HAS_EXPIRED', 'MODEL_OFFLINE', 'upstream_tls'],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'MODEL_OFFLINE', 'upstream_tls'],
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'MODEL_OFFLINE', 'upstream_tls'],
    ['ECONNRESET', 'INFERENCE_FAILED', 'upstream_reset'],
    ['BAD_ANSWER', 'INFERENCE_FAILED', 'upstream_protocol'],
    ['ADDRESS_REFUSED', 'MODEL_OFFLINE', 'upstream_address_refused'],
    ['SOMETHING_NEW', 'MODEL_OFFLINE', 'upstream_unreachable'],
  ])('by %s has a reason of its own', (code, ours, internal) => {
    expect(connectFailure(Object.assign(new Error(SECRET), { code }))).toMatchObject({ code: ours, internal })
  })
})
