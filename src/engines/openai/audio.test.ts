import { describe, expect, test } from 'vitest'
import type { Recording } from '../../core/audio.ts'
import type { AudioTools } from '../../core/audio.ts'
import { Cancel } from '../../core/cancel.ts'
import { callerLeft } from '../../core/errors.ts'
import type { AsrPart, AsrRequest } from '../../core/modalities/asr.ts'
import type { TtsPart, TtsRequest } from '../../core/modalities/tts.ts'
import { uploadOf } from '../../core/upload.fixture.ts'
import { egressTo, upstreamThat } from '../egress.fixture.ts'
import { speechOf } from '../speech-request.fixture.ts'
import type { Answering, Upstream } from '../upstream.fixture.ts'
import type { AudioDialect } from './request.ts'
import { speechAbility, spokenBy } from './speech.ts'
import { transcriptionAbility } from './transcription.ts'

const DIALECT: AudioDialect = { unsupported: new Set(), maxTokensField: 'max_tokens', extraBody: {}, audioWords: 'openai' }
const waits = { firstByteMs: 10_000, stallMs: 10_000 }

const speech = (more: Partial<TtsRequest> = {}): TtsRequest =>
  speechOf('Good morning. A fine day.', { voice: 'nova', speed: 1.5, format: 'mp3', ...more })

async function speak(
  answer: (answering: Answering) => void,
  request = speech(),
  dialect: Partial<AudioDialect> = {},
  signal = new Cancel(),
) {
  const upstream = await upstreamThat(answer)
  const parts: TtsPart[] = []
  const ability = speechAbility(egressTo(upstream.baseUrl), { ...DIALECT, ...dialect })
  const finish = await ability.run({ model: 'm', request, signal, ...waits }, (more) => void parts.push(...more))
  return { parts, finish, upstream }
}

const sound = ({ response }: Answering): void => void response.writeHead(200, { 'content-type': 'audio/mpeg' }).end('SOUND')
const bytesOf = (parts: readonly TtsPart[]): string => parts.map((part) => (part.type === 'encoded' ? part.bytes.toString() : '')).join('')
const sent = (upstream: Upstream): unknown => JSON.parse(upstream.asked[0]?.body ?? '')

describe('speech of another server', () => {
  test('is passed on as it comes, and counts as what it was asked for', async () => {
    const { parts, finish, upstream } = await speak(sound)

    expect(bytesOf(parts)).toBe('SOUND')
    expect(finish).toEqual({ usage: { character: 25 } })
    expect(upstream.asked[0]?.url).toBe('/v1/audio/speech')
    expect(sent(upstream)).toEqual({ model: 'm', input: 'Good morning. A fine day.', voice: 'nova', response_format: 'mp3', speed: 1.5 })
  })

  test('comes in one part for who gets all or nothing', async () => {
    const { parts } = await speak(
      ({ response }) => void response.write('SO', () => setTimeout(() => response.end('UND'), 20)),
      speech({ stream: false }),
    )

    expect(parts).toEqual([{ type: 'encoded', bytes: Buffer.from('SOUND'), characters: 25 }])
  })

  test('is asked for in the words that the server has', async () => {
    const request = speech({ style: 'Slowly.', language: 'en', temperature: 0.5, voice: null })

    const own = await speak(sound, request, { audioWords: 'venice' })
    const openai = await speak(sound, request)

    const common = { model: 'm', input: request.text, response_format: 'mp3', speed: 1.5, language: 'en', temperature: 0.5 }
    expect(sent(own.upstream)).toEqual({ ...common, prompt: 'Slowly.', streaming: true })
    expect(sent(openai.upstream)).toEqual({ ...common, voice: 'alloy', instructions: 'Slowly.' })
  })

  test.for([
    ['an error in a 200', 200, 'application/json', '{"error":{"code":"rate_limit_exceeded","message":"SECRET"}}', 'MODEL_OVERLOADED'],
    ['nothing', 200, 'audio/mpeg', '', 'INFERENCE_FAILED'],
    ['a refusal', 400, 'application/json', '{"error":"SECRET"}', 'INVALID_REQUEST'],
  ] as const)('that is %s fails without a word of it, streamed or not', async ([, status, type, body, code]) => {
    const answer = ({ response }: Answering): void => void response.writeHead(status, { 'content-type': type }).end(body)
    for (const stream of [true, false]) {
      const failure: unknown = await speak(answer, speech({ stream })).catch((error: unknown) => error)

      expect(failure).toMatchObject({ code })
      expect(String(failure)).not.toContain('SECRET')
    }
  })

  test('is cancelled when the caller leaves', async () => {
    const upstream = await upstreamThat(({ response }) => void response.writeHead(200, { 'content-type': 'audio/mpeg' }).write('SO'))
    const cancel = new Cancel()
    const ability = speechAbility(egressTo(upstream.baseUrl), DIALECT)

    const run = ability.run({ model: 'm', request: speech(), signal: cancel, ...waits }, () => cancel.abort(callerLeft()))

    await expect(run).rejects.toMatchObject({ internal: 'caller_left' })
    await upstream.left(0)
  })

  test('that breaks off counts for what was heard, in the caller’s favour', () => {
    const request = { format: 'pcm', speed: 1, characters: 1_000 } as const

    expect(spokenBy(1, request)).toBe(1)
    // Two seconds of a voice that speaks fifteen characters a second.
    expect(spokenBy(96_000, request)).toBeLessThan(30)
    expect(spokenBy(100_000_000, request)).toBe(1_000)
  })

  test('in a format that the server cannot make is refused', () => {
    const ability = speechAbility(egressTo('http://127.0.0.1:1/v1'), { ...DIALECT, unsupported: new Set(['response_format.aac']) })

    expect(ability.refuses(speech({ format: 'aac' }), 'm')).toBe('response_format')
    expect(ability.refuses(speech(), 'm')).toBeNull()
  })
})

