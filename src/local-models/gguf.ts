/**
 * Reads the header of a GGUF file (version 2 or 3, little-endian): the few numbers that say what the model will take. Whatever the bytes,
 * it reads at most a bounded number of them and either resolves or rejects with a `BadGguf`; the engine's own reader is not trusted with
 * a file that this one refuses.
 */
import { type FileHandle, open } from 'node:fs/promises'

const MAGIC = 0x46554747
const BUFFER_BYTES = 256 * 1024
/** A header holds the vocabulary, which is some ten megabytes at most. */
const MAX_HEADER_BYTES = 256 * 1024 * 1024
const MAX_ENTRIES = 65_536
const MAX_TENSORS = 1_000_000
const MAX_KEY_BYTES = 65_535
/** A longer text is skipped: templates and the like are for the engine. */
const MAX_TEXT_BYTES = 256
/** Of numbers; a longer list is skipped. The lists that are looked at have one number for each layer. */
const MAX_LIST = 1024

/** Not GGUF, cut short, or of a kind that no engine here opens. The words are for the operator. */
export class BadGguf extends Error {}

export type GgufHeader = {
  readonly architecture: string
  /** What it was trained for; null where it does not say. */
  readonly contextTokens: number | null
  readonly layers: number
  readonly embeddingLength: number
  readonly feedForwardLength: number
  readonly heads: number
  /** Summed over all layers: some models have fewer in some, or none. */
  readonly kvHeads: number
  /** Numbers that a run keeps in the layers that remember a state instead of tokens, whatever its length. */
  readonly stateNumbers: number
  readonly keyLength: number
  readonly valueLength: number
  readonly vocabulary: number
  /** Whether it is a model of embeddings: it pools, or its architecture does nothing else. */
  readonly pools: boolean
}

/** A list is its numbers, or, where it is one of texts or too long to be looked at, its length. */
type Value = number | string | boolean | { readonly length: number; readonly numbers: readonly number[] | null }

/** The numbers that GGUF gives to types of values, with how many bytes one takes; 0 for those that say so themselves. */
const SIZES = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8] as const
const STRING = 8
const ARRAY = 9

const EMBEDDERS: ReadonlySet<string> = new Set([
  'bert',
  'nomic-bert',
  'nomic-bert-moe',
  'jina-bert-v2',
  'jina-bert-v3',
  'neo-bert',
  'modern-bert',
  'gemma-embedding',
])

/** Rejects with a `BadGguf` for what is none, and with the system's error where the file cannot be read. */
export async function readGgufHeader(path: string): Promise<GgufHeader> {
  const file = await open(path, 'r')
  try {
    return headerOf(await entriesOf(new Reader(file, (await file.stat()).size)))
  } finally {
    await file.close()
  }
}

/** Whether the file turns pictures or sounds into what a language model reads; false for whatever it is else. */
export async function isProjector(path: string): Promise<boolean> {
  const file = await open(path, 'r')
  try {
    return (await entriesOf(new Reader(file, (await file.stat()).size))).get('general.architecture') === 'clip'
  } catch (error) {
    if (error instanceof BadGguf) return false
    throw error
  } finally {
    await file.close()
  }
}

async function entriesOf(reader: Reader): Promise<Map<string, Value>> {
  if ((await reader.uint(4)) !== MAGIC) throw new BadGguf('it is no GGUF file')
  const version = await reader.uint(4)
  if (version !== 2 && version !== 3) throw new BadGguf('it is of a version of GGUF that is not known here')
  const tensors = await reader.uint(8)
  const count = await reader.uint(8)
  if (tensors > MAX_TENSORS || count > MAX_ENTRIES) throw new BadGguf('its header is out of all bounds')
  const entries = new Map<string, Value>()
  for (let at = 0; at < count; at++) {
    const key = await reader.text(MAX_KEY_BYTES)
    if (key === null || key === '') throw new BadGguf('its header has an entry without a name')
    const value = await valueOf(reader, await reader.uint(4))
    if (!entries.has(key)) entries.set(key, value)
  }
  return entries
}

async function valueOf(reader: Reader, type: number): Promise<Value> {
  if (type === STRING) return (await reader.text(MAX_TEXT_BYTES)) ?? ''
  if (type === ARRAY) return listOf(reader)
  return reader.scalar(type)
}

async function listOf(reader: Reader): Promise<Value> {
  const type = await reader.uint(4)
  const length = await reader.uint(8)
  if (type === ARRAY) throw new BadGguf('its header has lists of lists')
  if (type === STRING) {
    // Each takes eight bytes at least, so the bound of the header bounds this.
    await reader.skipTexts(length)
    return { length, numbers: null }
  }
  const size = sizeOf(type)
  if (length > MAX_LIST) {
    reader.skip(length * size)
    return { length, numbers: null }
  }
  const values: number[] = []
  for (let at = 0; at < length; at++) values.push(Number(await reader.scalar(type)))
  return { length, numbers: values }
}

const numbersOf = (value: Value | undefined): readonly number[] | null => (typeof value === 'object' ? value.numbers : null)

function sizeOf(type: number): number {
  const size = SIZES[type] ?? 0
  if (size === 0) throw new BadGguf('its header has a value of a type that is not known here')
  return size
}

