/** `/health/live`, `/health/ready` and `/metrics`: what operators and their machines ask. */
import { z } from 'zod'
import { METRICS_CONTENT_TYPE } from '../../telemetry/metrics.ts'
import { type AnyEndpoint, endpoint, json } from '../endpoint.ts'

export type Readiness = {
  /** Whether requests are served in full. */
  readonly ready: boolean
  /** Each part that must work, in constant words: `ok`, or what is wrong. */
  readonly checks: Readonly<Record<string, string>>
}

export type HealthSources = {
  readonly readiness: () => Promise<Readiness>
  /** The Prometheus text. */
  readonly metrics: () => Promise<string>
}

const readiness = z.object({ status: z.enum(['ready', 'not_ready']), checks: z.record(z.string(), z.string()) })

/** The endpoints, over functions that know the state of the server. */
export function healthEndpoints(of: HealthSources): AnyEndpoint[] {
  const live = endpoint({
    method: 'GET',
    path: '/health/live',
    tag: 'Operation',
    summary: 'Whether the process lives',
    description: 'Answers 200 as long as the process can answer at all. For restarting what hangs, not for routing.',
    scope: 'public',
    answers: { 'application/json': { description: 'It lives.', schema: z.object({ status: z.literal('live') }) } },
    example: { answer: { status: 'live' } },
    errors: [],
    handle: () => json({ status: 'live' }),
  })
  const ready = endpoint({
    method: 'GET',
    path: '/health/ready',
    tag: 'Operation',
    summary: 'Whether requests are served in full',
    description: 'Answers 503 with the reasons while the database is away, while no model is online, or while the server is stopping.',
    scope: 'public',
    answers: { 'application/json': { description: 'Ready, or why not (503).', schema: readiness } },
    example: { answer: { status: 'ready', checks: { database: 'ok', models: 'ok', server: 'ok' } } },
    errors: [],
    async handle() {
      const { ready: is, checks } = await of.readiness()
      return json({ status: is ? 'ready' : 'not_ready', checks }, is ? 200 : 503)
    },
  })
  const metrics = endpoint({
    method: 'GET',
    path: '/metrics',
    tag: 'Operation',
    summary: 'Prometheus metrics',
    description:
      'Counts and times with bounded labels; never content, accounts or keys. Needs a key of type ADMIN of the operator, because it shows what is sold.',
    scope: 'OPERATOR',
    answers: { 'text/plain': { description: 'The Prometheus text format.' } },
    example: { answer: 'rialto_requests_total{endpoint="/chat/completions",status="200"} 1' },
    errors: [],
    async handle() {
      return { type: 'text', contentType: METRICS_CONTENT_TYPE, body: await of.metrics() }
    },
  })
  return [live, ready, metrics]
}