const RECORDING: Recording = { container: 'mp3', file: uploadOf(Buffer.from('\xff\xfbSOUND', 'latin1')) }
const asked = (more: Partial<AsrRequest> = {}): AsrRequest => ({
  recording: RECORDING,
  maxSeconds: 60,
  short: false,
  wishes: () => Promise.resolve({ words: true, language: 'en', hint: 'Rialto', temperature: 0.2 }),
  sandbox: null,
  ...more,
})

/** Every recording is three seconds long. */
const tools: AudioTools = {
  encoder: () => Promise.reject(new Error('not here')),
  close: () => Promise.resolve(),
  decoder: (_container, { sampleRate }) =>
    Promise.resolve({
      async *decode(bytes) {
        if (bytes === null) yield new Int16Array(3 * sampleRate)
      },
      leave: () => undefined,
    }),
}

async function listen(answer: unknown, request = asked(), dialect: Partial<AudioDialect> = {}, status = 200) {
  const upstream = await upstreamThat(
    ({ response }) => void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer)),
  )
  const parts: AsrPart[] = []
  const ability = transcriptionAbility(egressTo(upstream.baseUrl), { ...DIALECT, ...dialect }, tools)
  const run = ability.run({ model: 'm', request, signal: new Cancel(), ...waits }, (more) => void parts.push(...more))
  return { run, parts, upstream }
}

