/** The door: one listener, every request through the same steps, one line per request on the way out. */
import type { Balance, Caller, Envelope } from '../core/call.ts'
import { Cancel, type Signal } from '../core/cancel.ts'
import { Crowd } from '../core/crowd.ts'
import type { Clock } from '../core/clock.ts'
import { CALLER_LEFT, type Failure, callerLeft, fail, isCallerLeft } from '../core/errors.ts'
import type { AnyEndpoint, ByteSink, Form, FormRules, Input, Reply } from '../endpoints/endpoint.ts'
import { requireScope } from '../keys/keys.ts'
import type { Load, Place } from '../limits/load.ts'
import type { Desk } from '../pipeline/desk.ts'
import type { Credentials } from '../pipeline/enter.ts'
import { parseJson, requireJson } from './body.ts'
import { asFailure, errorBody, errorEvent, errorHeaders } from './error-reply.ts'
import { Events, SLOW_READER_MS } from './events.ts'
import type { Exchange } from './exchange.ts'
import { boundaryOf } from './form.ts'
import { fields, field, headOf, preflightHead } from './head.ts'
import { HELD_BYTES, IncomingForm } from './incoming-form.ts'
import { Listener } from './listener.ts'
import { replyFile, replyJson, replyText } from './reply.ts'
import { type Match, Router } from './router.ts'

export type DoorOptions = {
  readonly endpoints: readonly AnyEndpoint[]
  readonly clock: Clock
  /** The value of `x-venice-version`. */
  readonly version: string
  readonly maxBodyBytes: number
  /** How much is worked on at once; what comes on top is turned away. */
  readonly load: Load
  /** How long a body may take to arrive, and a keep-alive connection may idle, in milliseconds. */
  readonly bodyMs: number
  readonly idleMs: number
  readonly pingMs: number
  /**
   * Who presents a key or signs in by these headers, if that caller may come in just now. Throws 401, 402, 429 for who
   * failed too often, or 503 when it cannot be found out. `address` is the caller's, for counting failures; it is not kept.
   */
  readonly enter: (credentials: Credentials, address: string, endpoint: AnyEndpoint) => Caller | Promise<Caller>
  /** What the caller's account has, for the headers of what runs no model; null where that cannot be known just now. */
  readonly balance: (caller: Caller) => Promise<Balance | null>
  readonly desk: (envelope: Envelope, signal: Signal) => Desk
  /** Hears of every request once it is over: log, metrics, traces, abuse counting. Must not throw. */
  readonly over: (envelope: Envelope, durationMs: number, defect: unknown, traceparent: string | undefined) => void
}

export class Door {
  readonly #listener: Listener
  readonly #options: DoorOptions
  readonly #router: Router
  readonly #open = new Crowd<Cancel>()

