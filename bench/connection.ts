/**
 * One keep-alive connection of the load generator: sends its one request again and again and reads each answer to its
 * end, whether it has a length or comes in chunks. Counts the marks in it, wherever the network cuts it.
 */
import { type Socket, connect } from 'node:net'
import { MARK } from './wire.ts'

export type Expected = {
  /** How many marks every answer has: one for a chat, one per chunk for a stream, none for an embedding. */
  readonly marks: number
  readonly stream: boolean
  /** Checks a whole answer (JSON, or all events of a stream); says what is wrong with it, or null. */
  readonly check: (body: string) => string | null
  /** Whether the text of the chunks says when each was written. */
  readonly timed: boolean
}

export type Ears = {
  readonly answered: (connection: Connection) => void
  readonly failed: (connection: Connection, why: string) => void
  readonly chunk: (us: number) => void
}

const READ_BYTES = 64 * 1024
const CONNECT_MS = 5000
const HEAD_MAX_BYTES = 16 * 1024
/** The last bytes of a stream are kept, to see that it ended with `[DONE]`. */
const TAIL_CHARS = 32

type Reading = 'head' | 'length' | 'size' | 'chunk' | 'crlf' | 'trailer'

export class Connection {
  readonly #socket: Socket
  readonly #request: Buffer
  readonly #expected: Expected
  readonly #ears: Ears
  dueAt = 0
  firstByteAt = 0
  broken = false
  #waiting = false
  #reading: Reading = 'head'
  #line = ''
  #left = 0
  #status = 0
  #marks = 0
  #tail = ''
  /** The text of the answer while it is to be checked whole; null afterwards. */
  #text: string | null = ''

