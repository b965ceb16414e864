/** The head of a WAV file of one channel with 16-bit samples. */

const HEAD_BYTES = 44
/** A length that nobody knows yet: readers then read to the end. */
const UNKNOWN = 0xffffffff

/** `dataBytes` is null for a file whose end is not known when it begins. */
export function wavHead(sampleRate: number, dataBytes: number | null): Buffer {
  const head = Buffer.alloc(HEAD_BYTES)
  head.write('RIFF', 0, 'latin1')
  head.writeUInt32LE(dataBytes === null ? UNKNOWN : HEAD_BYTES - 8 + dataBytes, 4)
  head.write('WAVEfmt ', 8, 'latin1')
  head.writeUInt32LE(16, 16)
  head.writeUInt16LE(1, 20)
  head.writeUInt16LE(1, 22)
  head.writeUInt32LE(sampleRate, 24)
  head.writeUInt32LE(sampleRate * 2, 28)
  head.writeUInt16LE(2, 32)
  head.writeUInt16LE(16, 34)
  head.write('data', 36, 'latin1')
  head.writeUInt32LE(dataBytes ?? UNKNOWN, 40)
  return head
}

/** The lengths of a file that was begun without them, now that all of it is there. */
export function completeWav(file: Buffer): Buffer {
  if (file.length >= HEAD_BYTES && file.readUInt32LE(40) === UNKNOWN) {
    file.writeUInt32LE(file.length - 8, 4)
    file.writeUInt32LE(file.length - HEAD_BYTES, 40)
  }
  return file
}
