/**
 * One socket of the network door and the requests on it, one after another: opened to a guarded address only, written
 * to in one piece, read in one place, closed when anything about it is in doubt.
 */
import { connect as connectPlain, isIP } from 'node:net'
import type { OnReadOpts, Socket } from 'node:net'
import { atTurnEnd } from '../core/turn.ts'
import { guardedLookup } from './address-guard.ts'
import { Alarm, Limits } from './egress-alarm.ts'
import { HttpResponse } from './http-response.ts'

/** How long an unused connection is kept where its server does not say for how long it does. */
const IDLE_MS = 60_000
/** Before its server closes it, a connection is closed here: what is sent just then may be lost. */
const IDLE_MARGIN_MS = 1000
const KEEP_ALIVE_PROBE_MS = 60_000
/** What one read takes at most; more waits in the system. */
const READ_BYTES = 64 * 1024

/** Where to, and how: one for all connections to an upstream. That the host itself is allowed has been checked. */
export type Target = {
  readonly tls: boolean
  /** A name or an address, which for IPv6 is without its brackets. */
  readonly host: string
  readonly port: number
  /** The path of a Unix socket that is connected to instead; null for a network's. */
  readonly socketPath: string | null
  readonly allowPrivateAddresses: boolean
  readonly connectMs: number
  /** The last TLS session, so that the next connection opens in one round trip less. */
  session: Buffer | null
}

/** Who sends a request on a connection. It gets the bytes of the answer, which are its own to keep, until it is through. */
export type Sender = {
  /** Whether it looks at the fields of downloads. */
  readonly download: boolean
  read(bytes: Buffer): void
  /** The head of its request has been written, and what of the body there was. */
  sent?(): void
  /** The connection is gone: `null` when the server closed it in good order, else why. */
  lost(error: unknown): void
}

/** The place that a connection is kept at. */
export type Keeper = {
  /** It is gone, or going, and no longer to be used. Called once. */
  gone(connection: Connection): void
}

/** Not opened in time. */
class ConnectTimeout extends Error {
  readonly code = 'CONNECT_TIMEOUT'
}

/**
 * Invariant: a connection is with its sender, or idle at its keeper, or gone; what arrives while nobody waits for it
 * ends it, so that no answer is ever taken for another request's.
 */
export class Connection {
  /** Whether it has brought a whole answer before: only then may the server have closed it in the meantime. */
  served = false
  /** Of the request on it. The sender takes them along when it sends its request again elsewhere, and clears them when it is lost. */
  limits = new Limits()
  readonly response = new HttpResponse()
  readonly #keeper: Keeper
  readonly #socket: Socket
  readonly #idle = new Alarm(() => this.#expire())
  #sender: Sender | null = null
  #open = false
  #gone = false
  #paused = false
  /** What is to be written once the connection is open. */
  #head = ''
  #body: Body = undefined
  /** Who waits until the system has taken what was written. */
  #drained: (() => void) | null = null

