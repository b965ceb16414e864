/** How much each generation of models is told to think, and by which sampling it answers. */
import { describe, expect, it } from 'vitest'
import type { Message, TextRequest, Tool } from '../../core/modalities/text.ts'
import { PLAIN } from '../text-run.fixture.ts'
import { messagesBody } from './request.ts'

const body = (change: Partial<TextRequest> = {}, model = 'claude-sonnet-4-5') =>
  JSON.parse(messagesBody(model, { ...PLAIN, stream: false, ...change }))
const tool = (name: string): Tool => ({ type: 'function', function: { name } })
const ask: Message = { role: 'user', content: 'Hello' }

describe('thinking', () => {
  const think = (effort: TextRequest['effort'], model: string, more: Partial<TextRequest> = {}) => {
    const { thinking, output_config: config } = body({ effort, ...more }, model)
    return [thinking, config?.effort]
  }
  const shown = { type: 'adaptive', display: 'summarized' }

  it.each<[TextRequest['effort'], string, unknown[]]>([
    [null, 'claude-opus-4-5', [undefined, undefined]],
    ['none', 'claude-opus-4-5', [undefined, undefined]],
    ['minimal', 'claude-opus-4-5', [{ type: 'enabled', budget_tokens: 1024 }, undefined]],
    ['high', 'claude-3-7-sonnet-20250219', [{ type: 'enabled', budget_tokens: 16_384 }, undefined]],
    ['max', 'claude-sonnet-4-20250514', [{ type: 'enabled', budget_tokens: 25_600 }, undefined]],
    [null, 'claude-opus-4-6', [undefined, undefined]],
    ['minimal', 'claude-opus-4-6', [{ type: 'adaptive' }, 'low']],
    ['xhigh', 'claude-sonnet-4-6', [{ type: 'adaptive' }, 'high']],
    ['none', 'claude-opus-4-8', [undefined, undefined]],
    ['xhigh', 'claude-opus-4-7', [shown, 'xhigh']],
    [null, 'claude-sonnet-5', [shown, undefined]],
    ['none', 'claude-sonnet-5', [{ type: 'disabled' }, undefined]],
    ['none', 'claude-sonnet-5-5', [{ type: 'between_tools' }, undefined]],
    ['none', 'claude-haiku-5-5', [{ type: 'disabled' }, undefined]],
    ['max', 'anthropic/claude-opus-5.5', [shown, 'max']],
    ['low', 'some-other-model', [{ type: 'enabled', budget_tokens: 4096 }, undefined]],
    ['none', 'some-other-model', [{ type: 'disabled' }, undefined]],
  ])('effort %s on %s', (effort, model, expected) => {
    expect(think(effort, model)).toEqual(expected)
  })

  it('leaves room for the answer, and none is done where there is none', () => {
    expect(think('high', 'claude-opus-4-5', { maxTokens: 4000 })).toEqual([{ type: 'enabled', budget_tokens: 3200 }, undefined])
    expect(think('high', 'claude-opus-4-5', { maxTokens: 1100 })).toEqual([{ type: 'enabled', budget_tokens: 1024 }, undefined])
    expect(think('high', 'claude-opus-4-5', { maxTokens: 1024 })).toEqual([undefined, undefined])
  })

  it('is off where a tool is forced', () => {
    const forced = { tools: [tool('a')], toolChoice: 'required' } as const

    expect(think('high', 'claude-opus-4-5', forced)).toEqual([undefined, undefined])
    expect(think('high', 'claude-opus-4-6', forced)).toEqual([undefined, undefined])
    expect(think('high', 'claude-opus-5', forced)).toEqual([{ type: 'disabled' }, undefined])
  })

  it('with a budget is off while a tool loop goes on whose thoughts did not come back', () => {
    const calling = { role: 'assistant', tool_calls: [{ id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } }] } as const
    const result = { role: 'tool', tool_call_id: 'a', content: 'x' } as const
    const thought = { ...calling, reasoning_details: [{ type: 'reasoning.text', text: 'Hm', signature: 's', index: 0 }] }

    expect(think('low', 'claude-opus-4-5', { messages: [ask, calling, result] })).toEqual([undefined, undefined])
    expect(think('low', 'claude-opus-4-5', { messages: [ask, thought, result] })).toEqual([
      { type: 'enabled', budget_tokens: 4096 },
      undefined,
    ])
    expect(think('low', 'claude-opus-4-6', { messages: [ask, calling, result] })).toEqual([{ type: 'adaptive' }, 'low'])
  })
})

describe('sampling and limits', () => {
  const sampling = { temperature: 1.7, top_p: 0.9, top_k: 40 }

  it('keeps to what the model takes', () => {
    const of = (model: string, change: Partial<TextRequest> = {}) => {
      const { temperature, top_p, top_k } = body({ sampling, ...change }, model)
      return [temperature, top_p, top_k]
    }

    expect(of('claude-sonnet-4-0')).toEqual([1, 0.9, 40])
    expect(of('claude-sonnet-4-5')).toEqual([1, undefined, 40])
    expect(of('claude-sonnet-4-5', { sampling: { top_p: 0.9, top_k: 0 } })).toEqual([undefined, 0.9, undefined])
    expect(of('claude-sonnet-4-5', { effort: 'low' })).toEqual([undefined, undefined, undefined])
    expect(of('claude-opus-4-7')).toEqual([undefined, undefined, undefined])
  })

  it('always says how long an answer may be', () => {
    const limits = ['claude-opus-5-5', 'claude-3-5-haiku-latest', 'claude-3-haiku-20240307', 'other'].map(
      (model) => body({}, model).max_tokens,
    )

    expect(limits).toEqual([32_000, 8192, 4096, 8192])
    expect(body({ maxTokens: 7, stop: ['END'] })).toMatchObject({
      max_tokens: 7,
      stop_sequences: ['END'],
      stream: false,
      model: 'claude-sonnet-4-5',
    })
    expect(body()).not.toHaveProperty('stop_sequences')
  })
})
