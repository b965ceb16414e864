import { afterAll, describe, expect, test } from 'vitest'
import type { AudioTools } from '../../core/audio.ts'
import { Cancel } from '../../core/cancel.ts'
import { callerLeft } from '../../core/errors.ts'
import type { AsrPart, AsrRequest } from '../../core/modalities/asr.ts'
import { sentencesOf } from '../../core/modalities/tts.ts'
import type { TtsPart, TtsRequest } from '../../core/modalities/tts.ts'
import { uploadOf } from '../../core/upload.fixture.ts'
import { bareEnvironment } from '../process.ts'
import { speechOf } from '../speech-request.fixture.ts'
import { sandboxAsr } from './asr.ts'
import { Espeak, hasEspeak } from './espeak.ts'
import { parseOrders } from './orders.ts'
import { sandboxTts, tonesOf } from './tts.ts'

const espeak = new Espeak({ env: bareEnvironment(process.env) })
afterAll(() => espeak.close())

const waits = { firstByteMs: 20_000, stallMs: 20_000 }
const TEXT = 'Good morning, Dr. Smith. It is a fine day, is it not? Yes!'
const speech = (more: Partial<TtsRequest> = {}): TtsRequest => speechOf(TEXT, more)
const tones = sandboxTts()

async function speak(request: TtsRequest, ability = tones, signal = new Cancel()): Promise<TtsPart[]> {
  const parts: TtsPart[] = []
  await ability.run({ model: 'sandbox-tts', request, signal, ...waits }, (some) => void parts.push(...some))
  return parts
}

const secondsOf = (parts: readonly TtsPart[]): number =>
  parts.reduce((sum, part) => sum + (part.type === 'samples' ? part.samples.length / part.sampleRate : 0), 0)

describe('the tones of the sandbox', () => {
  test('come sentence by sentence and count every character once', async () => {
    const parts = await speak(speech())

    expect(parts.length).toBe(sentencesOf(TEXT).length)
    expect(parts.reduce((sum, { characters }) => sum + characters, 0)).toBe(TEXT.length)
  })

  test('are the same for the same text, others in another voice, and shorter when they are quick', async () => {
    expect(await speak(speech())).toEqual(await speak(speech()))
    expect(await speak(speech({ voice: 'x' }))).not.toEqual(await speak(speech({ voice: 'y' })))
    expect(secondsOf(await speak(speech({ speed: 2 })))).toBeCloseTo(secondsOf(await speak(speech())) / 2, 1)
  })

  test('follow orders, of which there is one per sentence', async () => {
    const parts: TtsPart[] = []
    const request = speech({ sandbox: parseOrders('die=1') })

    await expect(
      tones.run({ model: 'sandbox-tts', request, signal: new Cancel(), ...waits }, (some) => void parts.push(...some)),
    ).rejects.toMatchObject({ code: 'INFERENCE_FAILED' })
    expect(parts.length).toBe(1)
    await expect(speak(speech({ sandbox: parseOrders('status=429') }))).rejects.toMatchObject({ code: 'MODEL_OVERLOADED' })
  })

  test('stop when the caller leaves', async () => {
    const cancel = new Cancel()
    let count = 0
    const run = tones.run({ model: 'sandbox-tts', request: speech(), signal: cancel, ...waits }, () => {
      if (++count === 1) cancel.abort(callerLeft())
    })

    await expect(run).rejects.toMatchObject({ internal: 'caller_left' })
    expect(count).toBe(1)
  })
})

describe.skipIf(!hasEspeak())('the voice of the sandbox (where espeak-ng is installed)', () => {
  const voice = sandboxTts(espeak.speak)

  test('speaks, the same each time, in the language of the voice and faster when asked to', async () => {
    const [english, again, french, quick] = await Promise.all([
      speak(speech(), voice),
      speak(speech(), voice),
      speak(speech({ voice: 'ff_siwis' }), voice),
      speak(speech({ speed: 2 }), voice),
    ])

    expect(secondsOf(english)).toBeGreaterThan(1.5)
    expect(again).toEqual(english)
    expect(french).not.toEqual(english)
    expect(secondsOf(quick)).toBeLessThan(secondsOf(english) * 0.8)
  })

  test('speaks what looks like an option of its program as text', async () => {
    expect(secondsOf(await speak(speech({ text: '--help me' }), voice))).toBeGreaterThan(0.3)
  })
})

/** Tools whose recordings are samples already. */
const tools: Pick<AudioTools, 'decoder'> = {
  decoder: () =>
    Promise.resolve({
      async *decode(bytes) {
        if (bytes !== null) yield new Int16Array(Uint8Array.from(bytes).buffer)
      },
      leave: () => undefined,
    }),
}
const asr = sandboxAsr(tools)

async function listen(samples: Int16Array, more: Partial<AsrRequest> = {}): Promise<AsrPart> {
  const request: AsrRequest = {
    recording: { container: 'wav', file: uploadOf(Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength)) },
    maxSeconds: 60,
    short: false,
    wishes: () => Promise.resolve({ words: true, language: null, hint: null, temperature: null }),
    sandbox: null,
    ...more,
  }
  const parts: AsrPart[] = []
  await asr.run({ model: 'sandbox-asr', request, signal: new Cancel(), ...waits }, (some) => void parts.push(...some))
  const [part] = parts
  if (!part || parts.length !== 1) throw new Error('not exactly one transcript')
  return part
}

/** At 16 kHz. */
const sound = (seconds: number): number[] => Array.from({ length: seconds * 16_000 }, (_, at) => Math.round(6_000 * Math.sin(at / 7)))
const rest = (seconds: number): number[] => Array.from({ length: seconds * 16_000 }, () => 0)

describe('the transcripts of the sandbox', () => {
  test('count two words a second where there is sound, with the times of each stretch', async () => {
    const { text, seconds, segments, words } = await listen(Int16Array.from([...sound(2), ...rest(1), ...sound(1)]))

    expect(text).toBe('One two three four. Five six.')
    expect(seconds).toBe(4)
    expect(segments).toEqual([
      { text: 'One two three four.', start: 0, end: 2 },
      { text: 'Five six.', start: 3, end: 4 },
    ])
    expect(words.map(({ word }) => word)).toEqual(['one', 'two', 'three', 'four', 'five', 'six'])
    expect(words.at(-1)).toEqual({ word: 'six', start: 3.5, end: 4 })
  })

  test('of silence and of nothing are refused', async () => {
    await expect(listen(Int16Array.from(rest(2)))).rejects.toMatchObject({ code: 'ASR_UPSTREAM_VALIDATION_FAILED' })
    await expect(listen(new Int16Array(0))).rejects.toMatchObject({ code: 'ASR_UPSTREAM_VALIDATION_FAILED' })
  })

  test('of more than may be are refused, in the words of why', async () => {
    const samples = Int16Array.from(sound(5))

    await expect(listen(samples, { maxSeconds: 2 })).rejects.toMatchObject({ code: 'ASR_UPSTREAM_VALIDATION_FAILED' })
    await expect(listen(samples, { maxSeconds: 2, short: true })).rejects.toMatchObject({ code: 'INSUFFICIENT_BALANCE' })
  })
})

test('a tone is as loud as it should be, and rests are silent', () => {
  const samples = tonesOf('aa aa', { speed: 1, voice: null })
  const loudest = samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0)

  expect(loudest).toBeGreaterThan(9_000)
  expect(loudest).toBeLessThan(10_500)
  expect(samples.subarray(-1_000).every((sample) => sample === 0)).toBe(true)
})
