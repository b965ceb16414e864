/** What a recording is, told by its first bytes: never by its name, which says what somebody hoped. */
import type { Container, Recording } from '../core/audio.ts'

/** Null for what is no recording that can be read here. */
export function containerOf(bytes: Buffer): Container | null {
  if (starts(bytes, 'RIFF') && starts(bytes, 'WAVE', 8)) return 'wav'
  if (starts(bytes, 'fLaC')) return 'flac'
  if (starts(bytes, 'OggS')) return 'ogg'
  if (starts(bytes, 'ftyp', 4)) return 'm4a'
  if (bytes.length >= 4 && bytes.readUInt32BE(0) === EBML) return 'webm'
  return frames(bytes, starts(bytes, 'ID3') ? afterId3(bytes) : 0, starts(bytes, 'ID3'))
}

const EBML = 0x1a45dfa3

/** MPEG audio has eleven bits set at the start of each frame; its layer tells MP3 from AAC. */
function frames(bytes: Buffer, from: number, tagged: boolean): Container | null {
  // Pictures in tags may be longer than what is looked at.
  if (tagged && from >= bytes.length) return 'mp3'
  if (starts(bytes, 'fLaC', from)) return 'flac'
  const [first = 0, second = 0] = bytes.subarray(from, from + 2)
  if (first !== 0xff || (second & 0xe0) !== 0xe0) return tagged ? 'mp3' : null
  const layer = second & 0x06
  if (layer === 0) return (second & 0xf0) === 0xf0 ? 'aac' : null
  return (second & 0x18) === 0x08 ? null : 'mp3'
}

function afterId3(bytes: Buffer): number {
  const [a = 0, b = 0, c = 0, d = 0] = bytes.subarray(6, 10)
  return 10 + (((a & 0x7f) << 21) | ((b & 0x7f) << 14) | ((c & 0x7f) << 7) | (d & 0x7f))
}

const starts = (bytes: Buffer, word: string, at = 0): boolean => bytes.toString('latin1', at, at + word.length) === word

/** The fewest bytes that a second takes in formats that squeeze it: 8 kbit/s of MP3 and AAC, 4 kbit/s of Opus with pauses. */
const LEAST_BYTES_PER_SECOND: Readonly<Record<Exclude<Container, 'wav' | 'flac'>, number>> = {
  mp3: 1000,
  aac: 1000,
  m4a: 1000,
  ogg: 500,
  webm: 500,
}
/** FLAC makes speech half as large, and what is nearly silent a twentieth at best. */
const FLAC_AT_BEST = 20
/** Of what says nothing of itself. */
const UNKNOWN_BYTES_PER_SECOND = 500

/**
 * The most seconds that a recording can have, by the most bytes that it can have. For `wav` that is its length once all of it has come,
 * because its decoder counts the same way. Nothing that a header claims makes it shorter.
 */
export function mostSecondsOf({ container, file }: Recording): number {
  return Math.max(1, Math.ceil(file.atMostBytes / leastBytesPerSecond(container, file.head)))
}

function leastBytesPerSecond(container: Container, head: Buffer): number {
  if (container === 'wav') return wavRate(head) ?? UNKNOWN_BYTES_PER_SECOND
  return container === 'flac' ? flacRate(head) / FLAC_AT_BEST : LEAST_BYTES_PER_SECOND[container]
}

/** Bytes per second of plain samples; null for a WAV that holds something else. */
function wavRate(bytes: Buffer): number | null {
  for (let at = 12; at + 8 <= bytes.length; ) {
    const size = bytes.readUInt32LE(at + 4)
    if (starts(bytes, 'fmt ', at) && at + 24 <= bytes.length) {
      const [codec, channels, rate, bits] = [
        bytes.readUInt16LE(at + 8),
        bytes.readUInt16LE(at + 10),
        bytes.readUInt32LE(at + 12),
        bytes.readUInt16LE(at + 22),
      ]
      const plain = codec === 1 || codec === 3 || codec === 0xfffe
      const perSecond = rate * channels * Math.ceil(bits / 8)
      return plain && perSecond > 0 ? perSecond : null
    }
    at += 8 + size + (size % 2)
  }
  return null
}

/** Bytes per second of a FLAC's samples before they were squeezed, from the block that each begins with. */
function flacRate(bytes: Buffer): number {
  const info = starts(bytes, 'fLaC') ? 8 : -1
  if (info < 0 || bytes.length < info + 14) return UNKNOWN_BYTES_PER_SECOND * FLAC_AT_BEST
  const packed = bytes.readUInt32BE(info + 10)
  const [rate, channels, bits] = [packed >>> 12, ((packed >>> 9) & 7) + 1, ((packed >>> 4) & 31) + 1]
  return Math.max(UNKNOWN_BYTES_PER_SECOND * FLAC_AT_BEST, rate * channels * (bits / 8))
}
