import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { callsOf } from '../text-run.fixture.ts'
import { ToolCalls, wholeCalls } from './tool-calls.ts'

/** Takes the deltas one by one and adds them up as the official clients do. */
function assemble(deltas: readonly unknown[]) {
  const calls = new ToolCalls()
  return callsOf(deltas.map((delta) => ({ type: 'delta', choice: 0, logprobs: null, delta: { tool_calls: calls.take([delta]) } })))
}

const of = (name: string | undefined, text: string) => ({ ...(name !== undefined && { name }), arguments: text })

describe('streamed tool calls', () => {
  test('that are well formed pass as they are', () => {
    const calls = new ToolCalls()

    const out = calls.take([
      { index: 0, id: 'a', type: 'function', function: of('f', '') },
      { index: 0, function: of(undefined, '{}') },
    ])

    expect(out).toEqual([
      { index: 0, id: 'a', type: 'function', function: { name: 'f', arguments: '' } },
      { index: 0, function: { arguments: '{}' } },
    ])
  })

  test('whose upstream repeats id, type and name give them once', () => {
    const calls = new ToolCalls()
    const delta = (text: string) => ({ index: 0, id: 'a', type: 'function', function: of('f', text) })

    expect(calls.take([delta('{"x"'), delta(':1}')])).toEqual([
      { index: 0, id: 'a', type: 'function', function: { name: 'f', arguments: '{"x"' } },
      { index: 0, function: { arguments: ':1}' } },
    ])
  })

  test('are told apart by id, whatever index and order they come in', () => {
    const call = fc.record({
      name: fc.constantFrom('f', 'g'),
      pieces: fc.array(fc.string(), { minLength: 1, maxLength: 4 }),
      index: fc.nat({ max: 3 }),
    })
    fc.assert(
      fc.property(fc.array(call, { minLength: 1, maxLength: 5 }), fc.infiniteStream(fc.nat()), (calls, picks) => {
        const queues = calls.map(({ name, pieces, index }, at) =>
          pieces.map((piece, turn) => ({ index, id: `id${at}`, function: of(turn === 0 ? name : undefined, piece) })),
        )
        const deltas: unknown[] = []
        const order: number[] = []
        for (const pick of picks) {
          const open = queues.filter((queue) => queue.length > 0)
          const queue = open[pick % Math.max(1, open.length)]
          if (!queue) break
          if (!order.includes(queues.indexOf(queue))) order.push(queues.indexOf(queue))
          deltas.push(queue.shift())
        }

        expect(assemble(deltas)).toEqual(
          order.map((at, index) => ({
            index,
            id: `id${at}`,
            type: 'function',
            name: calls[at]?.name,
            arguments: calls[at]?.pieces.join(''),
          })),
        )
      }),
    )
  })

  test('without ids are told apart by index, even when they take turns', () => {
    const out = assemble([
      { index: 4, function: of('f', '{"a"') },
      { index: 9, function: of('g', '{"b"') },
      { index: 4, function: of(undefined, ':1}') },
      { index: 9, function: of(undefined, ':2}') },
    ])

    expect(out).toMatchObject([
      { index: 0, name: 'f', arguments: '{"a":1}', id: expect.stringMatching(/^call_[0-9a-f]{24}$/) },
      { index: 1, name: 'g', arguments: '{"b":2}', id: expect.stringMatching(/^call_[0-9a-f]{24}$/) },
    ])
    expect(out[0]?.id).not.toBe(out[1]?.id)
  })

  test('whose later deltas have no index go on with the call before', () => {
    expect(
      assemble([
        { index: 0, id: 'a', function: of('f', '{') },
        { function: of(undefined, '}') },
        { id: 'b', function: of('g', '{') },
        { function: of(undefined, '}') },
      ]),
    ).toMatchObject([
      { id: 'a', arguments: '{}' },
      { id: 'b', arguments: '{}' },
    ])
  })

  test('whose id comes late are one call, by the id that it had to begin with', () => {
    const out = assemble([
      { index: 0, function: of('f', '{') },
      { index: 0, id: 'late', function: of(undefined, '"x"') },
      { index: 1, id: 'b', function: of('g', '{}') },
      { id: 'late', function: of(undefined, ':1}') },
    ])

    expect(out).toMatchObject([
      { index: 0, id: expect.stringMatching(/^call_/), arguments: '{"x":1}' },
      { index: 1, id: 'b', arguments: '{}' },
    ])
  })

  test('that come whole, with neither id nor index, are calls of their own', () => {
    expect(assemble([{ function: of('f', '{"a":1}') }, { function: of('f', '{"a":2}') }])).toMatchObject([
      { index: 0, arguments: '{"a":1}' },
      { index: 1, arguments: '{"a":2}' },
    ])
  })

  test('whose interleaved deltas without id go to the call last seen at their index', () => {
    const out = assemble([
      { index: 0, id: 'a', function: of('f', '1') },
      { index: 0, id: 'b', function: of('g', '2') },
      { index: 0, function: of(undefined, '2') },
      { index: 1, id: 'c', function: of('h', '3') },
      { index: 0, function: of(undefined, '2') },
      { id: 'a', function: of(undefined, '1') },
    ])

    expect(out).toMatchObject([
      { id: 'a', arguments: '11' },
      { id: 'b', arguments: '222' },
      { id: 'c', arguments: '3' },
    ])
  })

  test('whose name comes late are held until then', () => {
    const calls = new ToolCalls()

    expect(calls.take([{ index: 0, id: 'a', function: { arguments: '{"x"' } }])).toEqual([])
    expect(calls.take([{ index: 0, function: of('f', ':1}') }])).toEqual([
      { index: 0, id: 'a', type: 'function', function: { name: 'f', arguments: '{"x":1}' } },
    ])
  })

  test('keep what their vendor adds', () => {
    const extra = { extra_content: { google: { thought_signature: 's' } } }

    expect(new ToolCalls().take([{ index: 0, id: 'a', ...extra, function: of('f', '') }])[0]).toMatchObject(extra)
  })

  test('with arguments that are no text get them as JSON', () => {
    expect(
      assemble([
        { index: 0, id: 'a', function: { name: 'f', arguments: { x: [1] } } },
        { index: 1, id: 'b', function: { name: 'g', arguments: null } },
      ]),
    ).toMatchObject([{ arguments: '{"x":[1]}' }, { arguments: '' }])
  })

  test('that are no calls at all are nothing, and too many are a fault', () => {
    expect(new ToolCalls().take([null, 7, 'x', []])).toEqual([])
    const calls = new ToolCalls()
    expect(() => calls.take(Array.from({ length: 2000 }, (_, at) => ({ index: at, id: `c${at}`, function: of('f', '') })))).toThrow(
      expect.objectContaining({ internal: 'upstream_too_many_calls' }),
    )
  })
})

describe('the tool calls of a whole message', () => {
  test('have id, type and arguments as text', () => {
    expect(
      wholeCalls([
        { index: 0, function: { name: 'f', arguments: { x: 1 } }, vendor: 1 },
        { id: 'b', type: 'function', function: of('g', '{}') },
        7,
      ]),
    ).toEqual([
      { id: expect.stringMatching(/^call_/), type: 'function', function: { name: 'f', arguments: '{"x":1}' }, vendor: 1 },
      { id: 'b', type: 'function', function: { name: 'g', arguments: '{}' } },
    ])
  })
})
