import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import encode from '@audio/encode'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
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
  test.for(['mp3', 'opus', 'flac', 'wav'] as const)('as %s comes out as long, as loud and from the beginning', async (format) => {
    const bytes = await fileOf(format)

    const { seconds, level, begins } = await heard(format === 'wav' ? completeWav(bytes) : bytes)

    expect(Math.abs(seconds - SECONDS)).toBeLessThan(0.12)
    expect(Math.abs(level - 0.212)).toBeLessThan(0.015)
    // MP3 has no place to say how much its encoder put in front.
    expect(begins).toBeLessThan(format === 'mp3' ? 0.06 : 0.01)
    expect(mostSecondsOf({ container: containerOf(bytes) ?? 'wav', file: uploadOf(bytes) })).toBeGreaterThanOrEqual(SECONDS)
  })

  test('as a WAV of unknown length is read to its end, and its length is known by its size', async () => {
    const bytes = await fileOf('wav')

    expect((await heard(bytes)).seconds).toBeCloseTo(SECONDS, 2)
    expect(mostSecondsOf({ container: 'wav', file: uploadOf(bytes) })).toBe(SECONDS + 1)
  })

  test('as aac is refused by the name of the field where there is no ffmpeg', async () => {
    const without = new Codecs({ env: { PATH: '/nowhere' } })

    expect(without.makes('aac')).toBe(false)
    await expect(without.encoder('aac', RATE, new Cancel())).rejects.toMatchObject({ code: 'INVALID_REQUEST', param: 'response_format' })
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

describe('aac', () => {
  let folder = ''
  afterEach(() => rm(folder, { recursive: true, force: true }))

  /** A program that is called ffmpeg and does this. */
  async function withProgram(script: string): Promise<Codecs> {
    folder = await mkdtemp(join(tmpdir(), 'rialto-ffmpeg-'))
    await writeFile(join(folder, 'ffmpeg'), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
    return new Codecs({ env: { PATH: `${folder}:${process.env['PATH'] ?? ''}` } })
  }

  test('is made by ffmpeg where that is on the PATH, of samples whose rate it is told', async () => {
    const tools = await withProgram('echo "$@"; cat')
    const samples = tone(2)

    expect(tools.makes('aac')).toBe(true)
    const encoder = await tools.encoder('aac', RATE, new Cancel())
    const file = Buffer.concat([
      await encoder.encode(samples.subarray(0, 9_000)),
      await encoder.encode(samples.subarray(9_000)),
      await encoder.end(),
    ])

    const [args = ''] = file.toString('latin1').split('\n', 1)
    expect(args).toContain('-f s16le -ar 24000 -ac 1 -i pipe:0 -c:a aac')
    expect(file.subarray(args.length + 1).equals(Buffer.from(samples.buffer))).toBe(true)
  })

  test('of an ffmpeg that fails is a failure, and one that is left is ended', async () => {
    const failing = await (await withProgram('cat > /dev/null; exit 1')).encoder('aac', RATE, new Cancel())
    await failing.encode(tone(1))
    await expect(failing.end()).rejects.toMatchObject({ code: 'INFERENCE_FAILED', internal: 'ffmpeg_failed' })
    await rm(folder, { recursive: true, force: true })

    const cancel = new Cancel()
    const hanging = await (await withProgram('exec sleep 100')).encoder('aac', RATE, cancel)
    const ending = hanging.end()
    cancel.abort(callerLeft())
    await expect(ending).rejects.toMatchObject({ internal: 'caller_left' })
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
