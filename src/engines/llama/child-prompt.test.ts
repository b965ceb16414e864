import { describe, expect, test } from 'vitest'
import type { Message, Tool } from '../../core/modalities/text.ts'
import { Prompter } from './child-prompt.ts'
import type { PromptRequest } from './child-prompt.ts'

const TOKENS = { bos: '<s>', eos: '</s>' }
/** In the manner of Qwen 3: knows tools, thoughts and a switch for them. */
const QWEN = `{%- if tools %}{{ '<|im_start|>system\\n' }}{% for tool in tools %}{{ tool | tojson }}{% endfor %}{{ '\\nanswer in <tool_call></tool_call><|im_end|>\\n' }}{%- endif %}
{%- for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content }}{% for call in message.tool_calls or [] %}{{ '<tool_call>' + call.function.name + (call.function.arguments | tojson) + '</tool_call>' }}{% endfor %}{{ '<|im_end|>\\n' }}{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{%- if enable_thinking is defined and enable_thinking is false %}{{ '<think>\\n\\n</think>\\n\\n' }}{%- endif %}{%- endif %}`
/** In the manner of Gemma: no system, user and assistant in turns. */
const GEMMA = `{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate') }}{% endif %}{{ '<start_of_turn>' + message['role'] + '\\n' + message['content'] + '<end_of_turn>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}`
/** In the manner of DeepSeek R1: every answer begins with a thought. */
const R1 = `{% for message in messages %}{{ message.content }}{% endfor %}{{ '<｜Assistant｜><think>\\n' }}`

const TOOL: Tool = { type: 'function', function: { name: 'light', parameters: { type: 'object' } } }
const HELLO: readonly Message[] = [{ role: 'user', content: 'hello' }]

const render = (template: string | null, different: Partial<PromptRequest>) =>
  new Prompter(template, TOKENS).render({ messages: HELLO, tools: [], forced: false, effort: null, thinks: true, ...different })

describe('a prompt', () => {
  test('is what the template of the model makes of the messages, with developers as system and parts as text', () => {
    const messages: readonly Message[] = [
      { role: 'developer', content: 'be brief' },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'a' },
          { type: 'text', text: 'b' },
        ],
      },
    ]

    expect(render(QWEN, { messages }).text).toBe(
      '<|im_start|>system\nbe brief<|im_end|>\n<|im_start|>user\na\nb<|im_end|>\n<|im_start|>assistant\n',
    )
    expect(render(null, { messages }).text).toBe(
      '<|im_start|>system\nbe brief<|im_end|>\n<|im_start|>user\na\nb<|im_end|>\n<|im_start|>assistant\n',
    )
  })

  test('tells of tools in the way of the template, and of calls with their arguments as an object', () => {
    const call = { id: 'c', type: 'function', function: { name: 'light', arguments: '{"on":true}' } }
    const { text } = render(QWEN, {
      tools: [TOOL],
      messages: [...HELLO, { role: 'assistant', content: null, tool_calls: [call] }, { role: 'tool', content: 'done' }],
    })

    expect(text).toContain('"name": "light"')
    expect(text).toContain('<tool_call>light{"on": true}</tool_call>')
    expect(text).toContain('<|im_start|>tool\ndone')
  })

  test('tells of tools in words where the template knows none', () => {
    const call = { id: 'c', type: 'function', function: { name: 'light', arguments: '{"on":true}' } }
    const { text } = render(null, {
      tools: [TOOL],
      messages: [...HELLO, { role: 'assistant', tool_calls: [call] }, { role: 'tool', content: 'done' }],
    })

    expect(text).toMatch(/^<\|im_start\|>system\nYou may call[^]*"name":"light"/)
    expect(text).toContain('<tool_call>\n{"name":"light","arguments":{"on":true}}\n</tool_call>')
    expect(text).toContain('<|im_start|>user\n<tool_response>\ndone\n</tool_response>')
  })

  test('says in turns what a template refuses to take otherwise', () => {
    const messages: readonly Message[] = [{ role: 'system', content: 'be brief' }, ...HELLO, { role: 'user', content: 'there' }]

    expect(render(GEMMA, { messages }).text).toBe('<s><start_of_turn>user\nbe brief\n\nhello\n\nthere<end_of_turn>\n<start_of_turn>model\n')
  })

  test('that no template takes is refused without a word of it', () => {
    expect(() => render(`{{ raise_exception(messages[0].content) }}`, {})).toThrow(/^bad_messages$/)
  })

  test('ends inside of a thought, after it, or before it, as the model and the request have it', () => {
    expect(render(QWEN, {})).toMatchObject({ thinking: false, text: expect.stringMatching(/assistant\n$/) })
    expect(render(QWEN, { thinks: false }).text).toMatch(/<think>\n\n<\/think>\n\n$/)
    expect(render(R1, {})).toMatchObject({ thinking: true, text: expect.stringMatching(/<think>\n$/) })
    expect(render(R1, { thinks: false })).toMatchObject({ thinking: false, text: expect.stringMatching(/<think>\n<\/think>\n\n$/) })
  })

  test('ends inside of a call that must be made', () => {
    expect(render(QWEN, { tools: [TOOL], forced: true, thinks: false }).text).toMatch(/<tool_call>\n$/)
    expect(render('tools [TOOL_CALLS]', { tools: [TOOL], forced: true, thinks: false }).text).toMatch(/\[TOOL_CALLS\]\[$/)
  })
})
