/** A file that has come whole, for tests of what reads one. */
import type { Upload } from './upload.ts'

export const uploadOf = (bytes: Buffer, pieceBytes = 64 * 1024): Upload => ({
  head: bytes.subarray(0, pieceBytes),
  atMostBytes: bytes.length,
  arrived: true,
  fromStart: true,
  async *read() {
    for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes)
  },
})
