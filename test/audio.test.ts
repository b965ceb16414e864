/** Speech and transcription over HTTP: every format there and back. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Codecs } from '../src/audio/codecs.ts'
import { containerOf } from '../src/audio/recognise.ts'
import { completeWav, wavHead } from '../src/audio/wav.ts'
import { heardOf } from '../src/core/audio.ts'
import { Cancel } from '../src/core/cancel.ts'
import { uploadOf } from '../src/core/upload.fixture.ts'
import { bareEnvironment } from '../src/engines/process.ts'
import { recording } from './harness/recording.ts'
import { giveAccount } from './harness/accounts.ts'
import { filesOf, marker, markersIn } from './harness/markers.ts'
import { engineAt, overlay } from './harness/overlay.ts'
import { type Rialto, startRialto } from './harness/rialto.ts'
import { ask, openStream } from './harness/talk.ts'
import { type Upstream, startUpstream } from './harness/upstream.ts'

const TEXT = 'Good morning to everybody. It is a fine day, is it not? Yes, it is.'
/** What a character, and a second, of the priced models costs: primes. */
const CHARACTER_NANO = 17
const SECOND_NANO = 1_009

const dollars = (nano: number): { usd: number; diem: number } => ({ usd: nano, diem: nano })
const model = (id: string, type: 'tts' | 'asr', spec: object, engine: string): object => ({
  id,
  type,
  created: 1,
  privacy: 'private',
  spec: { name: id, ...spec },
  deployments: [{ engine, model: `sandbox-${type}` }],
})
const TTS_PRICE = { pricing: { input: dollars(CHARACTER_NANO / 1_000) } }
const ASR_PRICE = { pricing: { per_audio_second: dollars(SECOND_NANO / 1e9) } }

let rialto: Rialto
let remote: Upstream
const codecs = new Codecs({ env: bareEnvironment(process.env) })
beforeAll(async () => {
  remote = await startUpstream()
  rialto = await startRialto({
    config: overlay(
      [engineAt('far', remote.url)],
      [
        model(
          'dear-voice',
          'tts',
          { ...TTS_PRICE, voices: ['af_sky', 'af_nova', 'am_alex', 'em_alex'], supported_formats: ['wav', 'mp3'] },
          'sandbox',
        ),
        model('dear-ear', 'asr', ASR_PRICE, 'sandbox'),
        model('far-voice', 'tts', TTS_PRICE, 'far'),
        model('far-ear', 'asr', ASR_PRICE, 'far'),
      ],
    ),
  })
})
afterAll(async () => {
  await rialto?.stop()
  await remote?.stop()
  await codecs.close()
})

const say = (body: object, key = rialto.key): Promise<Response> =>
  fetch(`${rialto.url}/audio/speech`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'sandbox-tts', input: TEXT, ...body }),
  })

type Fields = Readonly<Record<string, string | readonly string[]>>

function form(file: Uint8Array | null, fields: Fields = {}): FormData {
  const body = new FormData()
  if (file) body.set('file', new File([new Uint8Array(file)], `${marker('file-name')}.bin`))
  for (const [name, value] of Object.entries(fields)) for (const one of [value].flat()) body.append(name, one)
  return body
}

const write = (file: Uint8Array | null, fields: Fields = {}, key = rialto.key) =>
  ask(`${rialto.url}/audio/transcriptions`, { key, body: form(file, { model: 'sandbox-asr', ...fields }) })

async function lengthAndLevel(bytes: Buffer): Promise<{ seconds: number; level: number }> {
  const container = containerOf(bytes)
  if (container === null) throw new Error('no recording')
  let [count, squares] = [0, 0]
  for await (const samples of heardOf({ container, file: uploadOf(bytes) }, codecs, { sampleRate: 16_000, signal: new Cancel() })) {
    for (const sample of samples) squares += (sample / 32_768) ** 2
    count += samples.length
  }
  return { seconds: count / 16_000, level: Math.sqrt(squares / count) }
}

