/** The door: one node:http server, every request through the same steps, one line per request on the way out. */
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http'
import type { Caller, Envelope } from '../core/call.ts'
import { Cancel, type Signal } from '../core/cancel.ts'
import type { Clock } from '../core/clock.ts'
import { CALLER_LEFT, type Failure, callerLeft, fail, isCallerLeft } from '../core/errors.ts'
import type { AnyEndpoint, Reply } from '../endpoints/endpoint.ts'
import { requireScope } from '../keys/keys.ts'
import type { Desk } from '../pipeline/desk.ts'
import { parseJson, readBody, requireJson } from './body.ts'
import { asFailure, errorBody, errorEvent } from './error-reply.ts'
import { Events } from './events.ts'
import { type Head, headOf, preflightHead } from './head.ts'
import { replyFile, replyJson, replyText } from './reply.ts'
import { type Match, Router } from './router.ts'

export type DoorOptions = {
  readonly endpoints: readonly AnyEndpoint[]
  readonly clock: Clock
  /** The value of `x-venice-version`. */
  readonly version: string
  readonly maxBodyBytes: number
  /** All bodies that are being read or worked on together; above it new ones are turned away. */
  readonly maxBodiesBytes: number
  /** How long a body may take to arrive, and a keep-alive connection may idle, in milliseconds. */
  readonly bodyMs: number
  readonly idleMs: number
  readonly pingMs: number
  /**
   * Who presents a key in one of these headers, if that caller may come in just now. Throws 401, 429 for who failed too
   * often, or 503 when it cannot be found out. `address` is the caller's, for counting failures; it is not kept.
   */
  readonly enter: (authorization: string | undefined, apiKey: string | undefined, address: string) => Caller | Promise<Caller>
  readonly desk: (envelope: Envelope, signal: Signal) => Desk
  /** Hears of every request once it is over: log, metrics, traces, abuse counting. Must not throw. */
  readonly over: (envelope: Envelope, durationMs: number, defect: unknown, traceparent: string | undefined) => void
}

export class Door {
  readonly server: Server
  readonly #options: DoorOptions
  readonly #router: Router
  readonly #open = new Set<Cancel>()
  #bodiesBytes = 0
  #stopping = false

  constructor(options: DoorOptions) {
    this.#options = options
    this.#router = new Router(options.endpoints)
    this.server = createServer(
      {
        keepAliveTimeout: options.idleMs,
        headersTimeout: 30_000,
        requestTimeout: options.bodyMs,
        connectionsCheckingInterval: 5_000,
        noDelay: true,
      },
      (request, response) => void this.#serve(request, response),
    )
    this.server.maxRequestsPerSocket = 0
  }

  /** How many requests have not been answered to the end. */
  get inFlight(): number {
    return this.#open.size
  }

  /** The port it listens on, once it does. */
  get port(): number {
    const address = this.server.address()
    return typeof address === 'object' && address ? address.port : 0
  }

  get stopping(): boolean {
    return this.#stopping
  }

