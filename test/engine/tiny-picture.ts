/** A picture of one colour as a PNG in a `data:` URL: what a caller would send. */
import { crc32, deflateSync } from 'node:zlib'

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
const SIDE = 16
const BITS = 8
const RGB = 2

/** `brightness` from 0 (black) to 255 (white). */
export function tinyPicture(brightness: number): string {
  const line = Buffer.concat([Buffer.of(0), Buffer.alloc(SIDE * 3, brightness)])
  const head = Buffer.alloc(13)
  head.writeUInt32BE(SIDE, 0)
  head.writeUInt32BE(SIDE, 4)
  head.set([BITS, RGB, 0, 0, 0], 8)
  const lines = deflateSync(Buffer.concat(Array.from({ length: SIDE }, () => line)))
  const png = Buffer.concat([SIGNATURE, chunk('IHDR', head), chunk('IDAT', lines), chunk('IEND', Buffer.alloc(0))])
  return `data:image/png;base64,${png.toString('base64')}`
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data])
  return Buffer.concat([u32(data.length), body, u32(crc32(body))])
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
