/** What a chat request becomes on the wire of the Messages API, and what it has no place for. */
import { describe, expect, it } from 'vitest'
import type { Message, TextRequest, Tool } from '../../core/modalities/text.ts'
import { PLAIN } from '../text-run.fixture.ts'
import { messagesBody, refusedField } from './request.ts'

const body = (change: Partial<TextRequest> = {}, model = 'claude-sonnet-4-5') =>
  JSON.parse(messagesBody(model, { ...PLAIN, stream: false, ...change }))
const refused = (change: Partial<TextRequest>, model = 'claude-sonnet-4-5') => refusedField({ ...PLAIN, ...change }, model)
const tool = (name: string, more: Partial<Tool['function']> = {}): Tool => ({ type: 'function', function: { name, ...more } })
const ask: Message = { role: 'user', content: 'Hello' }
const HELLO = { role: 'user', content: [{ type: 'text', text: 'Hello' }] }

describe('messages', () => {
  it('make the system prompt of system and developer messages, and one turn of neighbours of a role', () => {
    const { system, messages } = body({
      messages: [
        { role: 'system', content: 'Be kind.' },
        ask,
        { role: 'user', content: [{ type: 'text', text: 'Are you there?' }], name: 'ann' },
        { role: 'developer', content: [{ type: 'text', text: 'Be short.' }] },
        { role: 'assistant', content: 'Yes.' },
        {
          role: 'assistant',
          content: [
            { type: 'text', text: 'I am.' },
            { type: 'refusal', refusal: 'No more.' },
            { type: 'text', text: ' \n' },
          ],
        },
        { role: 'assistant', content: null },
        ask,
      ],
    })

    expect(system.map(({ text }: { text: string }) => text)).toEqual(['Be kind.', 'Be short.'])
    expect(messages).toMatchObject([
      { role: 'user', content: [{ text: 'Hello' }, { text: 'Are you there?' }] },
      { role: 'assistant', content: [{ text: 'Yes.' }, { text: 'I am.' }, { text: 'No more.' }] },
      { role: 'user', content: [{ text: 'Hello' }] },
    ])
    expect(messages[1].content).toHaveLength(3)
  })

  it('put tool results of several calls, and what the user says next, into one turn', () => {
    const call = (id: string, text: string) => ({ id, type: 'function', function: { name: 'f', arguments: text } })
    const { messages } = body({
      messages: [
        ask,
        { role: 'assistant', content: '', tool_calls: [call('functions.f:0', '{"a":1}'), call('b', '')] },
        { role: 'tool', tool_call_id: 'functions.f:0', content: [{ type: 'text', text: 'one' }] },
        { role: 'tool', tool_call_id: 'b', content: '' },
        { role: 'user', content: 'And?' },
      ],
    })

    expect(messages.slice(1)).toEqual([
      {
        role: 'assistant',
        content: [
          { type: 'tool_use', id: 'functions_f_0', name: 'f', input: { a: 1 } },
          { type: 'tool_use', id: 'b', name: 'f', input: {} },
        ],
      },
      {
        role: 'user',
        content: [
          { type: 'tool_result', tool_use_id: 'functions_f_0', content: [{ type: 'text', text: 'one' }] },
          { type: 'tool_result', tool_use_id: 'b' },
          { type: 'text', text: 'And?' },
        ],
      },
    ])
  })

  it('pass images on as they came', () => {
    const image = (url: string) => ({ type: 'image_url', image_url: { url, detail: 'high' } })
    const { messages } = body({
      messages: [{ role: 'user', content: [image('data:image/jpg;base64,AAAA+/=='), image('https://example.com/a.png')] }],
    })

    expect(messages[0].content).toEqual([
      { type: 'image', source: { type: 'base64', media_type: 'image/jpeg', data: 'AAAA+/==' } },
      { type: 'image', source: { type: 'url', url: 'https://example.com/a.png' } },
    ])
  })

  it('join the pieces of one thought that a client collected, and leave out what others thought', () => {
    const own = { type: 'reasoning.text', format: 'anthropic-claude-v1' }
    const details = [
      { ...own, index: 0, text: 'One ' },
      { ...own, index: 0, text: 'thought.' },
      { ...own, index: 0, signature: 'sig' },
      { type: 'reasoning.encrypted', data: 'xyz', index: 1 },
      { ...own, index: 2, text: '', signature: 'hidden' },
      { ...own, index: 3, text: 'unsigned' },
      { type: 'reasoning.text', format: 'openai-responses-v1', text: 'foreign', signature: 'x', index: 4 },
      { type: 'reasoning.summary', summary: 'short', index: 5 },
    ]
    const { messages } = body({
      messages: [ask, { role: 'assistant', content: 'Done.', reasoning_details: details, reasoning_content: 'One thought.' }, ask],
    })

    expect(messages[1].content).toEqual([
      { type: 'thinking', thinking: 'One thought.', signature: 'sig' },
      { type: 'redacted_thinking', data: 'xyz' },
      { type: 'thinking', thinking: '', signature: 'hidden' },
      { type: 'text', text: 'Done.' },
    ])
  })

  const image = (url: string): Message => ({ role: 'user', content: [{ type: 'image_url', image_url: { url } }] })
  const calling = (text: string): Message => ({
    role: 'assistant',
    tool_calls: [{ id: 'a', type: 'function', function: { name: 'f', arguments: text } }],
  })
  it.each<[string, Message, string]>([
    ['arguments that are no JSON', calling('{"secret'), 'messages.1.tool_calls.0.function.arguments'],
    ['arguments that are no object', calling('["secret"]'), 'messages.1.tool_calls.0.function.arguments'],
    ['an image of another kind', image('data:image/svg+xml;base64,secret'), 'messages.1.content.0.image_url.url'],
    ['an image that is not in base64', image('data:image/png,secret'), 'messages.1.content.0.image_url.url'],
    ['an image elsewhere', image('file:///secret'), 'messages.1.content.0.image_url.url'],
    ['a tool result of no call', { role: 'tool', content: 'secret' }, 'messages.1.tool_call_id'],
    [
      'a breakpoint of another life',
      { role: 'user', content: [{ type: 'text', text: 'a', cache_control: { type: 'ephemeral', ttl: 'secret' } }] },
      'messages.1.content.0.cache_control.ttl',
    ],
    ['an unknown part', { role: 'assistant', content: [{ type: 'secret' }] }, 'messages.1.content.0.type'],
  ])('are refused by name for %s, without repeating it', (_, message, param) => {
    expect(() => body({ messages: [ask, message] })).toThrow(expect.objectContaining({ code: 'INVALID_REQUEST', param }))
    expect(() => body({ messages: [ask, message] })).not.toThrow('secret')
  })

  it('are counted from the caller’s own where the server put one in front', () => {
    const own: Message = { role: 'system', content: 'Be brief.' }

    expect(() => body({ messages: [own, ask, calling('{')], ownMessages: 1 })).toThrow(
      expect.objectContaining({ param: 'messages.1.tool_calls.0.function.arguments' }),
    )
  })

  it('are refused where there are none but of the system', () => {
    expect(() => body({ messages: [{ role: 'system', content: 'Be kind.' }] })).toThrow(expect.objectContaining({ param: 'messages' }))
  })
})

