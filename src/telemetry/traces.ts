/**
 * OpenTelemetry spans, one per run, by the semantic conventions for generative AI: model, engine, token counts, why it
 * ended. Made from envelopes, so no prompt, answer, address or header of a caller can be in one.
 *
 * The SDK is loaded only when an OTLP endpoint is set. Its exporter opens connections of its own, to the address that
 * the operator gave and to no other; it is no way out for content, and so the one exception to the network door. The
 * standard `OTEL_*` variables that the exporter reads itself (headers, certificates, compression) work.
 */
import type { Context, Span, SpanContext } from '@opentelemetry/api'
import type { BatchSpanProcessorOptions } from '@opentelemetry/sdk-trace'
import type { Envelope } from '../core/call.ts'
import type { Modality } from '../core/modality.ts'

/** Spans that wait for the collector; more are dropped. */
const QUEUE_MAX = 4096
const BATCH_MAX = 512
const BATCH_MS = 2000
const EXPORT_MS = 10_000
const CLOSE_MS = 2000

export type Traces = {
  /**
   * Makes the span of a run that is over, with what its envelope says; `traceparent` is the caller's W3C header, a parent
   * if it is well formed. Nothing without tracing.
   */
  record(envelope: Envelope, durationMs: number, traceparent: string | null): void
  /** Sends what waits, for at most two seconds. */
  close(): Promise<void>
}

export type TracesOptions = {
  /** Such as `http://127.0.0.1:4318`; `/v1/traces` is added where it is missing. Null is no tracing. */
  readonly otlpEndpoint: string | null
  readonly version: string
  /** Where Rialto listens: the server of the span. */
  readonly host: string
  readonly port: number
  /** Told of every batch: whether the collector took it, and how many spans it had. */
  readonly onExport?: (taken: boolean, spans: number) => void
}

export const NO_TRACES: Traces = { record: () => undefined, close: () => Promise.resolve() }

export async function openTraces(options: TracesOptions): Promise<Traces> {
  const { otlpEndpoint } = options
  if (otlpEndpoint === null) return NO_TRACES
  const [api, sdk, { defaultResource, resourceFromAttributes }, { OTLPTraceExporter }] = await Promise.all([
    import('@opentelemetry/api'),
    import('@opentelemetry/sdk-trace'),
    import('@opentelemetry/resources'),
    import('@opentelemetry/exporter-trace-otlp-http'),
  ])
  const exporter = new OTLPTraceExporter({ url: tracesUrl(otlpEndpoint), timeoutMillis: EXPORT_MS })
  const provider = new sdk.TracerProvider({
    resource: defaultResource().merge(resourceFromAttributes({ 'service.name': 'rialto', 'service.version': options.version })),
    spanProcessors: [
      new sdk.BatchSpanProcessor({
        exporter: reporting(exporter, options.onExport),
        maxQueueSize: QUEUE_MAX,
        maxExportBatchSize: BATCH_MAX,
        scheduledDelayMillis: BATCH_MS,
        exportTimeoutMillis: EXPORT_MS,
      }),
    ],
  })
  const tracer = provider.getTracer('rialto', options.version)
  const server = { 'server.address': options.host, 'server.port': options.port }
  const root = api.ROOT_CONTEXT

  return {
    record(envelope, durationMs, traceparent) {
      const parent = traceparent === null ? null : parseTraceparent(traceparent)
      const context: Context = parent ? api.trace.setSpanContext(root, parent) : root
      const options = { kind: api.SpanKind.SERVER, startTime: envelope.startedAt, attributes: server }
      const span = tracer.startSpan(operationOf(envelope.modality), options, context)
      describe(span, envelope)
      if (envelope.status >= 500) span.setStatus({ code: api.SpanStatusCode.ERROR })
      span.end(envelope.startedAt + durationMs)
    },

    close: () => within(CLOSE_MS, provider.shutdown()),
  }
}

function describe(span: Span, envelope: Envelope): void {
  const { finishReasons } = envelope
  const operation = operationOf(envelope.modality)
  span.updateName(envelope.model === null ? operation : `${operation} ${envelope.model}`)
  span.setAttribute('gen_ai.operation.name', operation)
  if (envelope.model !== null) span.setAttribute('gen_ai.request.model', envelope.model)
  if (envelope.engine !== null) span.setAttribute('gen_ai.provider.name', envelope.engine)
  if (envelope.stream) span.setAttribute('gen_ai.request.stream', true)
  if (finishReasons.length > 0) span.setAttribute('gen_ai.response.finish_reasons', [...finishReasons])
  const { usage } = envelope
  if (usage !== null) {
    const cacheRead = usage.cacheReadToken ?? 0
    const cacheWrite = usage.cacheWriteToken ?? 0
    // The convention counts all input here, cached or not; Rialto's classes are disjoint.
    span.setAttribute('gen_ai.usage.input_tokens', (usage.inputToken ?? 0) + cacheRead + cacheWrite)
    span.setAttribute('gen_ai.usage.output_tokens', usage.outputToken ?? 0)
    if (cacheRead > 0) span.setAttribute('gen_ai.usage.cache_read.input_tokens', cacheRead)
    if (cacheWrite > 0) span.setAttribute('gen_ai.usage.cache_creation.input_tokens', cacheWrite)
  }
  if (envelope.firstByteMs !== null && envelope.stream)
    span.setAttribute('gen_ai.response.time_to_first_chunk', envelope.firstByteMs / 1000)
  span.setAttribute('http.route', envelope.endpoint)
  span.setAttribute('http.response.status_code', envelope.status)
  if (envelope.code !== null) span.setAttribute('error.type', envelope.code)
  span.setAttribute('rialto.request_id', envelope.requestId)
  if (envelope.attempts > 1) span.setAttribute('rialto.attempts', envelope.attempts)
}

function operationOf(modality: Modality | null): string {
  if (modality === 'text' || modality === null) return 'chat'
  return modality === 'embedding' ? 'embeddings' : 'generate_content'
}

const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:$|-)/

/** The W3C header of a later version is read as far as version 00 goes, as the standard asks; a malformed one is ignored. */
export function parseTraceparent(header: string): SpanContext | null {
  const match = TRACEPARENT.exec(header)
  const traceId = match?.[1]
  const spanId = match?.[2]
  if (traceId === undefined || spanId === undefined || /^0+$/.test(traceId) || /^0+$/.test(spanId)) return null
  if (header.startsWith('00') && header.length !== 55) return null
  return { traceId, spanId, traceFlags: Number.parseInt(match?.[3] ?? '0', 16) & 1, isRemote: true }
}

function tracesUrl(endpoint: string): string {
  const url = endpoint.replace(/\/+$/, '')
  return url.endsWith('/v1/traces') ? url : `${url}/v1/traces`
}

type Exporter = BatchSpanProcessorOptions['exporter']

/** The exporter, with an ear on whether the collector takes what it is sent. Its error text is the collector's: not kept. */
function reporting(exporter: Exporter, onExport: TracesOptions['onExport']): Exporter {
  if (!onExport) return exporter
  return {
    export(spans, done) {
      exporter.export(spans, (result) => {
        onExport(!result.error, spans.length)
        done(result)
      })
    },
    shutdown: () => exporter.shutdown(),
  }
}

async function within(limitMs: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, limitMs)
  })
  // A collector that is away at the end is nobody's failure any more.
  await Promise.race([work.catch(() => undefined), limit])
  clearTimeout(timer)
}
