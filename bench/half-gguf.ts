/**
 * Makes a language model file in the shape of Qwen2.5-0.5B, 8-bit, its weights drawn by lot: as much work for an engine as the real
 * one, without a download. It never ends an answer by itself: the rows of its control tokens are zero, so that they are never among
 * the likeliest. A prompt of n of its `WORDS`, each after a space, has n + PROMPT_EXTRA_TOKENS tokens.
 */
import { type FileHandle, open } from 'node:fs/promises'
import type { Meta } from '../test/engine/gguf-file.ts'
import { END_OF_TEXT, TURN_END, TURN_START, type Vocabulary, learnVocabulary } from '../test/engine/tiny-vocabulary.ts'

export type ModelShape = {
  /** Each vector of the model; like `feedForward` a multiple of 32. */
  readonly width: number
  readonly layers: number
  readonly heads: number
  readonly kvHeads: number
  readonly feedForward: number
  readonly contextTokens: number
  readonly vocabulary: number
}

export const HALF: ModelShape = {
  width: 896,
  layers: 24,
  heads: 14,
  kvHeads: 2,
  feedForward: 4864,
  contextTokens: 32_768,
  vocabulary: 151_936,
}
/** For trying the benchmark itself; what it measures says nothing. */
export const TINY: ModelShape = { width: 64, layers: 2, heads: 2, kvHeads: 1, feedForward: 128, contextTokens: 4096, vocabulary: 4096 }

const FIRST = ['river', 'stone', 'cloud', 'green', 'paper', 'seven', 'night', 'glass', 'table', 'horse']
const LAST = ['fall', 'mark', 'side', 'land', 'wood', 'work', 'line', 'time', 'ward', 'less']
/** A hundred words, each one token where it stands after a space. */
export const WORDS: readonly string[] = FIRST.flatMap((first) => LAST.map((last) => first + last))

/** What the caller wrote stands at the very beginning, so that prompts with different first words have nothing in common. */
const TEMPLATE =
  "{% for message in messages %}{{ message['content'] + '<|im_end|>' + '\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>' + 'assistant' + '\n' }}{% endif %}"
/** The end of the message with its line, and three for the beginning of the answer. */
export const PROMPT_EXTRA_TOKENS = 5

const BYTE_TOKENS = 256
const ALIGNMENT = 32
/** 8-bit numbers in blocks of so many, each with a 16-bit scale before them. */
const BLOCK = 32
const BLOCK_BYTES = 34
const POOL_BLOCKS = 131_072
/** About 0.02 as a 16-bit float's bits, for numbers from -127 to 127 that are all equally likely: 2^-12, and up to twice that. */
const SCALE_BITS = 0x0c00
const SEED = 0x9e3779b9
const WRITE_BYTES = 8 * 1024 * 1024

/** The type's number in the file, and its bytes for so many values. */
const F32 = { id: 0, bytes: (count: number): number => count * 4 } as const
const Q8_0 = { id: 8, bytes: (count: number): number => (count / BLOCK) * BLOCK_BYTES } as const

type Tensor = {
  readonly name: string
  /** How many values a row has, and how many rows. */
  readonly shape: readonly number[]
  readonly type: typeof F32 | typeof Q8_0
  /** Of a vector: all of its values. */
  readonly value?: number
}

/** Writes the file; some half a gigabyte takes a second or two. */
export async function writeModel(path: string, shape: ModelShape): Promise<void> {
  const known = learnVocabulary([...WORDS.map((word) => ` ${word}`), 'assistant'])
  const meta = describe(shape, known)
  const tensors = tensorsOf(shape)
  const file = await open(path, 'w')
  try {
    await file.write(headOf(meta, tensors))
    const pool = poolOf()
    const random = randomOf(SEED)
    for (const tensor of tensors) {
      const size = sizeOf(tensor)
      if (tensor.value !== undefined) await file.write(Buffer.from(new Float32Array(size / 4).fill(tensor.value).buffer))
      else await writeRandom(file, size, pool, random)
      await file.write(padding(size))
    }
    await silence(file, headOf(meta, tensors).length, shape, known)
  } finally {
    await file.close()
  }
}