describe('the cache', () => {
  const control = { type: 'ephemeral' }

  it('breaks after the system prompt and the last turn but one of the user, where the caller says nothing', () => {
    const { system, messages } = body({
      messages: [
        { role: 'system', content: 'Be kind.' },
        ask,
        { role: 'assistant', content: 'Hi.' },
        ask,
        { role: 'assistant', content: 'Hi.' },
        ask,
      ],
    })

    expect(system).toEqual([{ type: 'text', text: 'Be kind.', cache_control: control }])
    expect(messages[2].content[0].cache_control).toEqual(control)
    expect(JSON.stringify(messages).split('cache_control')).toHaveLength(2)
  })

  it('breaks after the tools where there is no system prompt, and for an hour where the retention is longer', () => {
    const { tools } = body({ tools: [tool('a'), tool('b')], cacheRetention: '24h', cacheKey: 'ignored' })

    expect(tools.map((one: Record<string, unknown>) => one['cache_control'])).toEqual([undefined, { ...control, ttl: '1h' }])
    expect(body().messages).toEqual([HELLO].map(() => ({ role: 'user', content: [{ type: 'text', text: PLAIN.messages[0]?.content }] })))
  })

  it('breaks where the caller says, and only there: at parts, messages and tools, four times at most', () => {
    const marked: Message = {
      role: 'user',
      content: [
        { type: 'text', text: 'a', cache_control: { ...control, ttl: '1h' } },
        { type: 'text', text: 'b' },
      ],
    }
    const own = body({
      messages: [{ role: 'system', content: 'Be kind.', cache_control: control }, marked, { role: 'assistant', content: 'c' }, ask],
      tools: [{ ...tool('a'), cache_control: control }],
    })

    expect(own.system[0].cache_control).toEqual(control)
    expect(own.tools[0].cache_control).toEqual(control)
    expect(own.messages[0].content).toEqual([
      { type: 'text', text: 'a', cache_control: { ...control, ttl: '1h' } },
      { type: 'text', text: 'b' },
    ])
    expect(JSON.stringify(own).split('cache_control')).toHaveLength(4)
    expect(() => body({ messages: Array.from({ length: 5 }, () => marked) })).toThrow(expect.objectContaining({ param: 'messages' }))
  })
})

