/** The sandbox's chat, field by field: what a client can count on when it is tested against it. */
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { textOf } from '../../core/modalities/text.ts'
import type { Choice, Delta, Message, TextPart, TextRequest, Tool } from '../../core/modalities/text.ts'
import { plain, task, user } from './text.fixture.ts'
import { sandboxText } from './text.ts'
import { countTokens } from './tokens.ts'

const weather: Tool = {
  type: 'function',
  function: {
    name: 'get_weather',
    parameters: {
      type: 'object',
      properties: { city: { type: 'string' }, days: { type: 'integer', minimum: 1 } },
      required: ['city', 'days'],
    },
  },
}
const noArguments: Tool = { type: 'function', function: { name: 'now' } }
const tools = [weather, noArguments, { ...noArguments, function: { name: 'later' } }, { ...noArguments, function: { name: 'fourth' } }]

async function stream(change: Partial<TextRequest>, choice = 0) {
  const parts: TextPart[] = []
  const finish = await sandboxText.run(task({ ...plain, ...change }), (more) => {
    parts.push(...more)
  })
  const mine = parts.filter((part) => part.type !== 'whole' && part.choice === choice)
  const deltas = mine.flatMap((part) =>
    part.type === 'delta' ? [part.delta] : part.type === 'text' ? [{ content: textOf(part.json) }] : [],
  )
  const ends = mine.flatMap((part) => (part.type === 'end' ? [part.reason] : []))
  const calls: { id?: string | undefined; name: string; text: string }[] = []
  for (const { index, id, function: said } of deltas.flatMap((delta) => ('tool_calls' in delta ? (delta.tool_calls ?? []) : []))) {
    const call = (calls[index] ??= { id, name: '', text: '' })
    call.name += said?.name ?? ''
    call.text += said?.arguments ?? ''
  }
  const join = (field: 'content' | 'reasoning_content'): string => deltas.map((delta: Delta) => delta[field] ?? '').join('')
  return { parts, finish, ends, calls, content: join('content'), reasoning: join('reasoning_content') }
}

const contents = (of: readonly Choice[]): Set<unknown> => new Set(of.map(({ message }) => message['content']))

async function whole(change: Partial<TextRequest>) {
  const parts: TextPart[] = []
  const finish = await sandboxText.run(task({ ...plain, stream: false, ...change }), (more) => {
    parts.push(...more)
  })
  const [only] = parts
  if (parts.length !== 1 || only?.type !== 'whole') throw new Error('expected one whole part')
  return { finish, choices: only.choices, first: only.choices[0] as Choice }
}

describe('the answer', () => {
  it('says that it is the sandbox, counts the words and quotes how the last message begins', async () => {
    const { content, ends, parts } = await stream({})

    expect(content).toMatch(
      /^This is Rialto's sandbox: no model is behind it\. You wrote 9 words; the last message begins "What is a heron/,
    )
    expect(ends).toEqual(['stop'])
    expect(parts.filter(({ type }) => type === 'text').length).toBe(countTokens(content))
  })

  it('is the same streamed and whole, and the same every time', async () => {
    const change = { effort: 'high', choices: 2 } as const
    const { content, reasoning, finish } = await stream(change, 1)
    const once = await whole(change)

    expect(once.choices[1]?.message).toEqual({ role: 'assistant', content, reasoning_content: reasoning })
    expect(once.finish).toEqual(finish)
    expect(await whole(change)).toEqual(once)
  })

  it('changes with the seed, and between choices unless the temperature is 0', async () => {
    const bySeed = await Promise.all([1, 2, 3, 4, 5, 6].map(async (seed) => (await stream({ sampling: { seed } })).content))

    expect(new Set(bySeed).size).toBeGreaterThan(1)
    expect(contents((await whole({ choices: 8 })).choices).size).toBeGreaterThan(1)
    expect(contents((await whole({ choices: 8, sampling: { temperature: 0 } })).choices).size).toBe(1)
  })

  it('interleaves its choices, each with one end', async () => {
    const { parts } = await stream({ choices: 3 })

    expect(parts.slice(0, 6).map((part) => part.type === 'text' && part.choice)).toEqual([0, 1, 2, 0, 1, 2])
    expect(parts.flatMap((part) => (part.type === 'end' ? [part.choice] : [])).toSorted((a, b) => a - b)).toEqual([0, 1, 2])
  })

  it('counts media parts by kind, never looking inside', async () => {
    const image = { type: 'image_url', image_url: { url: 'data:image/png;base64,SECRET' } }
    const { content } = await stream({
      messages: [user([{ type: 'text', text: 'Look' }, image, image, { type: 'input_audio', input_audio: {} }])],
    })

    expect(content).toContain('With it came 2 image_url parts and 1 input_audio part.')
    expect(content).not.toContain('SECRET')
  })

  it('never cuts a character in two', async () => {
    const { content, parts } = await stream({ messages: [user('🦩'.repeat(100))] })

    expect(content).toContain('🦩')
    expect(content.isWellFormed()).toBe(true)
    expect(parts.every((part) => part.type !== 'text' || textOf(part.json).isWellFormed())).toBe(true)
  })
})

