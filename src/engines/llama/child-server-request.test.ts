import { describe, expect, test } from 'vitest'
import { type Delta, type TextPart, type Tool, type ToolCallDelta, escaped } from '../../core/modalities/text.ts'
import { PLAIN } from '../text-run.fixture.ts'
import { askedOf } from './child-server-request.ts'
import { ServerWriter } from './child-server-writer.ts'
import type { ChatBody, Piece } from './wire.ts'

const LIGHT: Tool = {
  type: 'function',
  function: { name: 'light', parameters: { type: 'object', properties: { on: { type: 'boolean' } } } },
}
const DARK: Tool = { type: 'function', function: { name: 'dark' } }

const body = (different: Partial<ChatBody>): ChatBody => ({ ...PLAIN, choice: 0, ...different })

describe('tools', () => {
  test('are left to the server where the template knows them and the model may decide', () => {
    const { request, fields, reading } = askedOf(body({ tools: [LIGHT, DARK], toolChoice: 'auto' }), true)

    expect(request).toMatchObject({ tools: [LIGHT, DARK], toolChoice: 'auto', messages: PLAIN.messages })
    expect(fields).toMatchObject({ parallel_tool_calls: true })
    expect([fields['grammar'], reading]).toEqual([undefined, null])
  })

  test.for([true, false])('that must be called are told in words and held by a grammar (template knows tools: %s)', (knowsTools) => {
    const toolChoice = { type: 'function', function: { name: 'dark' } } as const

    const { request, fields, reading } = askedOf(body({ tools: [LIGHT, DARK], toolChoice, effort: 'high' }), knowsTools)

    expect(request).toMatchObject({ tools: [], toolChoice: null, effort: 'none' })
    expect(JSON.stringify(request.messages)).toMatch(/dark/)
    expect(JSON.stringify(request.messages)).not.toMatch(/light/)
    expect(fields['grammar']).toMatch(/dark/)
    expect(reading).toMatchObject({ calling: true })
  })

  test('that a template does not know are told in words, and so are the calls that were made', () => {
    const call = { id: 'a', type: 'function', function: { name: 'light', arguments: '{"on":true}' } }
    const messages = [
      { role: 'user', content: [{ type: 'text', text: 'on' }] },
      { role: 'assistant', content: null, tool_calls: [call] },
      { role: 'tool', tool_call_id: 'a', content: 'done' },
    ] as const

    const { request, reading } = askedOf(body({ messages, tools: [LIGHT] }), false)

    expect(request.messages.map(({ role }) => role)).toEqual(['system', 'user', 'assistant', 'user'])
    expect(request.messages.every(({ tool_calls }) => tool_calls === undefined)).toBe(true)
    expect(request.tools).toEqual([])
    expect(reading).toMatchObject({ calling: false })
  })

  test('that are not to be called are not told of at all', () => {
    const { request, reading } = askedOf(body({ tools: [LIGHT], toolChoice: 'none' }), false)

    expect([request.messages, request.tools, reading]).toEqual([PLAIN.messages, [], null])
  })
})

describe('what the server says', () => {
  const delta = (of: Delta, logprobs: unknown = null): TextPart => ({ type: 'delta', choice: 0, delta: of, logprobs })
  const call = (index: number, of: Omit<ToolCallDelta, 'index'>): TextPart => delta({ tool_calls: [{ index, ...of }] })
  const end: TextPart = { type: 'end', choice: 0, reason: 'stop' }

  function piecesOf(parts: readonly TextPart[], writer: (send: (piece: Piece) => void) => ServerWriter) {
    const pieces: Piece[] = []
    const made = writer((piece) => pieces.push(piece))
    made.take(parts)
    return { reason: made.end(), pieces }
  }

  test('is thoughts, text, and calls that are whole', () => {
    const parts = [
      delta({ reasoning_content: 'hm' }),
      { type: 'text', choice: 0, json: escaped('Grüß\n') },
      call(0, { id: 'x', type: 'function', function: { name: 'light', arguments: '' } }),
      call(0, { function: { arguments: '{"on":' } }),
      call(0, { function: { arguments: 'true}' } }),
      call(1, { id: 'y', type: 'function', function: { name: 'dark', arguments: '{}' } }),
      end,
    ] as const satisfies TextPart[]

    const { reason, pieces } = piecesOf(parts, (send) => new ServerWriter(send, null, null))

    expect(reason).toBe('tool_calls')
    expect(pieces).toEqual([
      ['thought', 'hm'],
      ['text', 'Grüß\n'],
      ['call', { id: expect.any(String), name: 'light', arguments: '{"on":true}' }],
      ['call', { id: expect.any(String), name: 'dark', arguments: '{}' }],
    ])
  })

  test('in words has its calls taken out of them', () => {
    const said = ['I will. <tool', '_call>\n{"name": "light", "argu', 'ments": {"on": true}}\n</tool_call>']
    const parts = [...said.map((text): TextPart => ({ type: 'text', choice: 0, json: escaped(text) })), end]
    const { reading } = askedOf(body({ tools: [LIGHT] }), false)

    const { reason, pieces } = piecesOf(parts, (send) => new ServerWriter(send, null, reading))

    expect(reason).toBe('tool_calls')
    expect(pieces.filter(([kind]) => kind === 'call')).toEqual([
      ['call', { id: expect.any(String), name: 'light', arguments: '{"on":true}' }],
    ])
    expect(
      pieces
        .flatMap((piece) => (piece[0] === 'text' ? piece[1] : []))
        .join('')
        .trim(),
    ).toBe('I will.')
  })

  test('of log probabilities is without its own numbers, and no longer than was asked', () => {
    const other = { id: 1, token: 'a', logprob: -1, bytes: [97] }
    const score = { id: 2, token: 'b', logprob: -0.5, bytes: [98], top_logprobs: [other, other] }

    const { pieces } = piecesOf([delta({ content: 'b' }, { content: [score] }), end], (send) => new ServerWriter(send, 1, null))

    const { id: _id, ...shown } = other
    expect(pieces).toEqual([['scored', 'b', [{ token: 'b', logprob: -0.5, bytes: [98], top_logprobs: [shown] }]]])
  })
})