  constructor(options: DoorOptions) {
    this.#options = options
    this.#router = new Router(options.endpoints)
    const { idleMs, bodyMs, clock } = options
    this.#listener = new Listener({
      idleMs,
      bodyMs,
      tick: () => clock.tick(),
      now: () => clock.now(),
      serve: (exchange) => void this.#serve(exchange),
    })
  }

  /** How many requests have not been answered to the end. */
  get inFlight(): number {
    return this.#open.size
  }

  /** The port it listens on, once it does. */
  get port(): number {
    return this.#listener.port
  }

  get stopping(): boolean {
    return this.#listener.stopping
  }

  listen(port: number, host: string): Promise<void> {
    return this.#listener.listen(port, host)
  }

  /**
   * Stops accepting, lets what runs end for at most `graceMs`, then cancels it. Resolves when every connection is closed,
   * with the number of requests that were cut off.
   */
  async close(graceMs: number): Promise<number> {
    let cutOff = 0
    const cut = setTimeout(() => {
      cutOff = this.#open.size
      this.#open.forEach((cancel) => cancel.abort(fail('SHUTTING_DOWN')))
      // A moment for the last events and the settling of what was cut, then the sockets go.
      setTimeout(() => this.#listener.cut(), 500).unref()
    }, graceMs)
    await this.#listener.close()
    clearTimeout(cut)
    return cutOff
  }

  async #serve(exchange: Exchange): Promise<void> {
    const { clock } = this.#options
    const envelope = newEnvelope(clock)
    const cancel = new Cancel()
    this.#open.add(cancel)
    exchange.onGone = () => cancel.abort(callerLeft())
    let defect: unknown = null
    try {
      await this.#answer(exchange, envelope, cancel)
    } catch (error) {
      const failure = asFailure(error)
      if (failure !== error) defect = error
      // Nobody is there to be told, and it is nobody's failure.
      if (isCallerLeft(failure)) envelope.internal = failure.internal ?? null
      else await this.#refuse(exchange, envelope, failure)
    } finally {
      // Whatever went wrong, nobody is left waiting for an answer that will not come.
      exchange.destroy()
      this.#open.delete(cancel)
      // 499 is what logs have always shown for a caller that did not wait.
      envelope.status = envelope.internal === CALLER_LEFT || exchange.status === 0 ? 499 : exchange.status
      this.#options.over(envelope, clock.tick() - envelope.startedTick, defect, exchange.head.traceparent)
    }
  }

  async #answer(exchange: Exchange, envelope: Envelope, cancel: Cancel): Promise<void> {
    const { head } = exchange
    const url = head.target
    const mark = url.indexOf('?')
    const path = mark < 0 ? url : url.slice(0, mark)
    if (head.method === 'OPTIONS') return this.#preflight(exchange, envelope)
    const match = this.#find(head.method, path)
    const { endpoint } = match
    envelope.endpoint = endpoint.path
    if (this.stopping && endpoint.scope !== 'public') throw fail('SHUTTING_DOWN', { retryAfterMs: 5_000 })
    if (endpoint.scope !== 'public') {
      const entered = this.#options.enter(head, exchange.address, endpoint)
      const caller = entered instanceof Promise ? await entered : entered
      envelope.caller = caller
      requireScope(caller, endpoint.scope)
      // A run is held against the balance, and says itself what that was.
      if (!endpoint.charged) envelope.balance = await this.#options.balance(caller)
    }
    const { load } = this.#options
    const announced = Math.max(0, head.length)
    const place = load.enter(envelope.caller?.keyId ?? STRANGERS, endpoint.form ? Math.min(announced, HELD_BYTES) : announced)
    try {
      const query = match.query ? match.query(mark < 0 ? NO_QUERY : queryOf(url.slice(mark + 1))) : undefined
      let input: DoorInput
      if (endpoint.form) {
        const form = await this.#form(exchange, match, endpoint.form, place, cancel)
        input = new DoorInput(match.params, query, form.known(), announced, form, exchange)
      } else {
        const reading = this.#read(exchange, endpoint)
        const read = reading instanceof Promise ? await reading : reading
        if (read !== null && read.length > place.bytes) load.grow(place, read.length - place.bytes)
        const body = read === null ? undefined : match.body ? match.body(parseJson(read)) : read
        input = new DoorInput(match.params, query, body, read?.length ?? 0, undefined, exchange)
      }
      const given = endpoint.handle(input, this.#options.desk(envelope, cancel))
      const written = this.#write(exchange, envelope, given instanceof Promise ? await given : given)
      if (written) await written
    } finally {
      load.leave(place)
    }
  }

  /** A form that is there, or of which enough is to begin with. */
  async #form(exchange: Exchange, { body }: Match, rules: FormRules, place: Place, cancel: Cancel): Promise<IncomingForm> {
    const { load } = this.#options
    const { contentType, length } = exchange.head
    const form = new IncomingForm({
      rules,
      boundary: boundaryOf(contentType),
      lengthBytes: length,
      check: body ?? ((fields) => fields),
      hold: (bytes) => (bytes > place.bytes ? load.grow(place, bytes - place.bytes) : undefined),
      cancel,
      goOn: () => exchange.goOn(),
    })
    exchange.pass(form)
    await form.ready
    return form
  }

  /** The body as it came; null where the endpoint takes none. */
  #read(exchange: Exchange, { body, raw }: AnyEndpoint): Buffer | Promise<Buffer> | null {
    if (!body) return raw ? exchange.body(raw.maxBytes) : null
    requireJson(exchange.head.contentType)
    return exchange.body(this.#options.maxBodyBytes)
  }

  #write(exchange: Exchange, envelope: Envelope, reply: Reply): void | Promise<void> {
    if (reply.type === 'events') return this.#stream(exchange, envelope, reply.write)
    if (exchange.gone) throw callerLeft()
    if (reply.type === 'stream') return this.#pour(exchange, envelope, reply)
    const head = this.#head(exchange, envelope)
    this.#firstByte(envelope)
    switch (reply.type) {
      case 'json':
        return replyJson(exchange, reply.status ?? 200, head + fields(reply.headers), reply.body)
      case 'text':
        return replyText(exchange, reply.status ?? 200, head + fields(reply.headers), reply.contentType, reply.body)
      case 'file':
        return replyFile(exchange, head, reply.contentType, reply.path)
      case 'bytes':
        return exchange.answer(200, head + field('content-type', reply.contentType), reply.body)
    }
  }

  async #stream(exchange: Exchange, envelope: Envelope, write: (out: Events) => Promise<void>): Promise<void> {
    const open = (): void => {
      this.#firstByte(envelope)
      exchange.open(200, this.#head(exchange, envelope) + EVENT_FIELDS)
    }
    const events = new Events(exchange, open, this.#options.pingMs)
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

  async #pour(exchange: Exchange, envelope: Envelope, reply: Reply & { readonly type: 'stream' }): Promise<void> {
    const open = (): void => {
      this.#firstByte(envelope)
      exchange.open(200, `${this.#head(exchange, envelope)}${fields(reply.headers)}${field('content-type', reply.contentType)}`)
    }
    try {
      await reply.write(new Pieces(exchange, open))
    } catch (error) {
      if (exchange.status !== 0) exchange.destroy()
      throw error
    }
    if (exchange.status === 0) open()
    exchange.end()
  }

  async #refuse(exchange: Exchange, envelope: Envelope, failure: Failure): Promise<void> {
    envelope.code = failure.code
    envelope.internal = failure.internal ?? null
    if (exchange.status !== 0 || exchange.gone) return
    let head = this.#head(exchange, envelope) + fields(errorHeaders(failure))
    if (failure.retryAfterMs !== undefined) head += field('retry-after', Math.max(1, Math.ceil(failure.retryAfterMs / 1000)))
    if (failure.code === 'METHOD_NOT_ALLOWED') head += field('allow', this.#router.methods(pathOf(exchange)).join(', '))
    if (failure.code === 'AUTHENTICATION_FAILED') head += 'www-authenticate: Bearer\r\n'
    this.#firstByte(envelope)
    // A turn for what is still on its way: a body that came together with its head need not cost the connection.
    if (!exchange.arrived) await new Promise((resolve) => setImmediate(resolve))
    await replyJson(exchange, failure.status, head, errorBody(failure, envelope.requestId))
  }

  #find(method: string, path: string): Match {
    // HEAD is GET without the body, which node leaves out by itself.
    const match = this.#router.match(method === 'HEAD' ? 'GET' : method, path)
    if (match) return match
    const methods = this.#router.methods(path)
    if (methods.length === 0) throw fail('NOT_FOUND')
    throw fail('METHOD_NOT_ALLOWED', { say: `This endpoint takes ${methods.join(', ')} only` })
  }

  #preflight(exchange: Exchange, envelope: Envelope): void {
    envelope.endpoint = 'preflight'
    const asked = exchange.head.headers['access-control-request-headers']
    exchange.answer(204, this.#head(exchange, envelope) + preflightHead(asked))
  }

  #head(exchange: Exchange, envelope: Envelope): string {
    return headOf(envelope, this.#options.version, exchange.head.origin !== undefined)
  }

  #firstByte(envelope: Envelope): void {
    envelope.firstByteMs = this.#options.clock.tick() - envelope.startedTick
  }
}

