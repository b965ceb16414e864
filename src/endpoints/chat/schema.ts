/** The wire schema of a chat request: strict at the top, so that a misspelt field is a 400 and not a surprise. */
import { z } from 'zod'
import { EFFORTS } from '../../core/modalities/text.ts'
import { sandboxOrders } from '../../engines/sandbox/orders.ts'

/** A limit on everything: far above any use, far below what would hurt. */
const MAX_MESSAGES = 10_000
const MAX_TOOLS = 1_024
const MAX_CHOICES = 16

const cacheControl = z.looseObject({ type: z.literal('ephemeral'), ttl: z.string().optional() }).nullish()

const textPart = z.looseObject({ type: z.literal('text'), text: z.string().min(1), cache_control: cacheControl })
const imagePart = z.looseObject({
  type: z.literal('image_url'),
  image_url: z.looseObject({ url: z.string().min(1) }),
  cache_control: cacheControl,
})
const audioPart = z.looseObject({
  type: z.literal('input_audio'),
  input_audio: z.looseObject({
    data: z.string().min(1),
    format: z.enum(['wav', 'mp3', 'aiff', 'aac', 'ogg', 'flac', 'm4a', 'pcm16', 'pcm24']).default('wav'),
  }),
  cache_control: cacheControl,
})
const videoPart = z.looseObject({
  type: z.literal('video_url'),
  video_url: z.looseObject({ url: z.string().min(1) }),
  cache_control: cacheControl,
})
const filePart = z.looseObject({
  type: z.literal('file'),
  file: z.looseObject({ file_data: z.string().optional(), filename: z.string().optional() }),
})

const userPart = z.discriminatedUnion('type', [textPart, imagePart, audioPart, videoPart, filePart])
/** What an assistant said before may carry its refusals and vendors' parts; they go back as they came. */
const assistantPart = z.looseObject({ type: z.string() })

const toolCall = z.looseObject({
  id: z.string(),
  type: z.literal('function').default('function'),
  function: z.looseObject({ name: z.string(), arguments: z.string() }),
})

const name = z.string().nullish()
const message = z.discriminatedUnion('role', [
  z.looseObject({ role: z.literal('user'), content: z.union([z.string(), z.array(userPart).min(1)]), name }),
  z.looseObject({
    role: z.literal('assistant'),
    content: z.union([z.string(), z.array(assistantPart)]).nullish(),
    name,
    tool_calls: z.array(toolCall).nullish(),
    reasoning_content: z.string().nullish(),
    reasoning_details: z.array(z.looseObject({ type: z.string() })).nullish(),
  }),
  z.looseObject({ role: z.literal('tool'), content: z.union([z.string(), z.array(textPart)]), tool_call_id: z.string(), name }),
  z.looseObject({ role: z.literal('system'), content: z.union([z.string(), z.array(textPart)]), name }),
  z.looseObject({ role: z.literal('developer'), content: z.union([z.string(), z.array(textPart)]), name }),
])

const functionTool = z.looseObject({
  type: z.literal('function').default('function'),
  function: z.looseObject({
    name: z.string().min(1).max(256),
    description: z.string().optional(),
    parameters: z.record(z.string(), z.unknown()).optional(),
    strict: z.boolean().nullish(),
  }),
})
/** Built-in tools by their bare type; refused by name until their feature is there. */
const builtInTool = z.looseObject({ type: z.enum(['web_search', 'x_search']) })

const format = z.discriminatedUnion('type', [
  z.object({ type: z.literal('text') }),
  z.object({ type: z.literal('json_object') }),
  z.object({ type: z.literal('json_schema'), json_schema: z.record(z.string(), z.unknown()) }),
])

const verbosity = z.enum(['low', 'medium', 'high', 'auto']).nullish()
const effort = z.enum(EFFORTS).nullish()

