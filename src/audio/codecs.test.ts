import encode from '@audio/encode'
import { registerAacEncoder } from '@mediabunny/aac-encoder'
import { AudioSample, AudioSampleSource, BufferTarget, Mp4OutputFormat, Output } from 'mediabunny'
import { afterAll, describe, expect, test } from 'vitest'
import { type SpeechFormat, heardOf } from '../core/audio.ts'
import { Cancel } from '../core/cancel.ts'
import { callerLeft } from '../core/errors.ts'
import { uploadOf } from '../core/upload.fixture.ts'
import { bareEnvironment } from '../engines/process.ts'
import { Codecs } from './codecs.ts'
import { containerOf, mostSecondsOf } from './recognise.ts'
import { completeWav, wavHead } from './wav.ts'

const RATE = 24_000
const SECONDS = 3
const codecs = new Codecs({ env: bareEnvironment(process.env) })
afterAll(() => codecs.close())

/** A tone that grows no louder and no quieter. */
const tone = (seconds: number, rate = RATE): Int16Array =>
  Int16Array.from({ length: seconds * rate }, (_, at) => Math.round(9_830 * Math.sin((at / rate) * 2 * Math.PI * 440)))

async function fileOf(format: SpeechFormat, samples = tone(SECONDS)): Promise<Buffer> {
  const encoder = await codecs.encoder(format, RATE, new Cancel())
  const parts: Buffer[] = []
  for (let from = 0; from < samples.length; from += 7_001) parts.push(await encoder.encode(samples.subarray(from, from + 7_001)))
  return Buffer.concat([...parts, await encoder.end()])
}

async function heard(
  bytes: Buffer,
  sampleRate = 16_000,
  pieceBytes = 64 * 1024,
): Promise<{ seconds: number; level: number; begins: number }> {
  const container = containerOf(bytes)
  if (container === null) throw new Error('not recognised')
  let [count, squares, begins] = [0, 0, -1]
  for await (const samples of heardOf({ container, file: uploadOf(bytes, pieceBytes) }, codecs, { sampleRate, signal: new Cancel() })) {
    for (const sample of samples) {
      if (begins < 0 && Math.abs(sample) > 3_000) begins = count
      squares += (sample / 32_768) ** 2
      count++
    }
  }
  return { seconds: count / sampleRate, level: Math.sqrt(squares / count), begins: begins / sampleRate }
}

describe('speech that was made into a file', () => {
  test.for(['mp3', 'opus', 'aac', 'flac', 'wav'] as const)('as %s comes out as long, as loud and from the beginning', async (format) => {
    const bytes = await fileOf(format)

    const { seconds, level, begins } = await heard(format === 'wav' ? completeWav(bytes) : bytes)

    expect(Math.abs(seconds - SECONDS)).toBeLessThan(0.12)
    expect(Math.abs(level - 0.212)).toBeLessThan(0.015)
    // MP3 and AAC have no place to say how much their encoders put in front.
    expect(begins).toBeLessThan(format === 'mp3' || format === 'aac' ? 0.06 : 0.01)
    expect(mostSecondsOf({ container: containerOf(bytes) ?? 'wav', file: uploadOf(bytes) })).toBeGreaterThanOrEqual(SECONDS)
  })

  test('as a WAV of unknown length is read to its end, and its length is known by its size', async () => {
    const bytes = await fileOf('wav')

    expect((await heard(bytes)).seconds).toBeCloseTo(SECONDS, 2)
    expect(mostSecondsOf({ container: 'wav', file: uploadOf(bytes) })).toBe(SECONDS + 1)
  })
})

test.for([
  ['ogg', 'ogg'],
  ['webm', 'webm'],
] as const)('a recording in %s is heard as long and as loud as it is', async ([format, container]) => {
  const floats = Float32Array.from(tone(SECONDS), (sample) => sample / 32_768)
  // Two channels become one.
  const bytes = Buffer.from(await encode[format]([floats, floats], { sampleRate: RATE, quality: 5 }))

  expect(containerOf(bytes)).toBe(container)
  const { seconds, level } = await heard(bytes)
  expect(Math.abs(seconds - SECONDS)).toBeLessThan(0.12)
  expect(Math.abs(level - 0.212)).toBeLessThan(0.015)
})

/** A file of the MP4 family with AAC in it, whose index comes before what it points to or after it. */
async function m4aOf(samples: Int16Array, fastStart: 'in-memory' | false): Promise<Buffer> {
  registerAacEncoder()
  const target = new BufferTarget()
  const output = new Output({ format: new Mp4OutputFormat({ fastStart }), target })
  const source = new AudioSampleSource({ codec: 'aac', bitrate: 96_000 })
  output.addAudioTrack(source)
  await output.start()
  const sample = new AudioSample({ data: samples, format: 's16', numberOfChannels: 1, sampleRate: RATE, timestamp: 0 })
  await source.add(sample)
  sample.close()
  await output.finalize()
  if (!target.buffer) throw new Error('no file was made')
  return Buffer.from(target.buffer)
}