const EVENT_FIELDS = 'content-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache, no-transform\r\nx-accel-buffering: no\r\n'

/** The pieces of an answer of unknown length, opened by the first. */
class Pieces implements ByteSink {
  readonly #exchange: Exchange
  readonly #open: () => void

  constructor(exchange: Exchange, open: () => void) {
    this.#exchange = exchange
    this.#open = open
  }

  send(piece: string | Buffer): void | Promise<void> {
    const exchange = this.#exchange
    if (exchange.gone) throw callerLeft()
    if (exchange.status === 0) this.#open()
    if (!exchange.writeBytes(typeof piece === 'string' ? Buffer.from(piece, 'utf8') : piece)) return exchange.drained(SLOW_READER_MS)
  }
}

/** What a handler gets. The headers are taken apart only where one is asked for. */
class DoorInput implements Input<unknown, unknown> {
  readonly params: Readonly<Record<string, string>>
  readonly query: unknown
  readonly body: unknown
  readonly bodyBytes: number
  readonly form?: Form<unknown>
  readonly #exchange: Exchange

  constructor(
    params: Readonly<Record<string, string>>,
    query: unknown,
    body: unknown,
    bodyBytes: number,
    form: Form<unknown> | undefined,
    exchange: Exchange,
  ) {
    if (form !== undefined) this.form = form
    this.params = params
    this.query = query
    this.body = body
    this.bodyBytes = bodyBytes
    this.#exchange = exchange
  }

  get sealed(): boolean {
    return this.#exchange.head.sealed
  }

  get headers(): Readonly<Record<string, string>> {
    return this.#exchange.head.headers
  }
}

function queryOf(search: string): Record<string, string> {
  return Object.fromEntries(new URLSearchParams(search))
}

/** Whose requests those without a caller are, when places are shared out. */
const STRANGERS = 'public'

const NO_QUERY: Readonly<Record<string, string>> = Object.freeze({})

const pathOf = ({ head }: Exchange): string => head.target.split('?', 1)[0] ?? '/'

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