describe('tools', () => {
  it('carry their schema, and always one of an object', () => {
    const parameters = { properties: { city: { type: 'string' } } }

    expect(body({ tools: [tool('a'), tool('b', { description: 'B', parameters, strict: false })] }).tools).toMatchObject([
      { name: 'a', input_schema: { type: 'object', properties: {} } },
      { name: 'b', description: 'B', input_schema: { type: 'object', ...parameters } },
    ])
  })

  it('are strict where model and schema can be', () => {
    const strict = tool('a', {
      strict: true,
      parameters: { type: 'object', properties: { n: { type: 'integer', minimum: 1 } }, required: ['n'] },
    })
    const open = tool('a', { strict: true, parameters: { type: 'object', additionalProperties: { type: 'string' } } })

    expect(body({ tools: [strict] }).tools[0]).toMatchObject({
      strict: true,
      input_schema: { additionalProperties: false, properties: { n: { type: 'integer', description: 'minimum: 1' } } },
    })
    expect(body({ tools: [strict] }, 'claude-sonnet-4-0').tools[0]).not.toHaveProperty('strict')
    expect(body({ tools: [open] }).tools[0]).not.toHaveProperty('strict')
  })

  it.each<[TextRequest['toolChoice'], boolean | null, unknown]>([
    [null, null, undefined],
    [null, true, undefined],
    [null, false, { type: 'auto', disable_parallel_tool_use: true }],
    ['auto', null, { type: 'auto' }],
    ['none', false, { type: 'none' }],
    ['required', null, { type: 'any' }],
    ['required', false, { type: 'any', disable_parallel_tool_use: true }],
    [{ type: 'function', function: { name: 'a' } }, null, { type: 'tool', name: 'a' }],
  ])('are chosen: %j with parallel %j is %j', (toolChoice, parallelToolCalls, expected) => {
    expect(body({ tools: [tool('a')], toolChoice, parallelToolCalls }).tool_choice).toEqual(expected)
  })
})