  listen(port: number, host: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.server.once('error', reject)
      this.server.listen({ port, host, backlog: 1024 }, () => {
        this.server.off('error', reject)
        resolve()
      })
    })
  }

  /**
   * Stops accepting, lets what runs end for at most `graceMs`, then cancels it. Resolves when every connection is closed,
   * with the number of requests that were cut off.
   */
  async close(graceMs: number): Promise<number> {
    let cutOff = 0
    this.#stopping = true
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()))
    this.server.closeIdleConnections()
    const cut = setTimeout(() => {
      cutOff = this.#open.size
      for (const cancel of this.#open) cancel.abort(fail('SHUTTING_DOWN'))
      // A moment for the last events and the settling of what was cut, then the sockets go.
      setTimeout(() => this.server.closeAllConnections(), 500).unref()
    }, graceMs)
    await closed
    clearTimeout(cut)
    return cutOff
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { clock } = this.#options
    const envelope = newEnvelope(clock)
    const cancel = new Cancel()
    this.#open.add(cancel)
    response.on('close', () => {
      if (!response.writableFinished) cancel.abort(callerLeft())
      // Node keeps the connection for a next request, and `close` would wait for that.
      if (this.#stopping) this.server.closeIdleConnections()
    })
    let defect: unknown = null
    try {
      await this.#answer(request, response, envelope, cancel)
    } catch (error) {
      const failure = asFailure(error)
      if (failure !== error) defect = error
      // Nobody is there to be told, and it is nobody's failure.
      if (isCallerLeft(failure)) envelope.internal = failure.internal ?? null
      else await this.#refuse(request, response, envelope, failure)
    } finally {
      this.#open.delete(cancel)
      // 499 is what logs have always shown for a caller that did not wait.
      envelope.status = envelope.internal === CALLER_LEFT || !response.headersSent ? 499 : response.statusCode
      this.#options.over(envelope, clock.tick() - envelope.startedTick, defect, header(request.headers['traceparent']))
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse, envelope: Envelope, cancel: Cancel): Promise<void> {
    const url = request.url ?? '/'
    const mark = url.indexOf('?')
    const path = mark < 0 ? url : url.slice(0, mark)
    if (request.method === 'OPTIONS') return this.#preflight(request, response, envelope)
    const match = this.#find(request.method ?? 'GET', path)
    const { endpoint } = match
    envelope.endpoint = endpoint.path
    if (this.#stopping && endpoint.scope !== 'public') throw fail('SHUTTING_DOWN', { retryAfterMs: 5_000 })
    if (endpoint.scope !== 'public') {
      const { authorization, 'x-api-key': apiKey } = request.headers
      const entered = this.#options.enter(authorization, header(apiKey), request.socket.remoteAddress ?? '')
      const caller = entered instanceof Promise ? await entered : entered
      envelope.caller = caller
      requireScope(caller, endpoint.scope)
    }
    const query = match.query ? match.query(mark < 0 ? NO_QUERY : queryOf(url.slice(mark + 1))) : undefined
    const raw = match.body ? await this.#readJson(request) : null
    const bodyBytes = raw === null ? 0 : this.#take(raw.length)
    try {
      const body = raw === null ? undefined : match.body?.(parseJson(raw))
      const desk = this.#options.desk(envelope, cancel)
      const given = endpoint.handle({ params: match.params, query, body, bodyBytes, headers: request.headers }, desk)
      const written = this.#write(request, response, envelope, given instanceof Promise ? await given : given)
      if (written) await written
    } finally {
      this.#bodiesBytes -= bodyBytes
    }
  }

  #readJson(request: IncomingMessage): Promise<Buffer> {
    requireJson(request.headers['content-type'])
    return readBody(request, this.#options.maxBodyBytes)
  }

  /** Takes a body in, if there is room for it besides those that are being worked on. */
  #take(bytes: number): number {
    if (this.#bodiesBytes + bytes > this.#options.maxBodiesBytes) {
      throw fail('MODEL_AT_CAPACITY', { say: 'The server is busy with large requests; try again shortly', retryAfterMs: 1_000 })
    }
    this.#bodiesBytes += bytes
    return bytes
  }

  #write(request: IncomingMessage, response: ServerResponse, envelope: Envelope, reply: Reply): void | Promise<void> {
    if (reply.type === 'events') return this.#stream(request, response, envelope, reply.write)
    const head = this.#head(request, envelope)
    this.#firstByte(envelope)
    switch (reply.type) {
      case 'json':
        return replyJson(request, response, reply.status ?? 200, head, reply.body)
      case 'text':
        return replyText(request, response, reply.status ?? 200, head, reply.contentType, reply.body)
      case 'file':
        return replyFile(response, head, reply.contentType, reply.path)
    }
  }

  async #stream(
    request: IncomingMessage,
    response: ServerResponse,
    envelope: Envelope,
    write: (out: Events) => Promise<void>,
  ): Promise<void> {
    const open = (): void => {
      this.#firstByte(envelope)
      const head = this.#head(request, envelope)
      head.push('content-type', 'text/event-stream; charset=utf-8', 'cache-control', 'no-cache, no-transform', 'x-accel-buffering', 'no')
      response.writeHead(200, head)
    }
    const events = new Events(response, open, this.#options.pingMs)
    try {
      await write(events)
      events.end()
    } catch (error) {
      const failure = asFailure(error)
      if (!events.opened || isCallerLeft(failure)) {
        events.abandon()
        throw error
      }
      envelope.code = failure.code
      envelope.internal = failure.internal ?? null
      events.end(errorEvent(failure, envelope.requestId))
      if (failure !== error) throw error
    }
  }

  async #refuse(request: IncomingMessage, response: ServerResponse, envelope: Envelope, failure: Failure): Promise<void> {
    envelope.code = failure.code
    envelope.internal = failure.internal ?? null
    if (response.headersSent || response.destroyed) return
    const head: Head = this.#head(request, envelope)
    if (failure.retryAfterMs !== undefined) head.push('retry-after', Math.max(1, Math.ceil(failure.retryAfterMs / 1000)))
    if (failure.code === 'METHOD_NOT_ALLOWED') head.push('allow', this.#router.methods(pathOf(request)).join(', '))
    if (failure.code === 'AUTHENTICATION_FAILED') head.push('www-authenticate', 'Bearer')
    this.#firstByte(envelope)
    const body = errorBody(failure, envelope.requestId)
    if (!request.complete) await discard(request)
    if (!request.complete) return refuseEarly(request, response, failure.status, head, body)
    if (this.#stopping) head.push('connection', 'close')
    await replyJson(request, response, failure.status, head, body)
  }

  #find(method: string, path: string): Match {
    // HEAD is GET without the body, which node leaves out by itself.
    const match = this.#router.match(method === 'HEAD' ? 'GET' : method, path)
    if (match) return match
    const methods = this.#router.methods(path)
    if (methods.length === 0) throw fail('NOT_FOUND')
    throw fail('METHOD_NOT_ALLOWED', { say: `This endpoint takes ${methods.join(', ')} only` })
  }

  #preflight(request: IncomingMessage, response: ServerResponse, envelope: Envelope): void {
    envelope.endpoint = 'preflight'
    response.writeHead(204, [...this.#head(request, envelope), ...preflightHead(header(request.headers['access-control-request-headers']))])
    response.end()
  }

  #head(request: IncomingMessage, envelope: Envelope): Head {
    return headOf(envelope, this.#options.version, request.headers.origin !== undefined)
  }

  #firstByte(envelope: Envelope): void {
    envelope.firstByteMs = this.#options.clock.tick() - envelope.startedTick
  }
}

