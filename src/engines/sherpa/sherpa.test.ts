import { createRequire } from 'node:module'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Files, VOICE_RATE, writeListener, writeVoice } from '../../../test/engine/tiny-speech.ts'
import { Codecs } from '../../audio/codecs.ts'
import { bytesOfSamples } from '../../audio/samples.ts'
import { wavHead } from '../../audio/wav.ts'
import { Cancel } from '../../core/cancel.ts'
import { callerLeft } from '../../core/errors.ts'
import type { LocalModality, LocalModel, LocalModels } from '../../core/local-models.ts'
import type { AsrPart, AsrRequest } from '../../core/modalities/asr.ts'
import type { TtsPart, TtsRequest } from '../../core/modalities/tts.ts'
import { uploadOf } from '../../core/upload.fixture.ts'
import { bareEnvironment } from '../process.ts'
import { speechOf } from '../speech-request.fixture.ts'
import { SherpaEngine } from './sherpa.ts'

/** Why the engine cannot be tested here; null where it can. */
function whyNot(): string | null {
  try {
    createRequire(import.meta.url)('sherpa-onnx-node')
    return null
  } catch {
    return 'sherpa-onnx-node has no build for this machine'
  }
}
const why = whyNot()
const env = bareEnvironment(process.env)

let folder = ''
let voice: Files
let listener: Files
let engine: SherpaEngine
const tools = new Codecs({ env })
const released: string[] = []

const local = (id: string, modality: LocalModality, files: Files): LocalModel => ({
  id,
  modality,
  ...files,
  contextTokens: null,
  parallel: 2,
  sizeBytes: 20_000,
  memoryBytes: 1_000_000,
})

/** A store of these models with room for all of them. */
const storeOf = (models: readonly LocalModel[]): LocalModels => ({
  list: () => models,
  async acquire(id) {
    const model = models.find((one) => one.id === id)
    if (!model) throw new Error('no such model')
    return { model, used: () => undefined, release: () => void released.push(id) }
  },
  onGpu: () => undefined,
  onChange: () => () => undefined,
})

beforeAll(async () => {
  if (why !== null) return
  folder = await mkdtemp(join(tmpdir(), 'rialto-sherpa-'))
  voice = await writeVoice(join(folder, 'voice'))
  listener = await writeListener(join(folder, 'listener'))
  const broken = join(folder, 'broken.onnx')
  await writeFile(broken, 'this is no model')
  const { vad: _vad, ...without } = listener.others
  engine = new SherpaEngine({
    id: 'sherpa',
    models: storeOf([
      local('voice', 'tts', voice),
      local('listener', 'asr', listener),
      local('no-detector', 'asr', { file: listener.file, others: without }),
      local('broken', 'asr', { file: broken, others: listener.others }),
      local('lonely', 'tts', { file: voice.file, others: {} }),
    ]),
    tools,
    env,
    threads: Math.min(2, availableParallelism()),
  })
})
afterAll(async () => {
  await engine?.close()
  await tools.close()
  if (folder !== '') await rm(folder, { recursive: true, force: true })
})

const waits = { firstByteMs: 20_000, stallMs: 20_000 }
const TEXT = 'Hello there. How are you today? 😀 Fine!'
const speech = (more: Partial<TtsRequest> = {}): TtsRequest => speechOf(TEXT, { voice: 'af_aoede', ...more })

async function speak(request: TtsRequest, signal = new Cancel(), onPart: (part: TtsPart) => void = () => undefined) {
  const parts: TtsPart[] = []
  const finish = await engine.abilities.tts?.run({ model: 'voice', request, signal, ...waits }, (some) => {
    parts.push(...some)
    some.forEach(onPart)
  })
  return { parts, finish }
}

/** Half a second of sound, as long a rest, and so on. */
function bursts(seconds: number): Int16Array {
  const rate = 16_000
  return Int16Array.from({ length: seconds * rate }, (_, at) =>
    Math.floor(at / rate) % 2 === 0 ? Math.round(9_000 * Math.sin((at / rate) * 2 * Math.PI * (300 + 40 * Math.floor(at / 4_000)))) : 0,
  )
}

const recording = (samples: Int16Array): AsrRequest => ({
  recording: { container: 'wav', file: uploadOf(Buffer.concat([wavHead(16_000, samples.byteLength), bytesOfSamples(samples)])) },
  maxSeconds: Math.ceil(samples.length / 16_000) + 1,
  short: false,
  wishes: () => Promise.resolve({ words: true, language: null, hint: null, temperature: null }),
  sandbox: null,
})

async function listen(request: AsrRequest, model = 'listener'): Promise<AsrPart> {
  const parts: AsrPart[] = []
  await engine.abilities.asr?.run({ model, request, signal: new Cancel(), ...waits }, (some) => void parts.push(...some))
  const [part] = parts
  if (!part || parts.length !== 1) throw new Error('not exactly one transcript')
  return part
}

