/** Writes ONNX models: as much of their protobuf as tiny ones need. */

type Piece = Buffer | readonly Piece[]

export const many = (...pieces: readonly Piece[]): Buffer => Buffer.concat(flat(pieces))

const flat = (pieces: readonly Piece[]): Buffer[] => pieces.flatMap((piece) => (Buffer.isBuffer(piece) ? [piece] : flat(piece)))

function varint(value: number | bigint): Buffer {
  let left = BigInt.asUintN(64, BigInt(value))
  const bytes: number[] = []
  for (; left > 127n; left >>= 7n) bytes.push(Number(left & 127n) | 128)
  return Buffer.from([...bytes, Number(left)])
}

const number = (field: number, value: number | bigint): Buffer => many(varint(field << 3), varint(value))
const bytes = (field: number, value: Buffer | string): Buffer => {
  const content = typeof value === 'string' ? Buffer.from(value) : value
  return many(varint((field << 3) | 2), varint(content.length), content)
}
/** The element types of ONNX that are used here. */
export const FLOAT = 1
export const INT32 = 6
export const INT64 = 7

export function tensor(name: string, dims: readonly number[], data: Float32Array | BigInt64Array): Buffer {
  const type = data instanceof Float32Array ? FLOAT : INT64
  const raw = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  return many(
    dims.map((dim) => number(1, dim)),
    number(2, type),
    bytes(8, name),
    bytes(9, raw),
  )
}

/** An input or output; a dimension that is a word may be of any size. */
export function value(name: string, type: number, dims: readonly (number | string)[]): Buffer {
  const shape = dims.map((dim) => bytes(1, typeof dim === 'string' ? bytes(2, dim) : number(1, dim)))
  return many(bytes(1, name), bytes(2, bytes(1, many(number(1, type), bytes(2, many(shape))))))
}

type Attribute = number | readonly number[]

export function node(
  op: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: Readonly<Record<string, Attribute>> = {},
): Buffer {
  return many(
    inputs.map((input) => bytes(1, input)),
    outputs.map((output) => bytes(2, output)),
    bytes(3, `${op}_${outputs[0]}`),
    bytes(4, op),
    Object.entries(attributes).map(([name, given]) => bytes(5, attribute(name, given))),
  )
}

const attribute = (name: string, given: Attribute): Buffer =>
  typeof given === 'number'
    ? many(bytes(1, name), number(3, given), number(20, 2))
    : many(
        bytes(1, name),
        given.map((one) => number(8, one)),
        number(20, 7),
      )

export type Graph = {
  readonly nodes: readonly Buffer[]
  readonly constants?: readonly Buffer[]
  readonly inputs: readonly Buffer[]
  readonly outputs: readonly Buffer[]
  readonly meta?: Readonly<Record<string, string | number>>
}

export function onnx({ nodes, constants = [], inputs, outputs, meta = {} }: Graph): Buffer {
  const graph = many(
    nodes.map((one) => bytes(1, one)),
    bytes(2, 'tiny'),
    constants.map((one) => bytes(5, one)),
    inputs.map((one) => bytes(11, one)),
    outputs.map((one) => bytes(12, one)),
  )
  const properties = Object.entries(meta).map(([key, given]) => bytes(14, many(bytes(1, key), bytes(2, String(given)))))
  return many(number(1, 8), bytes(2, 'rialto-tests'), bytes(7, graph), bytes(8, many(bytes(1, ''), number(2, 13))), properties)
}