describe('formats', () => {
  it('close the schema and tell what cannot be enforced', () => {
    const schema = {
      $schema: 'x',
      type: 'object',
      description: 'A person',
      properties: {
        age: { type: 'integer', minimum: 0, maximum: 150 },
        mail: { oneOf: [{ type: 'string', format: 'email' }, { type: 'null' }] },
        tags: { type: 'array', items: { type: 'string', minLength: 2, format: 'slug' }, minItems: 2 },
        next: { $ref: '#/$defs/next', description: 'dropped' },
      },
      required: ['age'],
      $defs: { next: { type: ['object', 'null'], properties: { a: { const: 1 } } } },
    }

    expect(body({ format: { type: 'json_schema', name: 'person', strict: true, schema } }).output_config).toEqual({
      format: {
        type: 'json_schema',
        schema: {
          type: 'object',
          description: 'A person',
          properties: {
            age: { type: 'integer', description: 'minimum: 0; maximum: 150' },
            mail: { anyOf: [{ type: 'string', format: 'email' }, { type: 'null' }] },
            tags: { type: 'array', items: { type: 'string', description: 'minLength: 2; format: "slug"' }, description: 'minItems: 2' },
            next: { $ref: '#/$defs/next' },
          },
          required: ['age'],
          $defs: { next: { type: ['object', 'null'], properties: { a: { const: 1 } }, additionalProperties: false } },
          additionalProperties: false,
        },
      },
    })
  })

  it('refuse a schema of free-form objects, and ask in words for json_object', () => {
    const schema = { type: 'object', properties: { map: { type: 'object', additionalProperties: { type: 'string' } } } }

    expect(() => body({ format: { type: 'json_schema', name: 'x', strict: false, schema } })).toThrow(
      expect.objectContaining({ param: 'response_format' }),
    )
    expect(body({ format: { type: 'json_object' } })).toMatchObject({ system: [{ text: expect.stringContaining('JSON object') }] })
    expect(body({ format: { type: 'json_object' } })).not.toHaveProperty('output_config')
  })
})

describe('refused by name', () => {
  const sound: Message = { role: 'user', content: [{ type: 'input_audio', input_audio: {} }] }
  const film: Message = { role: 'user', content: [{ type: 'video_url', video_url: {} }] }
  const forced = { tools: [tool('a')], toolChoice: 'required' } as const
  const format = { type: 'json_schema', name: 'x', strict: true, schema: {} } as const

  it.each<[string, Partial<TextRequest>, string?]>([
    ['n', { choices: 2 }],
    ['logprobs', { logprobs: 0 }],
    ['seed', { sampling: { seed: 1 } }],
    ['frequency_penalty', { sampling: { frequency_penalty: 0.5 } }],
    ['presence_penalty', { sampling: { presence_penalty: -1 } }],
    ['repetition_penalty', { sampling: { repetition_penalty: 1.1 } }],
    ['min_p', { sampling: { min_p: 0.1 } }],
    ['min_temp', { sampling: { min_temp: 0 } }],
    ['max_temp', { sampling: { max_temp: 1 } }],
    ['stop_token_ids', { sampling: { stop_token_ids: [1] } }],
    ['stop', { stop: [' \n'] }],
    ['verbosity', { verbosity: 'low' }],
    ['messages', { messages: [sound] }],
    ['messages', { messages: [film] }],
    ['messages', { messages: [ask, { role: 'assistant', content: 'The' }] }, 'claude-opus-4-6'],
    ['response_format', { format }, 'claude-sonnet-4-0'],
    ['reasoning_effort', { effort: 'low' }, 'claude-3-5-sonnet-20241022'],
    ['reasoning_effort', { effort: 'none' }, 'claude-opus-5-5'],
    ['reasoning_effort', { effort: 'none' }, 'claude-fable-5-1'],
    ['tool_choice', forced, 'claude-opus-5-5'],
    ['tool_choice', forced, 'claude-fable-5-1'],
  ])('%s: %j', (field, change, model) => {
    expect(refused(change, model)).toBe(field)
  })

  it('is nothing that means nothing, and nothing that has a mapping', () => {
    const neutral = { frequency_penalty: 0, presence_penalty: 0, repetition_penalty: 1, min_p: 0, temperature: 2, top_p: 0.1, top_k: 5 }

    expect(refused({ sampling: neutral, verbosity: 'medium', cacheKey: 'k', format, effort: 'xhigh', ...forced })).toBeNull()
    expect(refused({ sampling: neutral, effort: 'none', ...forced }, 'claude-sonnet-5')).toBeNull()
    expect(refused({ messages: [ask, { role: 'assistant', content: 'The' }] })).toBeNull()
    expect(refused({ ...forced, toolChoice: 'auto' }, 'claude-opus-5-5')).toBeNull()
  })
})