describe('limits of the answer', () => {
  it('ends exactly before the first stop sequence', async () => {
    const { content, ends } = await stream({ stop: ['behind', 'no mod'] })

    expect(content).toBe("This is Rialto's sandbox: ")
    expect(ends).toEqual(['stop'])
  })

  it('ends after max tokens with length, reasoning included', async () => {
    const all = await stream({ effort: 'low' })
    const thoughts = all.finish.reasoningTokens ?? 0
    const cut = await stream({ effort: 'low', maxTokens: thoughts + 3 })
    const thinking = await stream({ effort: 'low', maxTokens: 2 })

    expect(cut.finish).toMatchObject({ usage: { outputToken: thoughts + 3 }, reasoningTokens: thoughts })
    expect(cut.reasoning).toBe(all.reasoning)
    expect(all.content.startsWith(cut.content)).toBe(true)
    expect(countTokens(cut.content)).toBe(3)
    expect(cut.ends).toEqual(['length'])
    expect(thinking).toMatchObject({ content: '', ends: ['length'], finish: { usage: { outputToken: 2 }, reasoningTokens: 2 } })
  })

  it('stops by itself where max tokens are just enough', async () => {
    const all = await stream({})

    expect((await stream({ maxTokens: all.finish.usage?.outputToken ?? 0 })).ends).toEqual(['stop'])
  })

  it('cuts a call short where the tokens run out', async () => {
    const { calls, ends, finish } = await stream({ tools, maxTokens: 1 })

    expect(calls).toEqual([expect.objectContaining({ name: 'get_weather', text: '{"city":"s' })])
    expect(ends).toEqual(['length'])
    expect(finish.usage?.outputToken).toBe(1)
  })
})

describe('tools', () => {
  it('calls up to three at once, call after call, each with its arguments in pieces', async () => {
    const { calls, ends, parts, content } = await stream({ tools })
    const order = parts.flatMap((part) => (part.type === 'delta' ? (part.delta.tool_calls ?? []) : []))

    expect(calls.map(({ name, text }) => [name, JSON.parse(text)])).toEqual([
      ['get_weather', { city: 'sandbox', days: 1 }],
      ['now', {}],
      ['later', {}],
    ])
    expect(new Set(calls.map(({ id }) => id)).size).toBe(3)
    expect(order.map(({ index }) => index)).toEqual(order.map(({ index }) => index).toSorted((a, b) => a - b))
    expect(order.filter(({ index }) => index === 0).length).toBeGreaterThan(3)
    expect(order.filter(({ id, type }) => id !== undefined && type === 'function').length).toBe(3)
    expect(ends).toEqual(['tool_calls'])
    expect(content).toBe('')
  })

  it('calls one where parallel calls are off, and the named one where one is named', async () => {
    const named = { type: 'function', function: { name: 'later' } } as const

    expect((await stream({ tools, parallelToolCalls: false })).calls.map(({ name }) => name)).toEqual(['get_weather'])
    expect((await stream({ tools, toolChoice: named })).calls.map(({ name }) => name)).toEqual(['later'])
  })

  it('calls none where none is to be called', async () => {
    expect(await stream({ tools, toolChoice: 'none' })).toMatchObject({ calls: [], ends: ['stop'] })
  })

  it('answers in text once the results are there, and mentions them; unless a call is required', async () => {
    const first = await whole({ tools, parallelToolCalls: false })
    const call = (first.first.message['tool_calls'] as { id: string }[])[0]
    const messages: Message[] = [
      ...plain.messages,
      first.first.message as Message,
      { role: 'tool', tool_call_id: call?.id, content: '21 degrees' },
    ]
    const second = await stream({ tools, messages })
    const forced = await stream({ tools, messages, toolChoice: 'required' })

    expect(second.content).toContain('The tool get_weather answered 2 words, beginning "21 degrees".')
    expect(second.ends).toEqual(['stop'])
    expect(forced.calls[0]?.name).toBe('get_weather')
    expect(forced.calls[0]?.id).not.toBe(call?.id)
  })

  it('names the tool whose parameters nothing can fit', async () => {
    const impossible = { type: 'function', function: { name: 'x', parameters: { type: 'string' } } } as const

    await expect(stream({ tools: [impossible] })).rejects.toMatchObject({ code: 'INVALID_REQUEST', param: 'tools.0.function.parameters' })
    expect(sandboxText.refuses({ ...plain, toolChoice: 'required' }, '')).toBe('tool_choice')
    expect(sandboxText.refuses({ ...plain, tools, toolChoice: { type: 'function', function: { name: 'other' } } }, '')).toBe('tool_choice')
    expect(sandboxText.refuses({ ...plain, tools, toolChoice: 'required' }, '')).toBeNull()
  })
})