describe.skipIf(why !== null)(`speech by sherpa-onnx${why === null ? '' : ` (not here: ${why})`}`, () => {
  test('comes sentence by sentence, and its parts count all the characters', async () => {
    const { parts, finish } = await speak(speech())

    expect(parts.length).toBeGreaterThanOrEqual(2)
    expect(parts.every((part) => part.type === 'samples' && part.sampleRate === VOICE_RATE && part.samples.length > 1_000)).toBe(true)
    expect(parts.reduce((sum, { characters }) => sum + characters, 0)).toBeLessThanOrEqual(Array.from(TEXT).length)
    expect(finish?.usage).toEqual({ character: Array.from(TEXT).length })
  })

  test('counts nothing before its end for who gets all or nothing', async () => {
    const { parts } = await speak(speech({ stream: false }))

    expect(parts.map(({ characters }) => characters).every((count) => count === 0)).toBe(true)
  })

  test('sounds otherwise in another voice, and the same in the same', async () => {
    const sound = async (name: string): Promise<string> => {
      const { parts } = await speak(speech({ voice: name, text: 'Hello.' }))
      return parts.map((part) => (part.type === 'samples' ? bytesOfSamples(part.samples).toString('base64') : '')).join()
    }

    expect(await sound('af_alloy')).toBe(await sound('af_alloy'))
    expect(await sound('af_alloy')).not.toBe(await sound('af_bella'))
  })

  test('refuses a voice that no file has, and one that this file has not, by the name of the field', async () => {
    expect(engine.abilities.tts?.refuses(speech({ voice: 'nobody' }), 'voice')).toBe('voice')
    await expect(speak(speech({ voice: 'jm_kumo' }))).rejects.toMatchObject({ code: 'INVALID_REQUEST', param: 'voice' })
  })

  test('of a text without a word is refused', async () => {
    await expect(speak(speech({ text: '… !! 😀' }))).rejects.toMatchObject({ code: 'INVALID_REQUEST', param: 'input' })
  })

  test('stops after the sentence that is being spoken when the caller leaves', async () => {
    const cancel = new Cancel()
    const text = 'One sentence. '.repeat(50)
    let count = 0

    const run = speak(speech({ text }), cancel, () => {
      if (++count === 2) cancel.abort(callerLeft())
    })

    await expect(run).rejects.toMatchObject({ internal: 'caller_left' })
    expect(count).toBe(2)
  })
})

describe.skipIf(why !== null)(`transcription by sherpa-onnx${why === null ? '' : ` (not here: ${why})`}`, () => {
  test('has a segment for each stretch of sound, with its times and words', async () => {
    const { segments, words, text, seconds } = await listen(recording(bursts(6)))

    expect(segments.length).toBe(3)
    for (const [at, { start, end }] of segments.entries()) {
      expect(Math.abs(start - 2 * at)).toBeLessThan(0.3)
      expect(end - start).toBeGreaterThan(0.5)
    }
    expect(words.length).toBeGreaterThan(0)
    expect(words.every(({ word, start, end }) => word.trim() === word && word !== '' && end >= start && end <= 6.5)).toBe(true)
    expect(text).toBe(segments.map((segment) => segment.text).join(' '))
    expect(seconds).toBeCloseTo(6, 1)
  })

  test('of a long recording is cut, with a detector and without', async () => {
    for (const model of ['listener', 'no-detector']) {
      const { segments } = await listen(recording(bursts(70)), model)

      expect(segments.length).toBeGreaterThan(2)
      expect(segments.every(({ start, end }) => end - start <= 26 && end <= 71)).toBe(true)
    }
  })

  test('of silence is refused as such', async () => {
    await expect(listen(recording(new Int16Array(32_000)))).rejects.toMatchObject({ code: 'ASR_UPSTREAM_VALIDATION_FAILED' })
  })

  test('of more than is paid for stops there', async () => {
    const request = { ...recording(bursts(30)), maxSeconds: 5, short: true }

    await expect(listen(request)).rejects.toMatchObject({ code: 'INSUFFICIENT_BALANCE' })
  })
})

describe.skipIf(why !== null)(`a sherpa child${why === null ? '' : ` (not here: ${why})`}`, () => {
  test('whose files are no good ends in one clear failure, and the others go on', async () => {
    await expect(listen(recording(bursts(2)), 'broken')).rejects.toMatchObject({ code: 'MODEL_OFFLINE' })
    expect(released).toContain('broken')

    expect((await listen(recording(bursts(2)))).segments.length).toBe(1)
  })

  test('without all of its files says so', async () => {
    const run = engine.abilities.tts?.run({ model: 'lonely', request: speech(), signal: new Cancel(), ...waits }, () => undefined)

    await expect(run).rejects.toMatchObject({ code: 'MODEL_OFFLINE', internal: 'sherpa_bad_file' })
  })

  test('that is not pulled names the command', async () => {
    const run = engine.abilities.tts?.run({ model: 'tts-kokoro', request: speech(), signal: new Cancel(), ...waits }, () => undefined)

    await expect(run).rejects.toMatchObject({
      code: 'MODEL_OFFLINE',
      message: expect.stringContaining('npm run models -- pull tts-kokoro'),
    })
  })

  test('can be loaded before anybody asks for it', async () => {
    await engine.warm('voice')

    expect(engine.pid('voice')).not.toBeNull()
    await expect(engine.warm('nobody')).rejects.toMatchObject({ code: 'MODEL_OFFLINE' })
  })

  test('that is killed is started again by the next request', async () => {
    await listen(recording(bursts(2)))
    const pid = engine.pid('listener')
    if (pid === null) throw new Error('no child')
    process.kill(pid, 'SIGKILL')
    await expect.poll(() => engine.pid('listener'), { timeout: 5_000, interval: 20 }).toBeNull()

    expect((await listen(recording(bursts(2)))).segments.length).toBe(1)
    expect(engine.pid('listener')).not.toBe(pid)
  })
})
