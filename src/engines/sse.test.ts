import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SseSplitter } from './sse.ts'

type Event = { readonly data: string; readonly name: string }

/** Feeds the portions and returns the events. */
function split(portions: readonly string[], limitBytes?: number): Event[] {
  const events: Event[] = []
  const splitter = new SseSplitter({ event: (text, start, end, name) => events.push({ data: text.slice(start, end), name }) }, limitBytes)
  for (const portion of portions) splitter.feed(portion)
  return events
}

const bytesOf = (text: string): string => Buffer.from(text, 'utf8').toString('latin1')

/** Cuts a text at the given places. */
function cut(text: string, places: readonly number[]): string[] {
  const at = [...new Set(places.map((place) => place % (text.length + 1)))].sort((a, b) => a - b)
  return [0, ...at].map((from, i) => text.slice(from, at[i] ?? text.length))
}

const line = fc.string({ unit: 'grapheme', maxLength: 20 }).map((text) => bytesOf(text.replaceAll(/[\r\n]/g, '·')))
const lineEnd = fc.constantFrom('\n', '\r\n', '\r')
const block = fc.record({
  name: fc.option(fc.constantFrom('message', 'error', 'content_block_delta'), { nil: '' }),
  data: fc.array(line, { minLength: 1, maxLength: 3 }),
  comment: fc.boolean(),
  space: fc.boolean(),
  end: lineEnd,
})

describe('the splitter of server-sent events', () => {
  test('gives the same events wherever the bytes are cut, with any line ends, comments, names and several data lines', () => {
    fc.assert(
      fc.property(fc.array(block, { maxLength: 6 }), fc.array(fc.nat(), { maxLength: 40 }), fc.boolean(), (blocks, places, mark) => {
        let wire = mark ? '\xef\xbb\xbf' : ''
        for (const { name, data, comment, space, end } of blocks) {
          if (comment) wire += `: ping${end}id: 7${end}`
          if (name) wire += `event: ${name}${end}`
          for (const one of data) wire += `data:${space || one.startsWith(' ') ? ' ' : ''}${one}${end}`
          wire += end
        }

        const events = split(cut(wire, places))

        expect(events).toEqual(blocks.map(({ name, data }) => ({ data: data.join('\n'), name: name ?? '' })))
      }),
    )
  })

  test('gives the same events when every byte comes alone', () => {
    const wire = bytesOf('data: {"a":"ü"}\n\ndata: 1\r\ndata: 2\r\n\r\n:\revent: x\rdata\r\rdata: [DONE]\n\n')

    expect(split(wire.split(''))).toEqual(split([wire]))
    expect(split([wire])).toEqual([
      { data: bytesOf('{"a":"ü"}'), name: '' },
      { data: '1\n2', name: '' },
      { data: '', name: 'x' },
      { data: '[DONE]', name: '' },
    ])
  })

  test('an event that the end of the stream cuts off is none', () => {
    expect(split(['data: whole\n\ndata: half\n'])).toEqual([{ data: 'whole', name: '' }])
  })

  test('a name without data is no event, and does not stay for the next one', () => {
    expect(split(['event: ping\n\ndata: x\n\n'])).toEqual([{ data: 'x', name: '' }])
  })

  test('an event of 8 MiB in small portions comes out whole, each byte being looked at once', () => {
    const data = 'x'.repeat(8 * 1024 * 1024)
    const wire = `data: ${data}\n\ndata: next\n\n`
    const portions: string[] = []
    for (let at = 0; at < wire.length; at += 1000) portions.push(wire.slice(at, at + 1000))

    const events = split(portions)

    expect(events.map((event) => event.data.length)).toEqual([data.length, 4])
    expect(events[0]?.data === data).toBe(true)
  })

  test('an event beyond the limit fails the run, as one line or as many', () => {
    expect(() => split(['data: ', 'x'.repeat(50), 'x'.repeat(60)], 100)).toThrow(
      expect.objectContaining({ internal: 'upstream_event_too_large' }),
    )
    expect(() => split([`data: ${'x'.repeat(60)}\n`, `data: ${'x'.repeat(60)}\n`], 100)).toThrow(
      expect.objectContaining({ internal: 'upstream_event_too_large' }),
    )
    expect(split([`data: ${'x'.repeat(60)}\n\n`, `data: ${'x'.repeat(60)}\n\n`], 100)).toHaveLength(2)
  })
})
