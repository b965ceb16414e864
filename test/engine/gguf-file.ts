/** Writes the GGUF container (version 3): metadata, tensor directory, aligned tensor data. Everything is 32-bit float. */
import { writeFile } from 'node:fs/promises'

/** One entry of the metadata; the kinds that a language model's file needs. */
export type Meta =
  | { readonly kind: 'u32' | 'f32'; readonly value: number }
  | { readonly kind: 'bool'; readonly value: boolean }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'strings'; readonly value: readonly string[] }
  | { readonly kind: 'i32s' | 'f32s'; readonly value: readonly number[] }

/**
 * A matrix of `rows` rows of `columns` values, row by row: it maps vectors of `columns` to vectors of `rows`. `shape` says otherwise
 * where the engine wants more than two dimensions, the one that changes fastest first.
 */
export type Tensor = {
  readonly name: string
  readonly rows: number
  readonly columns: number
  readonly values: Float32Array
  readonly shape?: readonly number[]
}

const ALIGNMENT = 32
const FILE_VERSION = 3
const TENSOR_F32 = 0
/** The container's own numbers for the types of metadata. */
const TYPE = { u32: 4, i32: 5, f32: 6, bool: 7, string: 8, array: 9 } as const

export async function writeGguf(path: string, meta: Readonly<Record<string, Meta>>, tensors: readonly Tensor[]): Promise<void> {
  const entries = Object.entries(meta)
  const head: Buffer[] = [Buffer.from('GGUF', 'latin1'), u32(FILE_VERSION), u64(tensors.length), u64(entries.length)]
  for (const [key, value] of entries) head.push(text(key), encode(value))

  const data: Buffer[] = []
  let offset = 0
  for (const tensor of tensors) {
    // One-dimensional where there is one row: that is how the engine wants the weights of a norm.
    const shape = tensor.shape ?? (tensor.rows === 1 ? [tensor.columns] : [tensor.columns, tensor.rows])
    head.push(text(tensor.name), u32(shape.length), ...shape.map(u64), u32(TENSOR_F32), u64(offset))
    const bytes = Buffer.from(tensor.values.buffer, tensor.values.byteOffset, tensor.values.byteLength)
    data.push(bytes, padding(bytes.length))
    offset += bytes.length + padding(bytes.length).length
  }

  const directory = Buffer.concat(head)
  await writeFile(path, Buffer.concat([directory, padding(directory.length), ...data]))
}

function encode(meta: Meta): Buffer {
  switch (meta.kind) {
    case 'u32':
      return Buffer.concat([u32(TYPE.u32), u32(meta.value)])
    case 'f32':
      return Buffer.concat([u32(TYPE.f32), f32(meta.value)])
    case 'bool':
      return Buffer.concat([u32(TYPE.bool), Buffer.of(meta.value ? 1 : 0)])
    case 'string':
      return Buffer.concat([u32(TYPE.string), text(meta.value)])
    case 'strings':
      return Buffer.concat([u32(TYPE.array), u32(TYPE.string), u64(meta.value.length), ...meta.value.map(text)])
    case 'i32s':
      return Buffer.concat([u32(TYPE.array), u32(TYPE.i32), u64(meta.value.length), ...meta.value.map(u32)])
    case 'f32s':
      return Buffer.concat([u32(TYPE.array), u32(TYPE.f32), u64(meta.value.length), ...meta.value.map(f32)])
  }
}

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

function f32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeFloatLE(value)
  return bytes
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'utf8')
  return Buffer.concat([u64(bytes.length), bytes])
}