/** The first matrix is both the tokens' vectors and what scores them: those without text of their own get zeros. */
async function silence(file: FileHandle, at: number, { width }: ModelShape, { idOf }: Vocabulary): Promise<void> {
  const row = Q8_0.bytes(width)
  await file.write(Buffer.alloc(BYTE_TOKENS * row), 0, BYTE_TOKENS * row, at)
  for (const token of [END_OF_TEXT, TURN_START, TURN_END]) await file.write(Buffer.alloc(row), 0, row, at + idOf(token) * row)
}

async function writeRandom(file: FileHandle, bytes: number, pool: Buffer, random: () => number): Promise<void> {
  for (let left = bytes; left > 0; ) {
    const from = (random() % (POOL_BLOCKS / 2)) * BLOCK_BYTES
    const chunk = pool.subarray(from, from + Math.min(left, pool.length - from, WRITE_BYTES))
    await file.write(chunk)
    left -= chunk.length
  }
}

/** Blocks of random numbers: the matrices are cut from them at random places, which is quicker than to draw each. */
function poolOf(): Buffer {
  const random = randomOf(~SEED)
  const pool = Buffer.alloc(POOL_BLOCKS * BLOCK_BYTES)
  for (let block = 0; block < POOL_BLOCKS; block++) {
    const at = block * BLOCK_BYTES
    pool.writeUInt16LE(SCALE_BITS + (random() % 1024), at)
    for (let i = 0; i < BLOCK; i++) pool.writeInt8((random() % 255) - 127, at + 2 + i)
  }
  return pool
}

/** Whole numbers of 24 bits, the same for the same seed (xorshift). */
function randomOf(seed: number): () => number {
  let state = seed | 0
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state >>> 8
  }
}

function tensorsOf({ width, layers, heads, kvHeads, feedForward, vocabulary }: ModelShape): Tensor[] {
  const kv = (width / heads) * kvHeads
  const matrix = (name: string, columns: number, rows: number): Tensor => ({ name: `${name}.weight`, shape: [columns, rows], type: Q8_0 })
  const vector = (name: string, length: number, value: number): Tensor => ({ name, shape: [length], type: F32, value })
  const layer = (at: number): Tensor[] => {
    const of = (name: string): string => `blk.${at}.${name}`
    return [
      vector(of('attn_norm.weight'), width, 1),
      matrix(of('attn_q'), width, width),
      matrix(of('attn_k'), width, kv),
      matrix(of('attn_v'), width, kv),
      vector(of('attn_q.bias'), width, 0),
      vector(of('attn_k.bias'), kv, 0),
      vector(of('attn_v.bias'), kv, 0),
      matrix(of('attn_output'), width, width),
      vector(of('ffn_norm.weight'), width, 1),
      matrix(of('ffn_gate'), width, feedForward),
      matrix(of('ffn_up'), width, feedForward),
      matrix(of('ffn_down'), feedForward, width),
    ]
  }
  return [
    matrix('token_embd', width, vocabulary),
    vector('output_norm.weight', width, 1),
    ...Array.from({ length: layers }, (_, at) => layer(at)).flat(),
  ]
}