describe('speech', () => {
  /** What the text sounds like, before anything is made of it. */
  let wanted: { readonly seconds: number; readonly level: number }
  beforeAll(async () => {
    const file = Buffer.from(await (await say({ response_format: 'wav' })).arrayBuffer())
    wanted = { seconds: (file.length - 44) / 2 / file.readUInt32LE(24), level: levelOf(file.subarray(44)) }
  })

  test.for([
    ['mp3', 'audio/mpeg'],
    ['opus', 'audio/opus'],
    ['aac', 'audio/aac'],
    ['flac', 'audio/flac'],
    ['wav', 'audio/wav'],
  ] as const)(
    'as %s is a file that sounds as long and as loud as the samples it was made of, and is written down again',
    async ([format, type]) => {
      for (const streaming of [false, true]) {
        const answer = await say({ response_format: format, streaming })
        const file = Buffer.from(await answer.arrayBuffer())

        expect([answer.status, answer.headers.get('content-type')]).toEqual([200, type])
        expect(answer.headers.get('content-length')).toBe(streaming ? null : String(file.length))
        const { seconds, level } = await lengthAndLevel(file)
        expect(Math.abs(seconds - wanted.seconds)).toBeLessThan(0.15)
        expect(Math.abs(level / wanted.level - 1)).toBeLessThan(0.1)
        const written = (await write(file)).json()
        expect(written['text']).toMatch(/^One two three/)
        expect(Math.abs(Number(written['duration']) - wanted.seconds)).toBeLessThan(0.15)
      }
    },
  )

  test('streams its first bytes before the text is finished', async () => {
    const stream = await openStream(`${rialto.url}/audio/speech`, {
      key: rialto.key,
      body: { model: 'sandbox-tts:stall=1', input: TEXT, response_format: 'pcm', streaming: true },
    })

    // The engine has fallen silent after its first sentence, and that sentence is here.
    expect(await stream.until('\0')).not.toBe('')
    stream.leave()
  })

  test('is paid by the character, whole or streamed, in characters and not in their halves', async () => {
    const { key } = await giveAccount(rialto.home, { balanceNano: 1_000_000_000n })
    const input = 'Fine 😀 day.'

    for (const streaming of [false, true])
      await (await say({ model: 'dear-voice', input, streaming, response_format: 'wav' }, key)).arrayBuffer()

    const left = await balanceOf(key, 1_000_000_000n - BigInt(2 * Array.from(input).length * CHARACTER_NANO))
    expect(left).toBe(1_000_000_000n - BigInt(2 * Array.from(input).length * CHARACTER_NANO))
  })

  test('that breaks off is paid as far as it came when it was streamed, and not at all when it was not', async () => {
    const { key } = await giveAccount(rialto.home, { balanceNano: 1_000_000n })
    const first = 'Good morning to everybody. '

    const whole = await say({ model: 'dear-voice:die=1', response_format: 'wav' }, key)
    const streamed = await say({ model: 'dear-voice:die=1', response_format: 'wav', streaming: true }, key)

    expect(whole.status).toBe(500)
    expect(streamed.status).toBe(200)
    await expect(streamed.arrayBuffer()).rejects.toThrow()
    const wanted = 1_000_000n - BigInt(first.length * CHARACTER_NANO)
    expect(await balanceOf(key, wanted)).toBe(wanted)
  })

  test('of who cannot pay for the whole text is refused before it begins', async () => {
    const { key } = await giveAccount(rialto.home, { balanceNano: 10n })

    const answer = await say({ model: 'dear-voice', response_format: 'wav' }, key)

    expect([answer.status, await codeOf(answer)]).toEqual([402, 'INSUFFICIENT_BALANCE'])
  })

  test.for([
    ['no text', { input: '' }, 'input'],
    ['too long a text', { input: 'a'.repeat(4_097) }, 'input'],
    ['too slow', { speed: 0.2 }, 'speed'],
    ['too fast', { speed: 4.1 }, 'speed'],
    ['a format that there is not', { response_format: 'midi' }, 'response_format'],
    ['a format that the model has not', { model: 'dear-voice', response_format: 'opus' }, 'response_format'],
    ['a voice that the model has not', { model: 'dear-voice', voice: 'secret-voice' }, 'voice'],
    ['a voice of which there are two', { model: 'dear-voice', voice: 'alex' }, 'voice'],
    ['events', { stream_format: 'sse' }, 'stream_format'],
    ['too warm', { temperature: 3 }, 'temperature'],
  ] as const)('asked for with %s is a 400 that names the field and quotes nothing', async ([, body, field]) => {
    const answer = await say(body)
    const text = await answer.text()

    expect([answer.status, JSON.parse(text)]).toEqual([
      400,
      expect.objectContaining({ code: 'INVALID_REQUEST', error: expect.stringMatching(new RegExp(field, 'i')) }),
    ])
    expect(text).not.toContain('secret-voice')
    expect(JSON.parse(text)).toMatchObject({ issues: [{ path: [field] }] })
  })

  test('takes OpenAI’s bare names for the voices that end in them, and the default where none is given', async () => {
    for (const voice of ['nova', 'af_nova', undefined])
      expect((await say({ model: 'dear-voice', voice, response_format: 'wav' })).status).toBe(200)
  })
})