/** Throws away what comes of a body, and waits a turn: one that came together with its head need not cost the connection. */
function discard(request: IncomingMessage): Promise<void> {
  // Who was reading it has stopped at the limit, and would stop the rest as well.
  request.removeAllListeners('data')
  request.resume()
  return new Promise((resolve) => setImmediate(resolve))
}

/** For how long a caller that was refused may go on sending. */
const LINGER_MS = 2_000

/**
 * Answers a caller that is still sending, so that it can read why it was refused. The whole answer goes out at once and
 * says that the connection closes, but what comes is thrown away for a moment before it does: node closes the socket as
 * soon as such an answer has ended, and a socket closed with unread bytes is reset, the answer in it lost.
 */
function refuseEarly(request: IncomingMessage, response: ServerResponse, status: number, head: Head, body: unknown): void {
  const text = JSON.stringify(body)
  head.push('connection', 'close', 'content-type', 'application/json', 'content-length', Buffer.byteLength(text))
  response.writeHead(status, head)
  response.write(text)
  const end = (): void => {
    clearTimeout(timer)
    response.end()
  }
  const timer = setTimeout(end, LINGER_MS)
  timer.unref()
  request.once('end', end)
  request.once('close', end)
}

function queryOf(search: string): Record<string, string> {
  return Object.fromEntries(new URLSearchParams(search))
}

const NO_QUERY: Readonly<Record<string, string>> = Object.freeze({})

const header = (value: string | string[] | undefined): string | undefined => (Array.isArray(value) ? value[0] : value)

const pathOf = (request: IncomingMessage): string => (request.url ?? '/').split('?', 1)[0] ?? '/'

function newEnvelope(clock: Clock): Envelope {
  return {
    requestId: clock.id(),
    startedAt: clock.now(),
    startedTick: clock.tick(),
    endpoint: 'unmatched',
    caller: null,
    modality: null,
    model: null,
    modelName: null,
    engine: null,
    attempts: 0,
    stream: false,
    status: 0,
    code: null,
    internal: null,
    usage: null,
    cost: null,
    balance: null,
    requests: null,
    tokens: null,
    deprecation: null,
    finishReasons: [],
    firstByteMs: null,
  }
}
