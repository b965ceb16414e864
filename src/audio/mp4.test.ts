import { afterAll, describe, expect, test } from 'vitest'
import { Cancel } from '../core/cancel.ts'
import { bareEnvironment } from '../engines/process.ts'
import { Codecs } from './codecs.ts'
import { indexFirst, isSound } from './mp4.ts'
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

/** The index of a track of plain samples whose data begins at `offset`; `wide` has offsets of eight bytes. */
function indexOf(offset: number, wide: boolean): Buffer {
  const entry = box('sowt', Buffer.alloc(6), half(1), Buffer.alloc(8), half(1), half(16), Buffer.alloc(4), half(RATE), half(0))
  const offsets = wide ? box('co64', word(0), word(1), word(0), word(offset)) : box('stco', word(0), word(1), word(offset))
  const count = RATE * SECONDS
  const table = box(
    'stbl',
    box('stsd', word(0), word(1), entry),
    box('stts', word(0), word(1), word(count), word(1)),
    box('stsc', word(0), word(1), word(1), word(count), word(1)),
    box('stsz', word(0), word(2), word(count)),
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

async function heard(bytes: Buffer): Promise<Int16Array> {
  const all: number[] = []
  for await (const samples of codecs.decode({ container: 'm4a', bytes }, { sampleRate: RATE, signal: new Cancel() })) all.push(...samples)
  return Int16Array.from(all)
}

describe('an MP4 file', () => {
  test.for([false, true])('whose index comes last is heard as one whose index comes first (offsets of eight bytes: %s)', async (wide) => {
    const last = Buffer.concat([HEAD, box('mdat', SAMPLES), indexOf(HEAD.length + 8, wide)])
    const size = indexOf(0, wide).length
    const first = Buffer.concat([HEAD, indexOf(HEAD.length + size + 8, wide), box('mdat', SAMPLES)])

    expect(containerOf(last)).toBe('m4a')
    expect(indexFirst(first)).toBe(first)
    expect(indexFirst(last).equals(first)).toBe(true)
    const sound = await heard(last)
    expect(sound.length).toBe(RATE * SECONDS)
    expect(Math.max(...sound)).toBeGreaterThan(8_900)
  })

  test('that makes no sense is left as it is', () => {
    for (const bytes of [
      HEAD,
      Buffer.concat([HEAD, word(3), Buffer.from('moov')]),
      Buffer.concat([word(1), Buffer.from('mdat'), word(0)]),
      Buffer.alloc(64, 255),
    ])
      expect(indexFirst(bytes)).toBe(bytes)
  })

  test.for(['stsz', 'stco', 'stsc', 'stts'])('whose table %s claims billions of entries is corrupt, at once', async (table) => {
    const index = indexOf(HEAD.length + 8, false)
    index.writeUInt32BE(0xf0000000, index.indexOf(table) + (table === 'stsz' ? 12 : 8))
    const bytes = Buffer.concat([HEAD, box('mdat', SAMPLES), index])

    expect(isSound(bytes)).toBe(false)
    await expect(heard(bytes)).rejects.toMatchObject({ code: 'ASR_UPSTREAM_VALIDATION_FAILED' })
  })
})
