/**
 * Looks over an MP4 file before its decoder does: its index goes in front of what it points to, so that it can be decoded piece by
 * piece, and tables that claim more than they hold are found out, because the decoder would believe them for minutes.
 */

type Box = {
  readonly type: string
  readonly from: number
  readonly inside: number
  /** Where it ends in what is there, and where it says that it ends. */
  readonly end: number
  readonly announced: number
}

/** The boxes on the way to the tables of offsets. */
const CONTAINERS: ReadonlySet<string> = new Set(['moov', 'trak', 'mdia', 'minf', 'stbl'])

/** How large an entry of a table is. */
const ENTRY_BYTES: Readonly<Record<string, number>> = { stco: 4, co64: 8, stsc: 12, stts: 8, stss: 4, elst: 12 }

/** The most that is collected of a file. */
const MOST_BYTES = 64 * 1024 * 1024
/** The longest head of a box. */
const BOX_HEAD_BYTES = 16

/**
 * A file on its way to its decoder. Where a sound index comes first it goes through as it comes; else all of it is collected, and goes
 * on in the order that it is needed in. Throws for an index whose tables do not have the entries that they claim, and for what is
 * too large.
 */
export class Mp4Order {
  #pieces: Buffer[] = []
  #sizeBytes = 0
  /** How much must have come before it is worth another look; null once it goes through. */
  #lookAtBytes: number | null = 0

  /** What can go on now. */
  feed(bytes: Buffer): Buffer {
    if (this.#lookAtBytes === null) return bytes
    this.#pieces.push(bytes)
    this.#sizeBytes += bytes.length
    if (this.#sizeBytes > MOST_BYTES) throw new RangeError('the file is larger than any')
    if (this.#sizeBytes < this.#lookAtBytes) return EMPTY
    const file = this.#collected()
    this.#lookAtBytes = indexEnd(file)
    if (this.#lookAtBytes > file.length) return EMPTY
    // Samples of one size have no table to be checked: whether there are so many shows at the end.
    this.#lookAtBytes = isSound(file) ? null : ALL
    return this.#lookAtBytes === null ? file : EMPTY
  }

  /** The rest, once there is no more. */
  end(): Buffer {
    if (this.#lookAtBytes === null) return EMPTY
    const file = this.#collected()
    if (!isSound(file)) throw new RangeError('the tables of the file are longer than it is')
    return indexFirst(file)
  }

  #collected(): Buffer {
    const [first] = this.#pieces
    const file = first && this.#pieces.length === 1 ? first : Buffer.concat(this.#pieces)
    this.#pieces = [file]
    return file
  }
}

const EMPTY = Buffer.alloc(0)
const ALL = Number.POSITIVE_INFINITY

/** Where the index ends, if it comes before what it points to; where that is not known yet, how much of the file may tell. */
function indexEnd(file: Buffer): number {
  let at = 0
  for (const { type, announced } of boxesOf(file, 0, file.length)) {
    if (type === 'mdat') return ALL
    at = announced
    if (type === 'moov') return at
  }
  // What follows and is no box is the decoder's to judge.
  return at + BOX_HEAD_BYTES <= file.length ? ALL : at + BOX_HEAD_BYTES
}

/** Whether each table of the index has the entries that it says it has. */
function isSound(file: Buffer): boolean {
  return boxesOf(file, 0, file.length).every((box) => box.type !== 'moov' || tablesFit(file, box))
}

function tablesFit(file: Buffer, { inside, end }: Box): boolean {
  return boxesOf(file, inside, end).every((box) => {
    if (CONTAINERS.has(box.type)) return tablesFit(file, box)
    const size = box.end - box.inside
    if (box.type === 'stsz') {
      if (size < 12) return false
      const each = file.readUInt32BE(box.inside + 4)
      const count = file.readUInt32BE(box.inside + 8)
      // Samples of one size have no table; then they must fit the file.
      return each > 0 ? each * count <= file.length : count * 4 <= size - 12
    }
    const entry = ENTRY_BYTES[box.type]
    return entry === undefined || (size >= 8 && file.readUInt32BE(box.inside + 4) * entry <= size - 8)
  })
}

/**
 * The file with `moov` before `mdat`: the same where it is so already, or where it cannot be told. What is not understood is
 * left as it is: the decoder says what is wrong with it.
 */
function indexFirst(file: Buffer): Buffer {
  const boxes = boxesOf(file, 0, file.length)
  const index = boxes.find(({ type }) => type === 'moov')
  const data = boxes.find(({ type }) => type === 'mdat')
  if (!index || !data || index.from < data.from) return file
  const moved = Buffer.from(file.subarray(index.from, index.end))
  shift(moved, boxesOf(moved, 0, moved.length), moved.length)
  return Buffer.concat([file.subarray(0, data.from), moved, file.subarray(data.from, index.from), file.subarray(index.end)])
}

/** What the tables point to lies so much further on. */
function shift(bytes: Buffer, boxes: readonly Box[], by: number): void {
  for (const { type, inside, end } of boxes) {
    if (CONTAINERS.has(type)) shift(bytes, boxesOf(bytes, inside, end), by)
    else if ((type === 'stco' || type === 'co64') && inside + 8 <= end) {
      const width = type === 'stco' ? 4 : 8
      const count = Math.min(bytes.readUInt32BE(inside + 4), Math.floor((end - inside - 8) / width))
      for (let at = inside + 8; at < inside + 8 + count * width; at += width) {
        if (width === 4) bytes.writeUInt32BE((bytes.readUInt32BE(at) + by) >>> 0, at)
        else bytes.writeBigUInt64BE(BigInt.asUintN(64, bytes.readBigUInt64BE(at) + BigInt(by)), at)
      }
    }
  }
}

function boxesOf(bytes: Buffer, from: number, end: number): Box[] {
  const boxes: Box[] = []
  for (let at = from; at + 8 <= end; ) {
    const short = bytes.readUInt32BE(at)
    if (short === 1 && at + 16 > end) break
    const inside = short === 1 ? at + 16 : at + 8
    const size = short === 1 ? Number(bytes.readBigUInt64BE(at + 8)) : short === 0 ? end - at : short
    if (size < inside - at) break
    boxes.push({ type: bytes.toString('latin1', at + 4, at + 8), from: at, inside, end: Math.min(end, at + size), announced: at + size })
    at += size
  }
  return boxes
}
