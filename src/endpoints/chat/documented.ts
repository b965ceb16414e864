/** What the documentation says of the chat endpoint: its description, its example and the schema of its answer. */
import { z } from 'zod'
import type { ErrorCode } from '../../core/errors.ts'
import type { Endpoint } from '../endpoint.ts'
import type { ChatBody } from './schema.ts'

const usage = z.object({
  prompt_tokens: z.int(),
  completion_tokens: z.int(),
  total_tokens: z.int(),
  prompt_tokens_details: z.object({ cached_tokens: z.int(), cache_creation_input_tokens: z.int() }),
  completion_tokens_details: z.object({ reasoning_tokens: z.int() }),
})

const cost = z.object({ usd: z.number().describe('What was charged, in US dollars.'), diem: z.number() })

const answer = z.object({
  id: z.string().describe('`chatcmpl-` and the request id.'),
  object: z.literal('chat.completion'),
  created: z.int().describe('Unix seconds.'),
  model: z.string().describe('The id of the model that answered, whatever name it was asked by.'),
  choices: z.array(
    z.object({
      index: z.int(),
      message: z.looseObject({
        role: z.literal('assistant'),
        content: z.string().nullable(),
        reasoning_content: z.string().nullish(),
        tool_calls: z.array(z.looseObject({})).nullish(),
      }),
      logprobs: z.unknown(),
      finish_reason: z.enum(['stop', 'length', 'tool_calls', 'content_filter']),
      stop_reason: z.null(),
    }),
  ),
  usage,
  cost,
  venice_parameters: z.record(z.string(), z.unknown()).describe('The parameters as they were resolved.'),
})

export const chatAnswer: Endpoint['answers'] = {
  'application/json': { description: 'The whole answer.', schema: answer },
  'text/event-stream': {
    description:
      'With `stream: true`: `data:` events, each a `chat.completion.chunk`; the usage chunk where `stream_options.include_usage` asks for it; then `data: [DONE]`. ' +
      'Comments (`: ping`) keep a silent connection open. A stream that cannot go on ends with a `data:` event that has an `error` and no `[DONE]`.',
  },
}

type Example = { readonly description: string; readonly body: ChatBody; readonly answer: unknown }

export const chatErrors: readonly ErrorCode[] = ['MODEL_NOT_FOUND', 'MODEL_SUNSET', 'TOO_MANY_TOKENS', 'CONTENT_POLICY_VIOLATION']

export const chatExample: Example = {
  description: [
    'The OpenAI chat with the Venice extensions: any OpenAI client works unchanged.',
    '',
    '- `model` may be an id, a trait (`default`, `fastest`, …) or a compatibility name (`gpt-4o`), each with a feature suffix: `default:strip_thinking_response=true`.',
    '- A field that the model or its engine cannot honour is a 400 that names it; a field that is not listed here is a 400, too.',
    '- Images and audio pass through as they are; they are never opened, kept or logged.',
    '- A caller that hangs up cancels the work at the engine and pays for what it got.',
    '- Web search, scraping, characters, file parts and end-to-end encryption are refused by name on this version.',
  ].join('\n'),
  body: { model: 'default', messages: [{ role: 'user', content: 'Say hello.' }] },
  answer: {
    id: 'chatcmpl-8d1f0c7e5a3b4c2d9e6f7a8b9c0d1e2f',
    object: 'chat.completion',
    created: 1_764_000_000,
    model: 'venice-uncensored',
    choices: [{ index: 0, message: { role: 'assistant', content: 'Hello!' }, logprobs: null, finish_reason: 'stop', stop_reason: null }],
    usage: {
      prompt_tokens: 12,
      completion_tokens: 3,
      total_tokens: 15,
      prompt_tokens_details: { cached_tokens: 0, cache_creation_input_tokens: 0 },
      completion_tokens_details: { reasoning_tokens: 0 },
    },
    cost: { usd: 0.0000051, diem: 0 },
    venice_parameters: { include_venice_system_prompt: true, enable_web_search: 'off' },
  },
}
