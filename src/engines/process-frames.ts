/**
 * The language of the channel between the gateway and a child: frames of messages, each frame a list as JSON with an optional
 * tail of bytes that belongs to its last message. JSON because it cannot harm who reads it, whatever the other side wrote;
 * many messages to a frame because one per token would cost more than all the rest.
 */

/** A message is its kind, the number of its call, and what the kind says. */
export type Message = readonly [kind: string, call: number, ...rest: unknown[]]

/** Nothing that an engine takes or gives is larger; who says so is not believed. */
const HEAD_MAX_BYTES = 64 * 1024 * 1024
const TAIL_MAX_BYTES = 512 * 1024 * 1024
const PREFIX_BYTES = 8

/** The bytes of a frame: two lengths, little-endian, then the list, then the tail. The tail is not copied. */
export function frameOf(messages: readonly Message[], tail: Uint8Array | null): readonly Uint8Array[] {
  const head = Buffer.from(JSON.stringify(messages), 'utf8')
  const prefix = Buffer.allocUnsafe(PREFIX_BYTES)
  prefix.writeUInt32LE(head.length, 0)
  prefix.writeUInt32LE(tail?.length ?? 0, 4)
  return tail === null ? [prefix, head] : [prefix, head, tail]
}

/** Bytes in any pieces → messages, in order. Throws for what is no frame; nothing can be read after that. */
export class FrameReader {
  readonly #take: (message: Message, tail: Buffer | null) => void
  #chunks: Buffer[] = []
  #sizeBytes = 0
  /** How many bytes the frame at the front needs, as far as that is known. */
  #needBytes = PREFIX_BYTES

  constructor(take: (message: Message, tail: Buffer | null) => void) {
    this.#take = take
  }

  feed(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.#sizeBytes += chunk.length
    while (this.#sizeBytes >= this.#needBytes) {
      const bytes = this.#chunks.length === 1 && this.#chunks[0] ? this.#chunks[0] : Buffer.concat(this.#chunks, this.#sizeBytes)
      this.#chunks = [bytes]
      const headBytes = bytes.readUInt32LE(0)
      const tailBytes = bytes.readUInt32LE(4)
      if (headBytes > HEAD_MAX_BYTES || tailBytes > TAIL_MAX_BYTES) throw new FrameError()
      const end = PREFIX_BYTES + headBytes + tailBytes
      this.#needBytes = end
      if (bytes.length < end) return
      const rest = bytes.subarray(end)
      this.#chunks = rest.length > 0 ? [rest] : []
      this.#sizeBytes = rest.length
      this.#needBytes = PREFIX_BYTES
      this.#read(bytes.subarray(PREFIX_BYTES, PREFIX_BYTES + headBytes), bytes.subarray(PREFIX_BYTES + headBytes, end))
    }
  }

  #read(head: Buffer, tail: Buffer): void {
    const messages = listOf(head.toString('utf8'))
    const last = messages.length - 1
    for (const [at, message] of messages.entries()) this.#take(message, at === last && tail.length > 0 ? tail : null)
  }
}

/** What came is no frame. It has no words: they would quote what came. */
export class FrameError extends Error {
  override readonly name = 'FrameError'
}

function listOf(json: string): Message[] {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch {
    // The parser's message quotes what it read.
    throw new FrameError()
  }
  if (!Array.isArray(value) || !value.every(isMessage)) throw new FrameError()
  return value
}

const isMessage = (value: unknown): value is Message => Array.isArray(value) && typeof value[0] === 'string' && typeof value[1] === 'number'