function levelOf(samples: Buffer): number {
  let squares = 0
  for (let at = 0; at + 1 < samples.length; at += 2) squares += (samples.readInt16LE(at) / 32_768) ** 2
  return Math.sqrt(squares / (samples.length / 2))
}

async function codeOf(answer: Response): Promise<unknown> {
  const body: unknown = await answer.json()
  return body instanceof Object && 'code' in body ? body.code : undefined
}

/** What is left, once it is as it should be; else what it is after a while. */
async function balanceOf(key: string, wanted: bigint): Promise<bigint> {
  let left = -1n
  for (let tries = 0; tries < 50 && left !== wanted; tries++) {
    const { balances } = (await ask(`${rialto.url}/billing/balance`, { key })).json()
    left = BigInt(Math.round(Number(balances instanceof Object && 'usd' in balances ? balances.usd : -1) * 1e9))
    if (left !== wanted) await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return left
}

describe('a transcript', () => {
  test('comes in every shape', async () => {
    const file = recording(3)
    const shape = async (fields: Fields): Promise<string> => (await write(file, fields)).text

    expect(await shape({ response_format: 'text' })).toBe('One two. Three four.')
    expect(await shape({ response_format: 'srt' })).toBe(
      '1\n00:00:00,000 --> 00:00:01,000\nOne two.\n\n2\n00:00:02,000 --> 00:00:03,000\nThree four.\n',
    )
    expect(await shape({ response_format: 'vtt' })).toBe(
      'WEBVTT\n\n00:00:00.000 --> 00:00:01.000\nOne two.\n\n00:00:02.000 --> 00:00:03.000\nThree four.\n',
    )
    expect(JSON.parse(await shape({}))).toEqual({ text: 'One two. Three four.', duration: 3 })
    const segments = [
      { text: 'One two.', start: 0, end: 1 },
      { text: 'Three four.', start: 2, end: 3 },
    ]
    const words = [
      { word: 'one', start: 0, end: 0.5 },
      { word: 'two', start: 0.5, end: 1 },
      { word: 'three', start: 2, end: 2.5 },
      { word: 'four', start: 2.5, end: 3 },
    ]
    expect(JSON.parse(await shape({ timestamps: 'true' }))).toMatchObject({ timestamps: { segment: segments, word: words } })
    expect(JSON.parse(await shape({ response_format: 'verbose_json', language: 'en' }))).toMatchObject({
      task: 'transcribe',
      language: 'en',
      segments,
    })
    expect(JSON.parse(await shape({ response_format: 'verbose_json', 'timestamp_granularities[]': ['word'] }))).toEqual({
      task: 'transcribe',
      duration: 3,
      text: 'One two. Three four.',
      words,
    })
  })

  test('is paid by the second, a begun one counted', async () => {
    const { key } = await giveAccount(rialto.home, { balanceNano: 1_000_000n })

    expect((await write(recording(3).subarray(0, -16_000), { model: 'dear-ear' }, key)).status).toBe(200)

    const wanted = 1_000_000n - BigInt(3 * SECOND_NANO)
    expect(await balanceOf(key, wanted)).toBe(wanted)
  })

  test('of a recording that is longer than can be paid for is refused, and nothing is charged', async () => {
    const { key } = await giveAccount(rialto.home, { balanceNano: BigInt(2 * SECOND_NANO) })

    const answer = await write(recording(9), { model: 'dear-ear' }, key)

    expect([answer.status, answer.json()['code']]).toEqual([402, 'INSUFFICIENT_BALANCE'])
    expect(await balanceOf(key, BigInt(2 * SECOND_NANO))).toBe(BigInt(2 * SECOND_NANO))
  })

  test.for([
    ['no file', null, {}, 400, 'INVALID_REQUEST'],
    ['an empty file', Buffer.alloc(0), {}, 422, 'ASR_UPSTREAM_VALIDATION_FAILED'],
    ['silence', completeWav(Buffer.concat([wavHead(8_000, null), Buffer.alloc(16_000)])), {}, 422, 'ASR_UPSTREAM_VALIDATION_FAILED'],
    ['a broken file', Buffer.concat([Buffer.from('OggS'), Buffer.alloc(500, 7)]), {}, 422, 'ASR_UPSTREAM_VALIDATION_FAILED'],
    ['a text', Buffer.from('no recording'), {}, 400, 'INVALID_AUDIO_FORMAT'],
    ['a shape that there is not', recording(1), { response_format: 'xml' }, 400, 'INVALID_REQUEST'],
    ['a field that there is not', recording(1), { speaker: '1' }, 400, 'INVALID_REQUEST'],
    ['no truth', recording(1), { timestamps: 'perhaps' }, 400, 'INVALID_REQUEST'],
    ['no number', recording(1), { temperature: 'warm' }, 400, 'INVALID_REQUEST'],
    ['another model', recording(1), { model: 'no-such-model' }, 404, 'MODEL_NOT_FOUND'],
    ['a model of speech', recording(1), { model: 'sandbox-tts' }, 400, 'INVALID_MODEL'],
    ['a file that is too large', Buffer.alloc(25 * 1024 * 1024 + 1, 1), {}, 413, 'PAYLOAD_TOO_LARGE'],
  ] as const)('of %s is refused', async ([, file, fields, status, code]) => {
    const answer = await write(file, fields)

    expect([answer.status, answer.json()['code']]).toEqual([status, code])
  })

  test('is the same wherever the bytes of its form are cut', async () => {
    const sent = new Request(rialto.url, {
      method: 'POST',
      body: form(recording(1, 8_000).subarray(0, 1_700), { model: 'sandbox-asr', response_format: 'text' }),
    })
    const type = sent.headers.get('content-type') ?? ''
    const bytes = new Uint8Array(await sent.arrayBuffer())
    const texts = new Set<string>()

    for (let cut = 1; cut < bytes.length; cut += 29) {
      const body = new ReadableStream({
        async start(controller) {
          controller.enqueue(bytes.slice(0, cut))
          await new Promise(setImmediate)
          controller.enqueue(bytes.slice(cut))
          controller.close()
        },
      })
      const headers = { authorization: `Bearer ${rialto.key}`, 'content-type': type }
      // The types of Node do not know `duplex`, which a body that is a stream needs.
      const init: RequestInit & { duplex: 'half' } = { method: 'POST', headers, body, duplex: 'half' }
      texts.add(await (await fetch(`${rialto.url}/audio/transcriptions`, init)).text())
    }

    expect([...texts]).toEqual(['One.'])
  })

  test('is asked for by a form and nothing else', async () => {
    const answer = await ask(`${rialto.url}/audio/transcriptions`, { key: rialto.key, body: { model: 'sandbox-asr', file: 'UklGRg==' } })

    expect([answer.status, answer.json()['code']]).toEqual([415, 'INVALID_CONTENT_TYPE'])
  })
})

describe('another server', () => {
  test('speaks and is left when the caller leaves, who pays for what it heard at most', async () => {
    const { key } = await giveAccount(rialto.home, { balanceNano: 1_000_000n })
    remote.script({ headers: { 'content-type': 'audio/mpeg' }, steps: [{ send: Buffer.alloc(20_000, 65) }, { stall: true }] })

    const stream = await openStream(`${rialto.url}/audio/speech`, { key, body: { model: 'far-voice', input: TEXT, streaming: true } })
    await stream.until('A')
    stream.leave()

    expect(await remote.received.at(-1)?.closed).toBe('left')
    const wanted = 1_000_000n - BigInt(12 * CHARACTER_NANO)
    expect(await balanceOf(key, wanted)).toBe(wanted)
  })

  test('writes down what it gets in a form, and never learns the name of the file', async () => {
    remote.script({
      headers: { 'content-type': 'application/json' },
      steps: [{ send: JSON.stringify({ text: 'Far away.', duration: 3 }) }],
    })

    const answer = await write(recording(3), { model: 'far-ear' })

    expect(answer.json()).toEqual({ text: 'Far away.', duration: 3 })
    const { body, headers } = remote.received.at(-1) ?? { body: Buffer.alloc(0), headers: {} }
    expect(headers['content-type']).toMatch(/^multipart\/form-data/)
    expect(body.includes(recording(3))).toBe(true)
    expect(body.includes(marker('file-name'))).toBe(false)
  })
})

test('nothing that was said, written or named is in what the server prints', async () => {
  const input = `${marker('speech')} ${marker('words')}.`

  await (await say({ input, voice: marker('voice'), prompt: marker('style'), language: marker('language').slice(0, 20) })).arrayBuffer()
  await (await say({ model: 'dear-voice', input, voice: marker('voice') })).arrayBuffer()
  await write(recording(1), { prompt: marker('hint') })
  await write(Buffer.from(marker('bytes')), { language: 'xx', [marker('field')]: marker('value') })

  const logs = rialto.logs()
  expect(markersIn(logs)).toEqual([])
  expect(markersIn((await ask(`${rialto.url}/metrics`, { key: rialto.key })).text)).toEqual([])
  for (const [file, bytes] of filesOf(rialto.home)) expect([file, markersIn(bytes)]).toEqual([file, []])
  expect(logs).toContain('/audio/speech')
})