describe('formats', () => {
  it('answers a schema with an instance of it', async () => {
    const schema = {
      type: 'object',
      properties: { name: { type: 'string' }, age: { type: 'integer' } },
      required: ['name', 'age'],
      additionalProperties: false,
    }
    const { content, ends } = await stream({ format: { type: 'json_schema', name: 'person', strict: true, schema } })

    expect(z.strictObject({ name: z.string(), age: z.int() }).parse(JSON.parse(content))).toBeTruthy()
    expect(ends).toEqual(['stop'])
  })

  it('answers json_object with an object, and a schema that nothing fits with a 400', async () => {
    const { content } = await stream({ format: { type: 'json_object' } })
    const impossible = {
      type: 'json_schema',
      name: 'x',
      strict: undefined,
      schema: { type: 'object', required: ['a'], properties: { a: false } },
    } as const

    expect(JSON.parse(content)).toMatchObject({ sandbox: true })
    await expect(stream({ format: impossible })).rejects.toMatchObject({ status: 400, param: 'response_format' })
  })
})

describe('reasoning and log probabilities', () => {
  it('thinks before it speaks when told to, the longer the more', async () => {
    const { parts, reasoning, finish } = await stream({ effort: 'max' })
    const kinds = parts.map(({ type }) => type)

    expect(kinds.lastIndexOf('delta')).toBeLessThan(kinds.indexOf('text'))
    expect(countTokens(reasoning)).toBe(finish.reasoningTokens)
    expect(finish.reasoningTokens).toBeGreaterThan((await stream({ effort: 'minimal' })).finish.reasoningTokens ?? 0)
    expect((await stream({ effort: 'none' })).finish.reasoningTokens).toBeUndefined()
  })

  it('gives every token of the content its log probability, in the shape of the OpenAI API', async () => {
    const shape = z.strictObject({
      content: z.array(
        z.object({
          token: z.string(),
          logprob: z.number().max(0),
          bytes: z.array(z.int()),
          top_logprobs: z.array(z.object({ token: z.string(), logprob: z.number().max(0) })).length(2),
        }),
      ),
      refusal: z.null(),
    })
    const { parts, content } = await stream({ logprobs: 2 })
    const once = await whole({ logprobs: 2 })
    const streamed = parts.flatMap((part) => (part.type === 'delta' ? shape.parse(part.logprobs).content : []))

    expect(streamed.map(({ token }) => token).join('')).toBe(content)
    expect(streamed.every(({ token, bytes }) => Buffer.from(bytes).toString() === token)).toBe(true)
    expect(streamed).toEqual(shape.parse(once.first.logprobs).content)
    expect(sandboxText.refuses({ ...plain, logprobs: 21 }, '')).toBe('top_logprobs')
  })
})

describe('usage', () => {
  it('is exact by its own tokens, for all choices', async () => {
    const { finish } = await stream({ choices: 3, effort: 'low', sampling: { temperature: 0 } })
    const one = await stream({ effort: 'low', sampling: { temperature: 0 } })

    expect(one.finish.usage?.outputToken).toBe(countTokens(one.content) + countTokens(one.reasoning))
    expect(finish.usage?.outputToken).toBe((one.finish.usage?.outputToken ?? 0) * 3)
    expect(finish.usage?.inputToken).toBe(1 + countTokens('What is a heron, and where does it live?'))
    expect(finish.usage?.cacheReadToken ?? 0).toBe(0)
  })
})