function describe(shape: ModelShape, known: Vocabulary): Record<string, Meta> {
  const text = (value: string): Meta => ({ kind: 'string', value })
  const count = (value: number): Meta => ({ kind: 'u32', value })
  const tokens = [...known.tokens, ...fillers(shape.vocabulary - known.tokens.length, new Set(known.tokens))]
  return {
    'general.architecture': text('qwen2'),
    'general.name': text('bench-local'),
    'general.file_type': count(7),
    'general.quantization_version': count(2),
    'qwen2.context_length': count(shape.contextTokens),
    'qwen2.embedding_length': count(shape.width),
    'qwen2.block_count': count(shape.layers),
    'qwen2.feed_forward_length': count(shape.feedForward),
    'qwen2.attention.head_count': count(shape.heads),
    'qwen2.attention.head_count_kv': count(shape.kvHeads),
    'qwen2.attention.layer_norm_rms_epsilon': { kind: 'f32', value: 1e-6 },
    'qwen2.rope.freq_base': { kind: 'f32', value: 1e6 },
    'tokenizer.ggml.model': text('gpt2'),
    'tokenizer.ggml.pre': text('qwen2'),
    'tokenizer.ggml.tokens': { kind: 'strings', value: tokens },
    'tokenizer.ggml.token_type': { kind: 'i32s', value: tokens.map((_, id) => known.types[id] ?? 1) },
    'tokenizer.ggml.merges': { kind: 'strings', value: known.merges },
    'tokenizer.ggml.bos_token_id': count(known.idOf(END_OF_TEXT)),
    'tokenizer.ggml.eos_token_id': count(known.idOf(TURN_END)),
    'tokenizer.ggml.padding_token_id': count(known.idOf(END_OF_TEXT)),
    'tokenizer.ggml.add_bos_token': { kind: 'bool', value: false },
    'tokenizer.ggml.add_eos_token': { kind: 'bool', value: false },
    'tokenizer.chat_template': text(TEMPLATE),
  }
}

/** More words of four letters after a space, which no text is ever cut into: they are only written. */
function fillers(count: number, taken: ReadonlySet<string>): string[] {
  const out: string[] = []
  for (let number = 0; out.length < count; number++) {
    const letters = [17_576, 676, 26, 1].map((place) => String.fromCharCode(97 + (Math.floor(number / place) % 26)))
    const word = `Ġ${letters.join('')}`
    if (!taken.has(word)) out.push(word)
  }
  return out
}

function headOf(meta: Readonly<Record<string, Meta>>, tensors: readonly Tensor[]): Buffer {
  const entries = Object.entries(meta)
  const parts = [Buffer.from('GGUF', 'latin1'), u32(3), u64(tensors.length), u64(entries.length)]
  for (const [key, value] of entries) parts.push(string(key), encode(value))
  let offset = 0
  for (const tensor of tensors) {
    parts.push(string(tensor.name), u32(tensor.shape.length), ...tensor.shape.map(u64), u32(tensor.type.id), u64(offset))
    offset += sizeOf(tensor) + padding(sizeOf(tensor)).length
  }
  const head = Buffer.concat(parts)
  return Buffer.concat([head, padding(head.length)])
}

function encode(meta: Meta): Buffer {
  switch (meta.kind) {
    case 'u32':
      return Buffer.concat([u32(4), u32(meta.value)])
    case 'f32':
      return Buffer.concat([u32(6), Buffer.from(new Float32Array([meta.value]).buffer)])
    case 'bool':
      return Buffer.concat([u32(7), Buffer.of(meta.value ? 1 : 0)])
    case 'string':
      return Buffer.concat([u32(8), string(meta.value)])
    case 'strings':
      return Buffer.concat([u32(9), u32(8), u64(meta.value.length), ...meta.value.map(string)])
    case 'i32s':
      return Buffer.concat([u32(9), u32(5), u64(meta.value.length), Buffer.from(new Int32Array(meta.value).buffer)])
    case 'f32s':
      return Buffer.concat([u32(9), u32(6), u64(meta.value.length), Buffer.from(new Float32Array(meta.value).buffer)])
  }
}

const sizeOf = ({ shape, type }: Tensor): number => type.bytes(shape.reduce((product, length) => product * length, 1))

const padding = (length: number): Buffer => Buffer.alloc((ALIGNMENT - (length % ALIGNMENT)) % ALIGNMENT)

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}

function string(value: string): Buffer {
  const bytes = Buffer.from(value, 'utf8')
  return Buffer.concat([u64(bytes.length), bytes])
}