  static open(port: number, request: Buffer, expected: Expected, ears: Ears): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const socket = connect({
        port,
        host: '127.0.0.1',
        noDelay: true,
        onread: {
          buffer: Buffer.allocUnsafe(READ_BYTES),
          callback: (length, buffer) => {
            // Node hands back the buffer that it was given above.
            connection.#read(buffer as Buffer, length)
            return true
          },
        },
      })
      const connection = new Connection(socket, request, expected, ears)
      const late = setTimeout(() => reject(new Error(`no connection to port ${port}`)), CONNECT_MS)
      socket.once('connect', () => {
        clearTimeout(late)
        resolve(connection)
      })
      socket.once('error', (error) => {
        clearTimeout(late)
        reject(error)
      })
    })
  }

  constructor(socket: Socket, request: Buffer, expected: Expected, ears: Ears) {
    this.#socket = socket
    this.#request = request
    this.#expected = expected
    this.#ears = ears
    socket.on('error', () => undefined)
    socket.on('end', () => this.#lost())
    socket.on('close', () => this.#lost())
  }

  ask(dueAt: number): void {
    this.dueAt = dueAt
    if (this.broken) {
      this.#waiting = false
      this.#ears.failed(this, 'connection closed')
      return
    }
    this.#waiting = true
    this.#reading = 'head'
    this.#line = ''
    this.#marks = 0
    this.#tail = ''
    this.#socket.write(this.#request)
  }

  close(): void {
    this.#waiting = false
    this.#socket.destroy()
  }

  #lost(): void {
    this.broken = true
    if (!this.#waiting) return
    this.#waiting = false
    this.#ears.failed(this, 'connection closed in an answer')
  }

  #read(buffer: Buffer, length: number): void {
    let at = 0
    while (at < length && this.#waiting) {
      switch (this.#reading) {
        case 'head':
          at = this.#head(buffer, at, length)
          break
        case 'length':
        case 'chunk': {
          const end = Math.min(length, at + this.#left)
          this.#payload(buffer, at, end)
          this.#left -= end - at
          at = end
          if (this.#left > 0) break
          if (this.#reading === 'length') this.#finish()
          else this.#reading = 'crlf'
          break
        }
        default:
          at = this.#lineOf(buffer, at, length)
      }
    }
  }

  #head(buffer: Buffer, from: number, length: number): number {
    const end = this.#line === '' ? buffer.indexOf('\r\n\r\n', from) : -1
    if (end >= 0 && end + 4 <= length) {
      this.#begin(buffer.toString('latin1', from, end))
      return end + 4
    }
    // A head in several reads: gathered, byte by byte of the new read.
    for (let at = from; at < length; at++) {
      this.#line += String.fromCharCode(buffer[at] ?? 0)
      if (this.#line.endsWith('\r\n\r\n')) {
        this.#begin(this.#line)
        return at + 1
      }
      if (this.#line.length > HEAD_MAX_BYTES) this.#fail('head too long')
    }
    return length
  }

  #begin(head: string): void {
    this.#line = ''
    this.#status = Number(head.slice(9, 12))
    const lower = head.toLowerCase()
    const at = lower.indexOf('\r\ncontent-length:')
    if (at >= 0) {
      this.#left = Number.parseInt(lower.slice(at + 17, at + 32), 10)
      this.#reading = 'length'
      if (this.#left === 0) this.#finish()
    } else if (lower.includes('chunked')) this.#reading = 'size'
    else this.#fail('an answer without length')
  }

  /** The lines around chunks: a size, the end of one, the last. */
  #lineOf(buffer: Buffer, from: number, length: number): number {
    const end = buffer.indexOf(0x0a, from)
    if (end < 0 || end >= length) {
      this.#line += buffer.toString('latin1', from, length)
      return length
    }
    const line = (this.#line + buffer.toString('latin1', from, end)).trim()
    this.#line = ''
    if (this.#reading === 'size') {
      this.#left = Number.parseInt(line, 16)
      if (!Number.isFinite(this.#left)) this.#fail('a chunk without size')
      this.#reading = this.#left === 0 ? 'trailer' : 'chunk'
    } else if (this.#reading === 'crlf') this.#reading = 'size'
    else if (line === '') this.#finish()
    return end + 1
  }

  #payload(buffer: Buffer, from: number, end: number): void {
    if (this.#tail === '') this.firstByteAt = performance.now()
    for (let at = buffer.indexOf(MARK, from); at >= 0 && at < end; at = buffer.indexOf(MARK, at + 1)) {
      this.#marks++
      if (this.#expected.timed) this.#time(buffer, at, from)
    }
    const text =
      this.#text === null ? buffer.toString('latin1', Math.max(from, end - TAIL_CHARS), end) : buffer.toString('latin1', from, end)
    if (this.#text !== null) this.#text += text
    this.#tail = (this.#tail + text).slice(-TAIL_CHARS)
  }

  /** The digits before the mark are the upstream's monotonic clock, which is this process's too. */
  #time(buffer: Buffer, mark: number, from: number): void {
    let start = mark
    while (start > from && (buffer[start - 1] ?? 0) >= 0x30 && (buffer[start - 1] ?? 0) <= 0x39) start--
    // Cut by the network: one sample fewer.
    if (start === from || start === mark) return
    this.#ears.chunk(Number(process.hrtime.bigint() - BigInt(buffer.toString('latin1', start, mark))) / 1000)
  }

  #finish(): void {
    const { marks, stream, check } = this.#expected
    if (this.#status !== 200) this.#fail(`status ${this.#status}`)
    else if (this.#marks !== marks) this.#fail(`${this.#marks} pieces of text instead of ${marks}`)
    else if (stream && !this.#tail.endsWith('data: [DONE]\n\n')) this.#fail('a stream without [DONE]')
    else {
      const wrong = this.#text === null ? null : checked(check, Buffer.from(this.#text, 'latin1').toString('utf8'))
      this.#text = null
      if (wrong !== null) this.#fail(wrong)
      else if (this.#waiting) {
        this.#waiting = false
        this.#ears.answered(this)
      }
    }
  }

  #fail(why: string): void {
    if (!this.#waiting) return
    this.#waiting = false
    // After a malformed answer nobody knows where the next begins.
    if (!why.startsWith('status') && !why.includes('pieces')) {
      this.broken = true
      this.#socket.destroy()
    }
    this.#text = null
    this.#ears.failed(this, why)
  }
}

function checked(check: Expected['check'], body: string): string | null {
  try {
    return check(body)
  } catch {
    return 'an answer that is no JSON'
  }
}