export const veniceParameters = z.object({
  character_slug: z.string().nullish(),
  strip_thinking_response: z.boolean().nullish(),
  disable_thinking: z.boolean().nullish(),
  enable_e2ee: z.boolean().nullish(),
  enable_web_search: z.enum(['auto', 'off', 'on']).nullish(),
  enable_web_scraping: z.boolean().nullish(),
  enable_web_citations: z.boolean().nullish(),
  include_search_results_in_stream: z.boolean().nullish(),
  return_search_results_as_documents: z.boolean().nullish(),
  include_venice_system_prompt: z.boolean().nullish(),
  enable_x_search: z.boolean().nullish(),
})

export const chatBody = z.strictObject({
  model: z
    .string()
    .min(1)
    .max(512)
    .describe('A model id, a trait such as `default`, or a compatibility name; with a feature suffix if you like.'),
  messages: z.array(message).min(1).max(MAX_MESSAGES),
  stream: z.boolean().nullish().describe('Send the answer as server-sent events.'),
  stream_options: z.looseObject({ include_usage: z.boolean().nullish() }).nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  top_k: z.int().min(0).nullish(),
  min_p: z.number().min(0).max(1).nullish(),
  min_temp: z.number().min(0).max(2).nullish(),
  max_temp: z.number().min(0).max(2).nullish(),
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  presence_penalty: z.number().min(-2).max(2).nullish(),
  repetition_penalty: z.number().min(0).nullish(),
  n: z.int().min(1).max(MAX_CHOICES).nullish().describe('How many answers; all of them are billed.'),
  seed: z.int().nullish(),
  stop: z.union([z.string(), z.array(z.string()).max(4)]).nullish(),
  stop_token_ids: z.array(z.int()).nullish(),
  max_tokens: z.int().nullish().describe('Older name of `max_completion_tokens`; 0 or less is ignored.'),
  max_completion_tokens: z.int().nullish().describe('The most tokens of the answer, reasoning included.'),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.int().min(0).max(20).nullish(),
  response_format: format.nullish().describe('`json_schema` takes `{name, strict, schema}` or the bare schema.'),
  tools: z
    .array(z.union([functionTool, builtInTool]))
    .max(MAX_TOOLS)
    .nullish(),
  tool_choice: z
    .union([
      z.enum(['auto', 'none', 'required']),
      z.looseObject({ type: z.literal('function'), function: z.looseObject({ name: z.string() }) }),
    ])
    .nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  reasoning: z
    .looseObject({ effort, summary: z.enum(['auto', 'concise', 'detailed']).nullish(), enabled: z.boolean().nullish() })
    .nullish(),
  reasoning_effort: effort.describe('Wins over `reasoning.effort`; `none` turns thinking off.'),
  prompt_cache_key: z.string().max(512).nullish().describe('Requests with the same key go where their beginning may be cached.'),
  prompt_cache_retention: z.enum(['default', 'extended', '24h']).nullish(),
  verbosity,
  text: z.looseObject({ verbosity }).nullish(),
  venice_parameters: veniceParameters.nullish(),
  sandbox: sandboxOrders.nullish(),
  user: z.string().nullish().describe('Accepted and dropped: no engine learns who asks.'),
  safety_identifier: z.string().nullish().describe('Accepted and dropped, like `user`.'),
  store: z.boolean().nullish().describe('Accepted and dropped: nothing is stored.'),
  metadata: z.record(z.string(), z.unknown()).nullish().describe('Accepted and dropped.'),
  include: z.array(z.string()).nullish().describe('Accepted and dropped.'),
  service_tier: z.string().nullish().describe('Accepted and dropped.'),
  modalities: z.array(z.literal('text')).nullish().describe('Only `text` can be asked for.'),
  fallbacks: z
    .array(z.looseObject({ model: z.string() }))
    .max(10)
    .nullish()
    .describe('Accepted and dropped: fallbacks are the operator’s, by deployments.'),
})

export type ChatBody = z.infer<typeof chatBody>