function headerOf(entries: ReadonlyMap<string, Value>): GgufHeader {
  const architecture = entries.get('general.architecture')
  if (typeof architecture !== 'string' || architecture === '') throw new BadGguf('its header names no architecture')
  const number = (name: string): number | null => {
    const value = entries.get(`${architecture}.${name}`)
    if (typeof value === 'number' && value >= 0 && Number.isFinite(value)) return value
    const list = numbersOf(value)
    return list && list.length > 0 && list.every((one) => one >= 0) ? Math.max(...list) : null
  }
  const layers = number('block_count')
  const embeddingLength = number('embedding_length')
  if (layers === null || layers > MAX_LIST || embeddingLength === null || embeddingLength > 1_000_000)
    throw new BadGguf('its header does not say how large the model is')
  const heads = Math.max(1, number('attention.head_count') ?? 1)
  const each = Math.ceil(embeddingLength / heads)
  const kvHeads = kvHeadsByLayer(entries.get(`${architecture}.attention.head_count_kv`), layers, heads, number('full_attention_interval'))
  const tokens = entries.get('tokenizer.ggml.tokens')
  const listed = typeof tokens === 'object' ? tokens.length : 0
  return {
    architecture,
    contextTokens: number('context_length'),
    layers,
    embeddingLength,
    feedForwardLength: number('feed_forward_length') ?? 0,
    heads,
    kvHeads: kvHeads.reduce((sum, one) => sum + one, 0),
    stateNumbers: kvHeads.filter((one) => one === 0).length * (number('ssm.inner_size') ?? 0) * (number('ssm.state_size') ?? 0),
    keyLength: number('attention.key_length') ?? each,
    valueLength: number('attention.value_length') ?? each,
    vocabulary: Math.max(listed, number('vocab_size') ?? 0),
    pools: EMBEDDERS.has(architecture) || (number('pooling_type') ?? 0) > 0,
  }
}

/** With an interval only every so-manieth layer looks at tokens; the others remember a state. */
function kvHeadsByLayer(value: Value | undefined, layers: number, heads: number, interval: number | null): readonly number[] {
  const list = numbersOf(value)
  if (list) return list.map((one) => Math.max(0, one))
  const each = typeof value === 'number' && value >= 0 ? value : heads
  return Array.from({ length: layers }, (_, layer) => (interval === null || interval < 1 || (layer + 1) % interval === 0 ? each : 0))
}

/** Reads forward through a file, a buffer at a time. */
class Reader {
  readonly #file: FileHandle
  readonly #limit: number
  readonly #sizeBytes: number
  readonly #buffer = Buffer.allocUnsafe(BUFFER_BYTES)
  /** Where the buffer begins in the file, how much of it is filled, and where in it the next byte is. */
  #start = 0
  #filled = 0
  #at = 0

  constructor(file: FileHandle, sizeBytes: number) {
    this.#file = file
    this.#sizeBytes = sizeBytes
    this.#limit = Math.min(sizeBytes, MAX_HEADER_BYTES)
  }

  /** A whole number of 4 or 8 bytes. */
  async uint(size: 4 | 8): Promise<number> {
    await this.#need(size)
    if (size === 4) return this.#buffer.readUInt32LE(this.#moved(4))
    const value = this.#buffer.readBigUInt64LE(this.#moved(8))
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new BadGguf('its header is out of all bounds')
    return Number(value)
  }

  async scalar(type: number): Promise<number | boolean> {
    const size = sizeOf(type)
    await this.#need(size)
    const at = this.#moved(size)
    const buffer = this.#buffer
    switch (type) {
      case 1:
        return buffer.readInt8(at)
      case 2:
        return buffer.readUInt16LE(at)
      case 3:
        return buffer.readInt16LE(at)
      case 4:
        return buffer.readUInt32LE(at)
      case 5:
        return buffer.readInt32LE(at)
      case 6:
        return buffer.readFloatLE(at)
      case 7:
        return buffer.readUInt8(at) !== 0
      case 10:
        return Number(buffer.readBigUInt64LE(at))
      case 11:
        return Number(buffer.readBigInt64LE(at))
      case 12:
        return buffer.readDoubleLE(at)
      default:
        return buffer.readUInt8(at)
    }
  }

  /** A text, or null for one that is longer than is wanted; that is skipped. */
  async text(maxBytes: number): Promise<string | null> {
    const length = await this.uint(8)
    if (length > maxBytes) {
      this.skip(length)
      return null
    }
    await this.#need(length)
    const at = this.#moved(length)
    return this.#buffer.toString('utf8', at, at + length)
  }

  /** A vocabulary has a quarter of a million: what is in the buffer is skipped in one go. */
  async skipTexts(count: number): Promise<void> {
    for (let left = count; left > 0; left--) {
      if (this.#at + 8 > this.#filled) await this.#need(8)
      const at = this.#moved(8)
      this.skip(this.#buffer.readUInt32LE(at) + this.#buffer.readUInt32LE(at + 4) * 2 ** 32)
    }
  }

  skip(bytes: number): void {
    if (this.#start + this.#at + bytes > this.#limit) throw this.#short()
    this.#at += bytes
  }

  #moved(bytes: number): number {
    const at = this.#at
    this.#at += bytes
    return at
  }

  async #need(bytes: number): Promise<void> {
    if (this.#at + bytes <= this.#filled) return
    const start = this.#start + this.#at
    if (start + bytes > this.#limit) throw this.#short()
    const { bytesRead } = await this.#file.read(this.#buffer, 0, BUFFER_BYTES, start)
    if (bytesRead < bytes) throw new BadGguf('it is cut short')
    this.#start = start
    this.#filled = bytesRead
    this.#at = 0
  }

  #short(): BadGguf {
    return new BadGguf(this.#limit === this.#sizeBytes ? 'it is cut short' : 'its header is out of all bounds')
  }
}