describe('transcription by another server', () => {
  const answer = {
    text: ' Hello there. ',
    duration: 2.5,
    language: 'english',
    segments: [{ id: 0, text: ' Hello there.', start: 0, end: 2.4 }],
    words: [
      { word: 'Hello', start: 0, end: 1 },
      { word: 'there', start: 1, end: 2.4 },
    ],
  }

  test('is asked for by a form without the caller’s name of the file, and comes with its times', async () => {
    const { run, parts, upstream } = await listen(answer)

    expect(await run).toEqual({ usage: { audioSecond: 3 } })
    const { segments, words } = { segments: [{ text: 'Hello there.', start: 0, end: 2.4 }], words: answer.words }
    expect(parts).toEqual([{ text: 'Hello there.', seconds: 2.5, language: 'english', segments, words }])
    const { headers, body, url } = upstream.asked[0] ?? { headers: {}, body: '', url: '' }
    expect(url).toBe('/v1/audio/transcriptions')
    expect(headers['content-type']).toMatch(/^multipart\/form-data; boundary=rialto-[0-9a-f]{32}$/)
    expect(body).toContain('name="file"; filename="audio.mp3"\r\ncontent-type: audio/mpeg')
    for (const [name, value] of Object.entries({
      model: 'm',
      response_format: 'verbose_json',
      language: 'en',
      prompt: 'Rialto',
      temperature: '0.2',
    }))
      expect(body).toContain(`name="${name}"\r\n\r\n${value}\r\n`)
    expect(body).toContain('name="timestamp_granularities[]"\r\n\r\nword\r\n')
  })

  test('by a server with the API’s own words has the times that it gives under its own names', async () => {
    const { text, duration, segments, words } = answer
    const { run, parts, upstream } = await listen({ text, duration, timestamps: { segment: segments, word: words } }, asked(), {
      audioWords: 'venice',
    })

    await run
    expect(parts[0]).toMatchObject({ segments: [{ start: 0, end: 2.4 }], words: [{ word: 'Hello' }, { word: 'there' }] })
    expect(upstream.asked[0]?.body).toContain('name="timestamps"\r\n\r\ntrue\r\n')
    expect(upstream.asked[0]?.body).not.toMatch(/granularities|"prompt"|temperature/)
  })

  test('is measured here where the server does not say how long it was', async () => {
    const { run, parts } = await listen({ text: 'Hi.' })

    expect(await run).toEqual({ usage: { audioSecond: 3 } })
    expect(parts).toEqual([{ text: 'Hi.', seconds: 3, language: null, segments: [{ text: 'Hi.', start: 0, end: 3 }], words: [] }])
  })

  test('is paid as far as it was understood where the server stops saying how long it was, and measured from then on', async () => {
    const upstream = await upstreamThat(
      ({ response }) =>
        void response
          .writeHead(200, { 'content-type': 'application/json' })
          .end('{"text":"Hi.","segments":[{"text":"Hi.","start":0,"end":1.5},{"text":"for ever","start":0,"end":1e999}]}'),
    )
    const ability = transcriptionAbility(egressTo(upstream.baseUrl), DIALECT, tools)
    // Its beginning has been dropped by the time that the answer comes.
    const gone = asked({ recording: { ...RECORDING, file: { ...RECORDING.file, fromStart: false } } })
    const run = () => ability.run({ model: 'm', request: gone, signal: new Cancel(), ...waits }, () => undefined)

    expect([await run(), await run()]).toEqual([{ usage: { audioSecond: 2 } }, { usage: { audioSecond: 3 } }])
  })

  test('by a server that must know its size goes out in one piece, which every other may get as it comes', async () => {
    const late = asked({ recording: { ...RECORDING, file: { ...RECORDING.file, arrived: false } } })
    const whole = await listen(answer, late, { unsupported: new Set(['chunked']) })
    const stream = await listen(answer, late)
    await Promise.all([whole.run, stream.run])

    expect(Number(whole.upstream.asked[0]?.headers['content-length'])).toBeGreaterThan(100)
    expect(stream.upstream.asked[0]?.headers['transfer-encoding']).toBe('chunked')
    expect(stream.upstream.asked[0]?.body).toContain('SOUND')
  })

  test('is paid by what the server says of the length, wherever that is', async () => {
    expect(await (await listen({ text: 'Hi.', usage: { type: 'duration', seconds: 7 } })).run).toEqual({ usage: { audioSecond: 7 } })
    expect(await (await listen({ text: 'Hi.', duration: '8.1' })).run).toEqual({ usage: { audioSecond: 9 } })
  })

  test('of more than can be paid is not even asked for', async () => {
    const { run, upstream } = await listen(answer, asked({ maxSeconds: 1, short: true }))

    await expect(run).rejects.toMatchObject({ code: 'INSUFFICIENT_BALANCE' })
    expect(upstream.asked).toEqual([])
  })

  test.for([
    [400, 'ASR_UPSTREAM_VALIDATION_FAILED'],
    [422, 'ASR_UPSTREAM_VALIDATION_FAILED'],
    [500, 'ASR_UPSTREAM_FAILED'],
    [429, 'MODEL_OVERLOADED'],
    [401, 'MODEL_OFFLINE'],
  ] as const)('that is refused with %i fails with %s, without a word of it', async ([status, code]) => {
    const { run } = await listen({ error: { message: 'SECRET' } }, asked(), {}, status)
    const failure: unknown = await run.catch((error: unknown) => error)

    expect(failure).toMatchObject({ code })
    expect(String(failure)).not.toContain('SECRET')
  })
})
