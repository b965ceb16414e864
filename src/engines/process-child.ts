/**
 * The child's side of the channel that `process.ts` opens: calls come in, their parts and ends go out, many to a frame. A child
 * whose parent is gone, in whatever way, ends at once: the channel is closed by the operating system.
 * Runs in children only; the gateway never loads this file.
 */
import { Socket } from 'node:net'
import { FrameReader, frameOf } from './process-frames.ts'
import type { Message } from './process-frames.ts'

/** Where the parent put the channel. */
const CHANNEL_FD = 3

/** Work for a child. `left` is aborted when nobody wants its result any more. */
export type ChildCall = {
  readonly method: string
  readonly body: unknown
  readonly bytes: Buffer | null
  readonly left: AbortSignal
  /** Sends a part of the result. */
  part(value: unknown, bytes?: Uint8Array): void
  /** Says that the work goes on although there is nothing to send: what says nothing for long is taken for dead. */
  beat(): void
}

/** What a handler throws for a refusal that the parent knows by its reason; everything else is a defect. */
export class ChildFailure extends Error {
  override readonly name = 'ChildFailure'
  readonly reason: string
  readonly details: unknown

  /** `reason` is a constant word of ours, `details` are numbers and names of fields; neither holds content. */
  constructor(reason: string, details: unknown = null) {
    super(reason)
    this.reason = reason
    this.details = details
  }
}

export type ChildHandler = (call: ChildCall) => Promise<{ readonly value: unknown; readonly bytes?: Uint8Array }>

export type Opened = {
  /** What the parent shall know. */
  readonly info: unknown
  readonly handle: ChildHandler
  /** Resolves where the child can do nothing more: it ends then, as if it had crashed. */
  readonly ended?: Promise<void>
}

/**
 * Starts to serve: `open` prepares (loads the model) and gives who handles the calls. `close` is called once before the process ends
 * in good order, in whatever state `open` is, and waited for.
 */
export async function serveParent(open: () => Promise<Opened>, close: () => Promise<void> = () => Promise.resolve()): Promise<void> {
  const channel = new Channel(close)
  try {
    const { info, handle, ended } = await open()
    channel.serve(handle)
    channel.send(['ready', 0, info])
    void ended?.then(() => channel.close())
  } catch (error) {
    channel.fail(0, error)
    channel.close()
  }
}

class Channel {
  readonly #socket = new Socket({ fd: CHANNEL_FD, readable: true, writable: true })
  readonly #calls = new Map<number, AbortController>()
  #waiting: Message[] = []
  #handle: ChildHandler | null = null
  #closing = false
  readonly #onClose: () => Promise<void>

  constructor(onClose: () => Promise<void>) {
    this.#onClose = onClose
    const reader = new FrameReader((message, tail) => this.#take(message, tail))
    const end = (): void => this.#end(0)
    this.#socket.on('data', (chunk: Buffer) => reader.feed(chunk))
    this.#socket.on('end', end).on('close', end).on('error', end)
    process.on('SIGTERM', end)
  }

  serve(handle: ChildHandler): void {
    this.#handle = handle
  }

  /** With bytes it goes out at once, and what waits before it; without, at the end of this turn. */
  send(message: Message, bytes?: Uint8Array): void {
    this.#waiting.push(message)
    if (bytes !== undefined) this.#flush(bytes)
    else if (this.#waiting.length === 1) setImmediate(() => this.#flush(null))
  }

  fail(call: number, error: unknown): void {
    const known = error instanceof ChildFailure
    this.send(['fail', call, known ? error.reason : 'defect', known ? error.details : null])
  }

  close(): void {
    this.#flush(null)
    this.#socket.end(() => this.#end(1))
  }

  #end(code: number): void {
    if (this.#closing) return
    this.#closing = true
    const exit = (): never => process.exit(code)
    this.#onClose().then(exit, exit)
  }

  #flush(tail: Uint8Array | null): void {
    if (this.#waiting.length === 0) return
    const messages = this.#waiting
    this.#waiting = []
    this.#socket.cork()
    for (const piece of frameOf(messages, tail)) this.#socket.write(piece)
    this.#socket.uncork()
  }

  #take([kind, id, method, body]: Message, tail: Buffer | null): void {
    if (kind === 'cancel') this.#calls.get(id)?.abort()
    else if (kind === 'call' && typeof method === 'string') void this.#run(id, method, body, tail)
  }

  async #run(id: number, method: string, body: unknown, bytes: Buffer | null): Promise<void> {
    const left = new AbortController()
    this.#calls.set(id, left)
    try {
      if (this.#handle === null) throw new ChildFailure('not_ready')
      const { value, bytes: tail } = await this.#handle({
        method,
        body,
        bytes,
        left: left.signal,
        part: (part, partBytes) => this.send(['part', id, part], partBytes),
        beat: () => this.send(['beat', id]),
      })
      this.send(['done', id, value], tail)
    } catch (error) {
      this.fail(id, error)
    } finally {
      this.#calls.delete(id)
    }
  }
}
