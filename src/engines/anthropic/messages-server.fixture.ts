/** A server that speaks the Messages API well enough for every case of the conformance suite, and golden streams. */
import type { ServerResponse } from 'node:http'
import { type Answering, startUpstream } from '../upstream.fixture.ts'
import type { Upstream } from '../upstream.fixture.ts'

export const MODEL = 'claude-sonnet-4-5'
const WORDS = ['A ', 'heron ', 'is ', 'a ', 'bird ', 'that ', 'stands ', 'in ', 'water.']

type Asked = {
  readonly model: string
  readonly stream?: boolean
  readonly max_tokens: number
  readonly stop_sequences?: readonly string[]
  readonly tools?: readonly { readonly name: string }[]
  readonly tool_choice?: { readonly type: string }
  readonly output_config?: { readonly format?: unknown }
}

/** Asked for the model `endless` it begins to answer and never ends. */
export const startMessagesServer = (): Promise<Upstream> =>
  startUpstream(({ asked, response }: Answering) => {
    if (asked.url.startsWith('/v1/models')) {
      return sendJson(response, 200, { data: [{ type: 'model', id: MODEL, max_input_tokens: 200_000 }], has_more: false })
    }
    // The engine under test wrote it.
    const request = JSON.parse(asked.body) as Asked
    const { content, reason, output } = answerTo(request)
    const usage = { input_tokens: 12, cache_creation_input_tokens: 0, cache_read_input_tokens: 0, output_tokens: output }
    if (!request.stream) return sendJson(response, 200, { type: 'message', role: 'assistant', content, stop_reason: reason, usage })
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' })
    const events = eventsOf(content, reason, usage)
    if (request.model === 'endless') response.write(sse(events.slice(0, 4)))
    else response.end(sse(events))
  })

export function sendJson(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers })
  response.end(JSON.stringify(body))
}

export const sse = (events: readonly { readonly type: string }[]): string =>
  events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join('')

type Block = { readonly type: string; readonly [field: string]: unknown }

function answerTo(request: Asked): { content: Block[]; reason: string; output: number } {
  const forced = request.tool_choice?.type === 'any' || request.tool_choice?.type === 'tool'
  if (forced) {
    const content = (request.tools ?? []).map(({ name }, at) => ({ type: 'tool_use', id: `toolu_${at}`, name, input: { city: 'Bern' } }))
    return { content, reason: 'tool_use', output: 20 }
  }
  if (request.output_config?.format)
    return { content: [{ type: 'text', text: '{"city":"Bern","people":134591}' }], reason: 'end_turn', output: 9 }
  const words = WORDS.slice(0, request.max_tokens)
  const text = words.join('')
  const at = Math.min(...(request.stop_sequences ?? []).map((stop) => text.indexOf(stop)).filter((found) => found !== -1))
  if (Number.isFinite(at)) return { content: [{ type: 'text', text: text.slice(0, at) }], reason: 'stop_sequence', output: 3 }
  return { content: [{ type: 'text', text }], reason: words.length < WORDS.length ? 'max_tokens' : 'end_turn', output: words.length }
}

function eventsOf(content: readonly Block[], reason: string, usage: Readonly<Record<string, number>>): Block[] {
  const blocks = content.flatMap((block, index) => [
    { type: 'content_block_start', index, content_block: block.type === 'text' ? { type: 'text', text: '' } : { ...block, input: {} } },
    ...piecesOf(block).map((delta) => ({ type: 'content_block_delta', index, delta })),
    { type: 'content_block_stop', index },
  ])
  return [
    {
      type: 'message_start',
      message: { id: 'msg_1', type: 'message', role: 'assistant', content: [], usage: { ...usage, output_tokens: 1 } },
    },
    { type: 'ping' },
    ...blocks,
    { type: 'message_delta', delta: { stop_reason: reason, stop_sequence: null }, usage },
    { type: 'message_stop' },
  ]
}

function piecesOf(block: Block): { type: string }[] {
  if (block.type === 'text')
    return String(block['text'])
      .split(/(?<= )/)
      .map((text) => ({ type: 'text_delta', text }))
  const json = JSON.stringify(block['input'])
  return [json.slice(0, 5), json.slice(5)].map((partial) => ({ type: 'input_json_delta', partial_json: partial }))
}

/** Thoughts with a signature, redacted ones, text beyond ASCII, two tools at once of which one takes nothing, pings. */
export const GOLDEN: { readonly type: string; readonly [field: string]: unknown }[] = [
  {
    type: 'message_start',
    message: {
      id: 'msg_2',
      type: 'message',
      role: 'assistant',
      model: 'claude-opus-4-6',
      content: [],
      stop_reason: null,
      usage: {
        input_tokens: 47,
        cache_creation_input_tokens: 30,
        cache_read_input_tokens: 100,
        output_tokens: 2,
        service_tier: 'standard',
      },
    },
  },
  { type: 'content_block_start', index: 0, content_block: { type: 'thinking', thinking: '', signature: '' } },
  { type: 'ping' },
  { type: 'content_block_delta', index: 0, delta: { type: 'thinking_delta', thinking: 'Two cities — ' } },
  { type: 'content_block_delta', index: 0, delta: { type: 'thinking_delta', thinking: 'ask for “both”.' } },
  { type: 'content_block_delta', index: 0, delta: { type: 'signature_delta', signature: 'EsECCokB+/=' } },
  { type: 'content_block_stop', index: 0 },
  { type: 'content_block_start', index: 1, content_block: { type: 'redacted_thinking', data: 'EmwKAhgB' } },
  { type: 'content_block_stop', index: 1 },
  { type: 'content_block_start', index: 2, content_block: { type: 'text', text: '' } },
  { type: 'content_block_delta', index: 2, delta: { type: 'text_delta', text: 'Ich prüfe „beide“ 🦩:\n' } },
  { type: 'content_block_delta', index: 2, delta: { type: 'text_delta', text: '1 × "quoted" \\ \u2028 text' } },
  { type: 'content_block_stop', index: 2 },
  { type: 'content_block_start', index: 3, content_block: { type: 'tool_use', id: 'toolu_a', name: 'weather', input: {} } },
  { type: 'content_block_delta', index: 3, delta: { type: 'input_json_delta', partial_json: '' } },
  { type: 'content_block_delta', index: 3, delta: { type: 'input_json_delta', partial_json: '{"city": "Zü' } },
  { type: 'content_block_delta', index: 3, delta: { type: 'input_json_delta', partial_json: 'rich"}' } },
  { type: 'content_block_stop', index: 3 },
  { type: 'content_block_start', index: 4, content_block: { type: 'tool_use', id: 'toolu_b', name: 'now', input: {} } },
  { type: 'content_block_delta', index: 4, delta: { type: 'input_json_delta', partial_json: '' } },
  { type: 'content_block_stop', index: 4 },
  {
    type: 'message_delta',
    delta: { stop_reason: 'tool_use', stop_sequence: null },
    usage: { output_tokens: 90, output_tokens_details: { thinking_tokens: 33 } },
  },
  { type: 'message_stop' },
]
