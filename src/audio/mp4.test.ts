import { afterAll, describe, expect, test } from 'vitest'
import { heardOf } from '../core/audio.ts'
import { Cancel } from '../core/cancel.ts'
import { uploadOf } from '../core/upload.fixture.ts'
import { bareEnvironment } from '../engines/process.ts'
import { Codecs } from './codecs.ts'
import { Mp4Order } from './mp4.ts'
import { containerOf } from './recognise.ts'

const RATE = 8_000
const SECONDS = 2
const codecs = new Codecs({ env: bareEnvironment(process.env) })
afterAll(() => codecs.close())

const word = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
const half = (value: number): Buffer => word(value).subarray(2)
const box = (type: string, ...inside: readonly Buffer[]): Buffer => {
  const content = Buffer.concat(inside)
  return Buffer.concat([word(content.length + 8), Buffer.from(type, 'latin1'), content])
}

/** The index of a track of plain samples whose data begins at `offset`; `wide` has offsets of eight bytes, `listed` the size of each sample. */
function indexOf(offset: number, wide: boolean, listed = false): Buffer {
  const entry = box('sowt', Buffer.alloc(6), half(1), Buffer.alloc(8), half(1), half(16), Buffer.alloc(4), half(RATE), half(0))
  const offsets = wide ? box('co64', word(0), word(1), word(0), word(offset)) : box('stco', word(0), word(1), word(offset))
  const count = RATE * SECONDS
  const table = box(
    'stbl',
    box('stsd', word(0), word(1), entry),
    box('stts', word(0), word(1), word(count), word(1)),
    box('stsc', word(0), word(1), word(1), word(count), word(1)),
    listed
      ? box('stsz', word(0), word(0), word(count), Buffer.concat(Array.from({ length: count }, () => word(2))))
      : box('stsz', word(0), word(2), word(count)),
    offsets,
  )
  const media = [
    box('mdhd', word(0), word(0), word(0), word(RATE), word(count), word(0)),
    box('hdlr', word(0), word(0), Buffer.from('soun'), Buffer.alloc(13)),
  ]
  return box('moov', box('trak', box('mdia', ...media, box('minf', table))))
}

const HEAD = box('ftyp', Buffer.from('M4A \0\0\0\0', 'latin1'))
const SAMPLES = Buffer.from(
  Int16Array.from({ length: RATE * SECONDS }, (_, at) => Math.round(9_000 * Math.sin((at / RATE) * 2 * Math.PI * 300))).buffer,
)

/** What goes to the decoder, piece by piece, and at the end. */
function ordered(bytes: Buffer, pieceBytes: number): { readonly before: Buffer; readonly atEnd: Buffer } {
  const order = new Mp4Order()
  const before: Buffer[] = []
  for (let at = 0; at < bytes.length; at += pieceBytes) before.push(order.feed(bytes.subarray(at, at + pieceBytes)))
  return { before: Buffer.concat(before), atEnd: order.end() }
}

async function heard(bytes: Buffer): Promise<Int16Array> {
  const all: number[] = []
  for await (const samples of heardOf({ container: 'm4a', file: uploadOf(bytes, 1_000) }, codecs, {
    sampleRate: RATE,
    signal: new Cancel(),
  }))
    all.push(...samples)
  return Int16Array.from(all)
}

describe('an MP4 file', () => {
  test.for([false, true])('whose index comes last is heard as one whose index comes first (offsets of eight bytes: %s)', async (wide) => {
    const last = Buffer.concat([HEAD, box('mdat', SAMPLES), indexOf(HEAD.length + 8, wide)])
    const size = indexOf(0, wide).length
    const first = Buffer.concat([HEAD, indexOf(HEAD.length + size + 8, wide), box('mdat', SAMPLES)])

    expect(containerOf(last)).toBe('m4a')
    for (const pieceBytes of [7, 300, 100_000]) {
      const late = ordered(last, pieceBytes)
      expect([late.before.length, late.atEnd.equals(first)]).toEqual([0, true])
    }
    const sound = await heard(last)
    expect(sound.length).toBe(RATE * SECONDS)
    expect(Math.max(...sound)).toBeGreaterThan(8_900)
  })

  test('whose index comes first is decoded while it comes, once the index is there and has what it claims', async () => {
    const size = indexOf(0, false, true).length
    const head = Buffer.concat([HEAD, indexOf(HEAD.length + size + 8, false, true)])
    const file = Buffer.concat([head, box('mdat', SAMPLES)])

    for (const pieceBytes of [7, 300, 100_000]) {
      const { before, atEnd } = ordered(file, pieceBytes)
      expect([before.equals(file), atEnd.length]).toEqual([true, 0])
    }
    expect(new Mp4Order().feed(head).equals(head)).toBe(true)
    expect(new Mp4Order().feed(head.subarray(0, -1)).length).toBe(0)
    expect((await heard(file)).length).toBe(RATE * SECONDS)
  })

  test('that makes no sense is left as it is', () => {
    for (const bytes of [
      HEAD,
      Buffer.concat([HEAD, word(3), Buffer.from('moov')]),
      Buffer.concat([word(1), Buffer.from('mdat'), word(0)]),
      Buffer.alloc(64, 255),
    ])
      expect(Buffer.concat(Object.values(ordered(bytes, 5))).equals(bytes)).toBe(true)
  })

  test.for(['stsz', 'stco', 'stsc', 'stts'])('whose table %s claims billions of entries is corrupt, at once', async (table) => {
    const index = indexOf(HEAD.length + 8, false)
    index.writeUInt32BE(0xf0000000, index.indexOf(table) + (table === 'stsz' ? 12 : 8))
    const bytes = Buffer.concat([HEAD, box('mdat', SAMPLES), index])

    expect(() => ordered(bytes, 1_000)).toThrow(RangeError)
    await expect(heard(bytes)).rejects.toMatchObject({ code: 'ASR_UPSTREAM_VALIDATION_FAILED' })
  })
})