test.for(['in-memory', false] as const)('a recording in M4A is heard as long and as loud as it is (index first: %s)', async (fastStart) => {
  const bytes = await m4aOf(tone(SECONDS), fastStart)

  expect([containerOf(bytes), bytes.indexOf('moov') < bytes.indexOf('mdat')]).toEqual(['m4a', fastStart !== false])
  const { seconds, level } = await heard(bytes)
  expect(Math.abs(seconds - SECONDS)).toBeLessThan(0.12)
  expect(Math.abs(level - 0.212)).toBeLessThan(0.015)
})

describe('a recording that is still on its way', () => {
  /** Its first bytes come; whether anything was heard before the others may. */
  async function heardEarly(bytes: Buffer): Promise<boolean> {
    const container = containerOf(bytes)
    if (container === null) throw new Error('not recognised')
    const decoder = await codecs.decoder(container, { sampleRate: 16_000, signal: new Cancel() })
    let count = 0
    try {
      for (let at = 0; at < bytes.length * 0.9; at += 4_096)
        for await (const samples of decoder.decode(bytes.subarray(at, Math.min(at + 4_096, bytes.length * 0.9)))) count += samples.length
    } finally {
      decoder.leave()
    }
    return count > 0
  }

  test.for(['mp3', 'opus', 'aac', 'flac', 'wav'] as const)('is heard while it comes, as %s', async (format) => {
    expect(await heardEarly(await fileOf(format, tone(30)))).toBe(true)
  })

  test.for(['ogg', 'webm'] as const)('is heard while it comes, as %s', async (format) => {
    const floats = Float32Array.from(tone(30), (sample) => sample / 32_768)
    expect(await heardEarly(Buffer.from(await encode[format]([floats], { sampleRate: RATE, quality: 5 })))).toBe(true)
  })

  test('is heard while it comes as M4A whose index comes first, and at its end where it comes last', async () => {
    const samples = tone(30)
    expect([await heardEarly(await m4aOf(samples, 'in-memory')), await heardEarly(await m4aOf(samples, false))]).toEqual([true, false])
  })

  test('sounds the same whatever the pieces it comes in', async () => {
    for (const format of ['mp3', 'opus', 'aac', 'flac', 'wav'] as const) {
      const bytes = await fileOf(format, tone(1))
      expect(await heard(bytes, 16_000, 509)).toEqual(await heard(bytes))
    }
  })
})

describe('what is no recording', () => {
  test.for([
    ['nothing', Buffer.alloc(0)],
    ['text', Buffer.from('{"file": "no"}')],
    ['a picture', Buffer.from('\x89PNG\r\n\x1a\n0000000000', 'latin1')],
    ['zeros', Buffer.alloc(100)],
  ] as const)('such as %s is not recognised', ([, bytes]) => {
    expect(containerOf(bytes)).toBeNull()
  })

  test.for([
    ['fLaC', 'flac'],
    ['OggS', 'ogg'],
    ['\0\0\0\x20ftypM4A ', 'm4a'],
    ['\xff\xf1\x50\x80', 'aac'],
    ['RIFF\0\0\0\0WAVE', 'wav'],
    ['\x1a\x45\xdf\xa3', 'webm'],
  ] as const)('but begins as one (%j) is corrupt', async ([head, container]) => {
    const bytes = Buffer.concat([Buffer.from(head, 'latin1'), Buffer.alloc(3_000, 7)])
    expect(containerOf(bytes)).toBe(container)

    const outcome = await heard(bytes).then(
      ({ seconds }) => seconds,
      (error: unknown) => (error instanceof Error && 'code' in error ? error.code : error),
    )

    expect([0, 'ASR_UPSTREAM_VALIDATION_FAILED']).toContain(outcome)
  })
})

test.for([1, 4_000_000_000])('a WAV that claims %i samples a second is corrupt', async (rate) => {
  const bytes = completeWav(Buffer.concat([wavHead(rate % 2 ** 31, null), Buffer.alloc(8_000, 9)]))
  bytes.writeUInt32LE(rate, 24)

  await expect(heard(bytes)).rejects.toMatchObject({ code: 'ASR_UPSTREAM_VALIDATION_FAILED' })
})

describe('the child of the codecs', () => {
  test('is not there before it is needed, and not when it has been idle', async () => {
    const idle = new Codecs({ env: bareEnvironment(process.env), idleMs: 0 })
    try {
      expect(idle.running).toBe(false)
      const encoder = await idle.encoder('flac', RATE, new Cancel())
      expect(idle.running).toBe(true)
      await encoder.end()

      await expect.poll(() => idle.running, { interval: 20, timeout: 5_000 }).toBe(false)
    } finally {
      await idle.close()
    }
  })

  test('stops decoding for who leaves', async () => {
    const bytes = completeWav(await fileOf('wav', tone(60)))
    const cancel = new Cancel()

    const parts = heardOf({ container: 'wav', file: uploadOf(bytes) }, codecs, { sampleRate: 16_000, signal: cancel })
    await parts.next()
    cancel.abort(callerLeft())

    await expect(parts.next()).rejects.toMatchObject({ internal: 'caller_left' })
  })
})
