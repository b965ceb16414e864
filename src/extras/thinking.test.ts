import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type TextPart, escaped, textOf } from '../core/modalities/text.ts'
import { withoutThinking } from './thinking.ts'

const collect = (): { parts: TextPart[]; sink: (parts: readonly TextPart[]) => void } => {
  const parts: TextPart[] = []
  return { parts, sink: (more) => void parts.push(...more) }
}

const visibleText = (parts: readonly TextPart[]): string =>
  parts.map((part) => (part.type === 'text' ? textOf(part.json) : part.type === 'delta' ? (part.delta.content ?? '') : '')).join('')

const pieces = (text: string, cuts: readonly number[]): string[] => {
  const at = [...new Set(cuts.map((cut) => cut % (text.length + 1)))].sort((a, b) => a - b)
  return [0, ...at].map((from, index) => text.slice(from, at[index] ?? text.length)).filter((piece) => piece !== '')
}

describe('answers without thinking', () => {
  it('are the same however the stream was cut', async () => {
    const answer = '<think>let me see… "2+2"</think>\n\nThe answer is 4 < 5. <thin air> <think>again</think>Done é😀'
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(), { maxLength: 30 }), async (cuts) => {
        const { parts, sink } = collect()
        const stripped = withoutThinking(sink)

        for (const piece of pieces(answer, cuts)) await stripped([{ type: 'text', choice: 0, json: escaped(piece) }])
        await stripped([{ type: 'end', choice: 0, reason: 'stop' }])

        expect(visibleText(parts)).toBe('The answer is 4 < 5. <thin air> Done é😀')
        expect(parts.at(-1)?.type).toBe('end')
      }),
    )
  })

  it('keep what only looked like the start of a tag', async () => {
    const { parts, sink } = collect()
    const stripped = withoutThinking(sink)

    await stripped([{ type: 'text', choice: 0, json: escaped('a <thi') }])
    await stripped([{ type: 'end', choice: 0, reason: 'stop' }])

    expect(visibleText(parts)).toBe('a <thi')
  })

  it('lose reasoning fields but keep tool calls and the role', async () => {
    const { parts, sink } = collect()
    const stripped = withoutThinking(sink)

    await stripped([
      { type: 'delta', choice: 0, delta: { reasoning_content: 'hmm' }, logprobs: null },
      { type: 'delta', choice: 0, delta: { role: 'assistant', reasoning_content: 'hmm' }, logprobs: null },
      { type: 'delta', choice: 0, delta: { tool_calls: [{ index: 0, id: 'a' }] }, logprobs: null },
    ])

    expect(parts.map((part) => (part.type === 'delta' ? part.delta : null))).toEqual([
      { role: 'assistant' },
      { tool_calls: [{ index: 0, id: 'a' }] },
    ])
  })

  it('hold for whole answers, too', async () => {
    const { parts, sink } = collect()

    await withoutThinking(sink)([
      {
        type: 'whole',
        choices: [
          {
            index: 0,
            message: { role: 'assistant', content: '<think>x</think>\nyes', reasoning_content: 'x' },
            finishReason: 'stop',
            logprobs: null,
          },
        ],
      },
    ])

    expect(parts).toEqual([
      { type: 'whole', choices: [{ index: 0, message: { role: 'assistant', content: 'yes' }, finishReason: 'stop', logprobs: null }] },
    ])
  })
})