  constructor(target: Target, keeper: Keeper) {
    this.#keeper = keeper
    const socket = openSocket(target, (bytes) => this.#read(bytes))
    this.#socket = socket
    const opening = setTimeout(() => socket.destroy(new ConnectTimeout()), target.connectMs)
    socket.on(target.tls ? 'secureConnect' : 'connect', () => {
      clearTimeout(opening)
      this.#opened()
    })
    let reason: unknown = null
    socket.on('error', (error: unknown) => {
      reason = error
    })
    socket.on('drain', () => this.#drained?.())
    socket.on('end', () => this.#lose(reason))
    socket.on('close', () => {
      clearTimeout(opening)
      this.#lose(reason)
    })
  }

  /** Writes a request, as soon as the connection is open. `head` is without the length of the body where there is one. */
  send(sender: Sender, head: string, body: Body): void {
    this.#sender = sender
    this.response.reset(sender.download)
    this.#head = head
    this.#body = body
    if (this.#open) atTurnEnd(this)
  }

  /** The end of the turn: what was sent in it goes out, unless it was called off. */
  flush(): void {
    if (this.#gone || !this.#sender || this.#head === '') return
    write(this.#socket, this.#head, this.#body)
    this.#head = ''
    this.#body = undefined
    this.#sender.sent?.()
  }

  /** More of a body whose head has been written. Resolves when there is room for the next, or the connection is gone. */
  write(pieces: readonly (string | Buffer)[]): Promise<void> {
    if (this.#gone) return Promise.resolve()
    const socket = this.#socket
    let roomy = true
    socket.cork()
    for (const piece of pieces) roomy = typeof piece === 'string' ? socket.write(piece, 'latin1') : socket.write(piece)
    socket.uncork()
    if (roomy) return Promise.resolve()
    return new Promise((resolve) => {
      this.#drained = resolve
    })
  }

  /**
   * The sender is through, and the answer came whole. Returns whether the connection can serve again; where it cannot,
   * it is closed.
   */
  release(): boolean {
    this.#sender = null
    this.limits.stop()
    const idleMs = idleMsAfter(this.response)
    // A server may answer before it has the whole request; the rest of it would be the beginning of the next.
    if (this.#gone || idleMs <= 0 || this.#socket.writableLength > 0) {
      this.limits.clear()
      this.close()
      return false
    }
    this.served = true
    this.resume()
    this.#idle.set(idleMs)
    return true
  }

  pause(): void {
    this.#paused = true
    if (!this.#gone) this.#socket.pause()
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    if (!this.#gone) this.#socket.resume()
  }

  /** Closes it at once, in whatever state it is. The sender hears nothing more. */
  close(): void {
    this.#sender = null
    this.#lose(null)
  }

  /** Closes it under its sender; resolves once the system has let go of the socket. */
  end(reason: unknown): Promise<void> {
    const ended = this.#socket.closed ? Promise.resolve() : new Promise<void>((resolve) => this.#socket.once('close', () => resolve()))
    this.#lose(reason)
    return ended
  }

  #opened(): void {
    if (this.#gone) return
    this.#open = true
    this.#socket.setNoDelay(true)
    this.#socket.setKeepAlive(true, KEEP_ALIVE_PROBE_MS)
    this.flush()
  }

  #read(bytes: Buffer): void {
    if (this.#gone) return
    if (this.#sender) this.#sender.read(bytes)
    else this.#lose(null)
  }

  #expire(): void {
    if (!this.#sender) this.#lose(null)
  }

  #lose(reason: unknown): void {
    if (this.#gone) return
    this.#gone = true
    this.#idle.clear()
    this.#body = undefined
    this.#socket.destroy()
    this.#drained?.()
    this.#keeper.gone(this)
    const sender = this.#sender
    this.#sender = null
    if (sender) sender.lost(reason)
    else this.limits.clear()
  }
}

function idleMsAfter(response: HttpResponse): number {
  if (!response.keepsAlive) return 0
  const seconds = response.keepAliveSeconds
  return seconds === -1 ? IDLE_MS : Math.min(IDLE_MS, seconds * 1000 - IDLE_MARGIN_MS)
}

/** What is there of a body when its head is written; of one that is still coming its size, if that is known. */
type Body = string | Buffer | { readonly sizeBytes: number | null } | undefined

/** One piece for the system, whatever it is made of. */
function write(socket: Socket, head: string, body: Body): void {
  if (body === undefined) socket.write(head, 'latin1')
  else if (typeof body === 'string') {
    const sizeBytes = Buffer.byteLength(body)
    // With a byte for each character it is ASCII, which goes out as it is in memory.
    socket.write(`${head}${sizeBytes}\r\n\r\n${body}`, sizeBytes === body.length ? 'latin1' : 'utf8')
  } else if (!Buffer.isBuffer(body)) socket.write(body.sizeBytes === null ? head : `${head}${body.sizeBytes}\r\n\r\n`, 'latin1')
  else {
    socket.cork()
    socket.write(`${head}${body.length}\r\n\r\n`, 'latin1')
    socket.write(body)
    socket.uncork()
  }
}

/**
 * All plain connections read into this one buffer, and what came is copied out of it before anything else happens: a
 * buffer per read, as streams make it, costs more than the copy, and a buffer per connection keeps its memory.
 */
const READING = Buffer.allocUnsafeSlow(READ_BYTES)

function openSocket(target: Target, read: (bytes: Buffer) => void): Socket {
  const { tls, host, port, socketPath, allowPrivateAddresses } = target
  const onread: OnReadOpts = {
    // A TLS connection may hand over what it has deciphered while another one is at work.
    buffer: tls ? Buffer.allocUnsafeSlow(READ_BYTES) : READING,
    callback(sizeBytes, buffer) {
      const bytes = Buffer.allocUnsafe(sizeBytes)
      bytes.set(sizeBytes === buffer.length ? buffer : buffer.subarray(0, sizeBytes))
      read(bytes)
      return true
    },
  }
  if (socketPath !== null) return connectPlain({ path: socketPath, onread })
  const options = { host, port, lookup: guardedLookup(allowPrivateAddresses), onread, autoSelectFamily: true }
  if (!tls) return connectPlain(options)
  // Loaded when an upstream wants it: it is ten megabytes of memory.
  const socket = process.getBuiltinModule('node:tls').connect({
    ...options,
    ALPNProtocols: ['http/1.1'],
    rejectUnauthorized: true,
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...(target.session ? { session: target.session } : {}),
  })
  socket.on('session', (session) => {
    target.session = session
  })
  return socket
}
