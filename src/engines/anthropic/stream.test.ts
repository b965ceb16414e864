/** The events of the Messages API become the parts of a chat, however they are cut and written. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { textOf } from '../../core/modalities/text.ts'
import type { TextPart } from '../../core/modalities/text.ts'
import { callsOf, contentOf, endsOf } from '../text-run.fixture.ts'
import { GOLDEN, sse } from './messages-server.fixture.ts'
import { MessageStream } from './stream.ts'

type Event = { readonly type: string; readonly [field: string]: unknown }

function read(bytes: Buffer, cuts: readonly number[] = []) {
  const stream = new MessageStream()
  const parts: TextPart[] = []
  let from = 0
  for (const cut of [...cuts, bytes.length].toSorted((a, b) => a - b)) {
    stream.feed(bytes.subarray(from, cut))
    parts.push(...stream.take())
    from = cut
  }
  return { parts, finish: stream.end(), complete: stream.complete }
}

const readEvents = (events: readonly Event[]) => read(Buffer.from(sse(events)))
const deltasOf = (parts: readonly TextPart[]) => parts.flatMap((part) => (part.type === 'delta' ? [part.delta] : []))

const START: Event = { type: 'message_start', message: { usage: { input_tokens: 3, output_tokens: 1 } } }
const text = (index: number, piece: string): Event => ({ type: 'content_block_delta', index, delta: { type: 'text_delta', text: piece } })
const open = (index: number, type = 'text'): Event => ({ type: 'content_block_start', index, content_block: { type, text: '' } })
const ending = (reason: string | null, usage: unknown = { output_tokens: 5 }): Event => ({
  type: 'message_delta',
  delta: { stop_reason: reason },
  usage,
})

describe('a golden stream', () => {
  it('becomes thoughts with their signature, text, parallel calls, one end and usage in disjoint classes', () => {
    const { parts, finish } = readEvents(GOLDEN)

    expect(
      deltasOf(parts)
        .map((delta) => delta['reasoning_content'] ?? '')
        .join(''),
    ).toBe('Two cities — ask for “both”.')
    expect(deltasOf(parts).flatMap((delta) => delta['reasoning_details'] ?? [])).toEqual([
      { type: 'reasoning.text', text: 'Two cities — ask for “both”.', signature: 'EsECCokB+/=', format: 'anthropic-claude-v1', index: 0 },
      { type: 'reasoning.encrypted', data: 'EmwKAhgB', format: 'anthropic-claude-v1', index: 1 },
    ])
    expect(contentOf(parts, 0)).toBe('Ich prüfe „beide“ 🦩:\n1 × "quoted" \\ \u2028 text')
    expect(callsOf(parts)).toEqual([
      { index: 0, id: 'toolu_a', type: 'function', name: 'weather', arguments: '{"city": "Zürich"}' },
      { index: 1, id: 'toolu_b', type: 'function', name: 'now', arguments: '{}' },
    ])
    expect(endsOf(parts)).toEqual([{ choice: 0, reason: 'tool_calls' }])
    expect(parts.at(-1)?.type).toBe('end')
    expect(finish).toEqual({ usage: { inputToken: 47, cacheReadToken: 100, cacheWriteToken: 30, outputToken: 90 }, reasoningTokens: 33 })
  })

  it('is the same cut at every single byte, and at any several', () => {
    const bytes = Buffer.from(sse(GOLDEN))
    const whole = read(bytes)

    for (let cut = 0; cut <= bytes.length; cut++) expect(read(bytes, [cut])).toEqual(whole)
    fc.assert(
      fc.property(fc.array(fc.nat(bytes.length), { maxLength: 40 }), (cuts) => {
        expect(read(bytes, cuts)).toEqual(whole)
      }),
    )
  })

  it('is the same with CRLF, padding, another order of keys, and events nobody knows in between', () => {
    const whole = readEvents(GOLDEN)
    const written = [
      sse(GOLDEN).replaceAll('\n', '\r\n'),
      GOLDEN.map((event) => `data: ${JSON.stringify(event).replace(/}$/, '    }')}   \n\n`).join(''),
      GOLDEN.map((event) => `data:${JSON.stringify(Object.fromEntries(Object.entries(event).toReversed()))}\n\n`).join(''),
      GOLDEN.map((event) => `: comment\n${sse([event])}${sse([{ type: 'of_the_future' }])}`).join(''),
      GOLDEN.map((event) => `data: ${asciiJson(event)}\n\n`).join(''),
    ]

    for (const bytes of written) {
      const again = read(Buffer.from(bytes))
      expect({ ...again, parts: meaning(again.parts) }).toEqual({ ...whole, parts: meaning(whole.parts) })
    }
  })

  it('takes any text, written in any way, to the caller unharmed', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'grapheme' })), fc.boolean(), (pieces, ascii) => {
        const events = [START, open(0), ...pieces.map((piece) => text(0, piece)), ending('end_turn')]
        const bytes = events.map((event) => `data: ${ascii ? asciiJson(event) : JSON.stringify(event)}\n\n`).join('')
        const { parts } = read(Buffer.from(bytes))

        expect(contentOf(parts, 0)).toBe(pieces.join(''))
        expect(
          parts.every(
            (part) => part.type !== 'text' || JSON.parse(`"${JSON.stringify(textOf(part.json)).slice(1, -1)}"`) === textOf(part.json),
          ),
        ).toBe(true)
      }),
    )
  })

  it('passes the escaping of the upstream on as it came, without parsing it', () => {
    const event = '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\\u00e4\\/é"}   }  '
    const { parts } = read(Buffer.from(`${sse([START, open(0)])}data: ${event}\n\n${sse([ending('end_turn')])}`))

    expect(parts[0]).toEqual({ type: 'text', choice: 0, json: Buffer.from('\\u00e4\\/é').toString('latin1') })
  })

  it.each(['}', '}}}', '},', '}}"', ''])('takes no event for text that ends in %j', (tail) => {
    const event = `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"${tail}`
    const stream = new MessageStream()

    expect(() => stream.feed(Buffer.from(`${sse([START, open(0)])}data: ${event}\n\n`))).toThrow(
      expect.objectContaining({ internal: 'upstream_malformed' }),
    )
  })

  it('never passes on bytes that are no JSON string', () => {
    for (const bad of ['\\x', '\\u12g4', 'a"b', '\u0001', '\\']) {
      const event = `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"${bad}"}}`
      const stream = new MessageStream()

      expect(() => stream.feed(Buffer.from(`${sse([START, open(0)])}data: ${event}\n\n`))).toThrow(
        expect.objectContaining({ internal: 'upstream_malformed' }),
      )
      expect(stream.take()).toEqual([])
    }
  })
})

describe('the end of a message', () => {
  it.each([
    ['end_turn', 'stop'],
    ['stop_sequence', 'stop'],
    ['pause_turn', 'stop'],
    ['max_tokens', 'length'],
    ['model_context_window_exceeded', 'length'],
    ['tool_use', 'tool_calls'],
    ['refusal', 'content_filter'],
    ['of_the_future', 'stop'],
  ])('%s is %s', (reason, expected) => {
    expect(endsOf(readEvents([START, open(0), text(0, 'a'), ending(reason), { type: 'message_stop' }]).parts)).toEqual([
      { choice: 0, reason: expected },
    ])
  })

  it('comes once, and nothing after it counts', () => {
    const { parts } = readEvents([
      START,
      open(0),
      text(0, 'a'),
      ending('end_turn'),
      ending('max_tokens'),
      text(0, 'late'),
      open(1),
      { type: 'message_stop' },
    ])

    expect(contentOf(parts, 0)).toBe('a')
    expect(endsOf(parts)).toEqual([{ choice: 0, reason: 'stop' }])
  })

  it('is missed where the stream breaks off', () => {
    expect(() => readEvents([START, open(0), text(0, 'a')])).toThrow(
      expect.objectContaining({ code: 'INFERENCE_FAILED', internal: 'upstream_died' }),
    )
    expect(() => readEvents([START, open(0), text(0, 'a'), ending(null)])).toThrow(expect.objectContaining({ internal: 'upstream_died' }))
    expect(() => readEvents([])).toThrow(expect.objectContaining({ internal: 'upstream_died' }))
  })

  it('closes blocks that the upstream left open', () => {
    const thinking = [
      { type: 'content_block_start', index: 0, content_block: { type: 'thinking', thinking: 'Hm', signature: 'sig' } },
      { type: 'content_block_start', index: 1, content_block: { type: 'tool_use', id: 't', name: 'now', input: { zone: 'UTC' } } },
    ]
    const { parts } = readEvents([START, ...thinking, ending('tool_use')])

    expect(deltasOf(parts).flatMap((delta) => delta['reasoning_details'] ?? [])).toMatchObject([{ text: 'Hm', signature: 'sig' }])
    expect(callsOf(parts)).toMatchObject([{ name: 'now', arguments: '{"zone":"UTC"}' }])
  })
})

describe('what goes wrong', () => {
  it.each([
    ['overloaded_error', 'MODEL_AT_CAPACITY'],
    ['rate_limit_error', 'MODEL_OVERLOADED'],
    ['api_error', 'INFERENCE_FAILED'],
    ['timeout_error', 'REQUEST_TIMEOUT'],
    ['authentication_error', 'MODEL_OFFLINE'],
  ])('an error event of the type %s is %s, without its words', (type, code) => {
    const stream = new MessageStream()
    const error = { type: 'error', error: { type, message: 'SECRET words' } }
    const feed = () => stream.feed(Buffer.from(sse([START, open(0), text(0, 'a'), error])))

    expect(feed).toThrow(expect.objectContaining({ code }))
    expect(stream.take()).toMatchObject([{ type: 'text', json: 'a' }])
    expect(feed).not.toThrow('SECRET')
  })

  it.each(['{', '[1]', '"text"', '{"type":"content_block_start"}', '{"type":"content_block_delta","delta":{}}'])(
    '%s is a malformed answer',
    (data) => {
      expect(() => read(Buffer.from(`data: ${data}\n\n`))).toThrow(
        expect.objectContaining({ code: 'INFERENCE_FAILED', internal: 'upstream_malformed' }),
      )
    },
  )

  it('bounds the blocks of a message', () => {
    const blocks = Array.from({ length: 5000 }, (_, index) => open(index))

    expect(() => readEvents([START, ...blocks])).toThrow(expect.objectContaining({ internal: 'upstream_too_many_blocks' }))
  })

  it('passes over deltas for blocks that are not there, and a second start', () => {
    const stray = { type: 'content_block_delta', index: 7, delta: { type: 'input_json_delta', partial_json: '{}' } }
    const { parts, finish } = readEvents([
      START,
      START,
      stray,
      open(0),
      text(0, 'a'),
      { type: 'content_block_stop', index: 9 },
      ending('end_turn'),
    ])

    expect(parts.map(({ type }) => type)).toEqual(['text', 'end'])
    expect(finish).toEqual({ usage: { inputToken: 3, outputToken: 5 } })
  })

  it('has no usage where nobody counted', () => {
    expect(readEvents([open(0), text(0, 'a'), ending('end_turn', null)]).finish).toEqual({ usage: null })
  })
})

/** JSON in which everything beyond ASCII is escaped, as some servers write it. */
const asciiJson = (value: unknown): string =>
  // oxlint-disable-next-line no-control-regex
  JSON.stringify(value).replace(/[^\x00-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)

/** Parts with their texts decoded, since the same text may be escaped in several ways. */
const meaning = (parts: readonly TextPart[]): unknown[] =>
  parts.map((part) => (part.type === 'text' ? { ...part, json: textOf(part.json) } : part))
