/** The official OpenAI client against the endpoints for speech and transcription. */
import OpenAI, { toFile } from 'openai'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { containerOf } from '../../src/audio/recognise.ts'
import { recording } from '../harness/recording.ts'
import { type Rialto, startRialto } from '../harness/rialto.ts'

const TEXT = 'Good morning to everybody. It is a fine day, is it not? Yes, it is.'

let rialto: Rialto
let client: OpenAI
beforeAll(async () => {
  rialto = await startRialto()
  client = new OpenAI({ baseURL: rialto.url, apiKey: rialto.key, maxRetries: 0 })
})
afterAll(() => rialto?.stop())

describe('the official OpenAI client', () => {
  test('gets speech whole and as it comes', async () => {
    const whole = await client.audio.speech.create({ model: 'sandbox-tts', voice: 'alloy', input: TEXT, response_format: 'wav' })
    const streamed = await client.audio.speech.create({
      model: 'sandbox-tts',
      voice: 'alloy',
      input: TEXT,
      response_format: 'pcm',
      stream_format: 'audio',
    })

    const file = Buffer.from(await whole.arrayBuffer())
    let count = 0
    for await (const chunk of streamed.body ?? []) count += chunk.length
    expect(containerOf(file)).toBe('wav')
    expect(file.readUInt32LE(40)).toBe(file.length - 44)
    expect(count).toBe(file.length - 44)
  })

  test('gets a transcript of a long recording, whether it names the model before the file or after it', async () => {
    const file = await toFile(recording(100), 'speech.wav')

    const first = await client.audio.transcriptions.create({ model: 'sandbox-asr', file, response_format: 'verbose_json' })
    const last = await client.audio.transcriptions.create({ file, response_format: 'verbose_json', model: 'sandbox-asr' })

    expect(first.duration).toBe(100)
    expect(last).toEqual(first)
  })

  test('gets transcripts, the file first in its form, in each shape that it knows', async () => {
    const file = await toFile(recording(3), 'speech.wav')

    const json = await client.audio.transcriptions.create({ file, model: 'sandbox-asr' })
    const verbose = await client.audio.transcriptions.create({
      file,
      model: 'sandbox-asr',
      response_format: 'verbose_json',
      timestamp_granularities: ['word', 'segment'],
    })
    const text = await client.audio.transcriptions.create({ file, model: 'sandbox-asr', response_format: 'srt' })

    expect(json.text).toBe('One two. Three four.')
    expect([verbose.duration, verbose.words?.length, verbose.segments?.map((segment) => segment.text)]).toEqual([
      3,
      4,
      ['One two.', 'Three four.'],
    ])
    expect(text).toContain('00:00:02,000 --> 00:00:03,000')
  })
})
