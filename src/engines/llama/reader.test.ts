import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { HarmonyReader } from './harmony.ts'
import { TagReader } from './reader.ts'
import type { Answer, Reader, ReaderOptions } from './reader.ts'

const TOOLS = { opens: '<tool_call>', ends: '</tool_call>' }
const BRACKETS = { opens: '[TOOL_CALLS]', ends: '' }
const THINK = { open: '<think>', close: '</think>' }
const NOTHING: ReaderOptions = { think: null, thinking: false, calls: null, calling: false, stop: [] }

type Read = { content: string; reasoning: string; calls: { name: string; arguments: string }[]; wanted: boolean }

/** Reads a text in pieces of the given size. */
function read(make: (answer: Answer) => Reader, text: string, size = 1_000): Read {
  const out: Read = { content: '', reasoning: '', calls: [], wanted: true }
  const reader = make({
    content: (more) => (out.content += more),
    reasoning: (more) => (out.reasoning += more),
    call: (call) => out.calls.push(call),
  })
  for (let at = 0; at < text.length && out.wanted; at += size) out.wanted = reader.feed(text.slice(at, at + size))
  reader.end()
  return out
}

const tags =
  (different: Partial<ReaderOptions>) =>
  (answer: Answer): Reader =>
    new TagReader(answer, { ...NOTHING, ...different })

describe('what a model writes', () => {
  const cases: [string, (answer: Answer) => Reader, string, Partial<Read>][] = [
    ['plain text', tags({}), ' Hello <b>you</b>', { content: ' Hello <b>you</b>' }],
    ['thoughts before the answer', tags({ think: THINK }), '<think>\nhm, so\n</think>\n\nYes.', { reasoning: 'hm, so\n', content: 'Yes.' }],
    ['thoughts that the prompt began', tags({ think: THINK, thinking: true }), 'hm</think>Yes', { reasoning: 'hm', content: 'Yes' }],
    ['thoughts without an end', tags({ think: THINK, thinking: true }), 'hm, hm', { reasoning: 'hm, hm', content: '' }],
    ['a stop sequence', tags({ stop: ['END', 'STOP'] }), 'one STOP two END', { content: 'one ', wanted: false }],
    [
      'a stop sequence in a thought only',
      tags({ think: THINK, stop: ['END'] }),
      '<think>END</think>more',
      { content: 'more', wanted: true },
    ],
    [
      'calls after words',
      tags({ calls: TOOLS }),
      'Let me see.\n<tool_call>\n{"name": "a", "arguments": {"b": "}\\""}}\n</tool_call>\n<tool_call>\n{"name": "c", "arguments": {}}\n</tool_call>',
      { content: 'Let me see.\n', calls: [call('a', { b: '}"' }), call('c', {})] },
    ],
    [
      'a call of a model that brackets them',
      tags({ calls: BRACKETS }),
      '[TOOL_CALLS][{"name": "a", "arguments": {"b": [1]}}]',
      { content: '', calls: [call('a', { b: [1] })] },
    ],
    [
      'a call with the name before the arguments',
      tags({ calls: BRACKETS }),
      '[TOOL_CALLS]a[ARGS]{"b": 2}',
      { calls: [call('a', { b: 2 })] },
    ],
    [
      'a bare call',
      tags({ calls: { opens: '', ends: '' } }),
      '{"name": "a", "parameters": {"b": 1}}',
      { content: '', calls: [call('a', { b: 1 })] },
    ],
    ['an object that is no call', tags({ calls: { opens: '', ends: '' } }), '{"b": 1}', { content: '{"b": 1}', calls: [] }],
    [
      'marks with no call in them',
      tags({ calls: TOOLS }),
      '<tool_call>never mind\n</tool_call>',
      { content: '<tool_call>never mind\n</tool_call>' },
    ],
    [
      'marks where there are no tools',
      tags({}),
      '<tool_call>{"name": "a"}</tool_call>',
      { content: '<tool_call>{"name": "a"}</tool_call>' },
    ],
    [
      'forced calls',
      tags({ calls: TOOLS, calling: true }),
      '{"name": "a", "arguments": {"b": 1}}\n</tool_call>\n<tool_call>\n{"name":"a","arguments":{}}',
      { content: '', calls: [call('a', { b: 1 }), call('a', {})] },
    ],
    [
      'a forced call that was cut off',
      tags({ calls: TOOLS, calling: true }),
      '{"name": "a", "arguments": {"b": "lon',
      { calls: [{ name: 'a', arguments: '{"b": "lon' }] },
    ],
    [
      'the channels of gpt-oss',
      (answer) => new HarmonyReader(answer, []),
      '<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>commentary to=functions.a <|constrain|>json<|message|>{"b":1}<|call|><|start|>assistant<|channel|>final<|message|>Yes',
      { reasoning: 'hm', content: 'Yes', calls: [{ name: 'a', arguments: '{"b":1}' }] },
    ],
    [
      'gpt-oss that stops',
      (answer) => new HarmonyReader(answer, ['es']),
      '<|channel|>final<|message|>Yes',
      { content: 'Y', wanted: false },
    ],
  ]

  test.for(cases)('is taken apart the same way however it is cut: %s', ([, make, text, wanted]) => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: text.length }), (size) => {
        expect(read(make, text, size)).toMatchObject(wanted)
      }),
    )
  })

  test('is said again to the letter where it has no marks', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('<', '>', '/', 't', 'h', 'i', 'n', 'k', ' ', '\n', '{', '}', '"', 'ü') }),
        fc.integer({ min: 1, max: 7 }),
        (text, size) => {
          const { content, reasoning, calls } = read(tags({ stop: ['%'] }), text, size)

          expect({ content, reasoning, calls }).toEqual({ content: text, reasoning: '', calls: [] })
        },
      ),
    )
  })
})

function call(name: string, args: unknown): { name: string; arguments: string } {
  return { name, arguments: JSON.stringify(args) }
}
