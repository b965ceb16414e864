/** A small OpenAI-compatible server over real HTTP, as correct as servers are: what the engine is tested against. */
import type { ServerResponse } from 'node:http'
import { type Upstream, startUpstream, writeInPortions } from '../upstream.fixture.ts'

/** What the tests' requests have in them. */
type Body = {
  readonly model: string
  readonly stream?: boolean
  readonly n?: number
  readonly max_tokens?: number
  readonly stop?: readonly string[]
  readonly tools?: readonly { readonly function: { readonly name: string } }[]
  readonly response_format?: { readonly type: string }
  readonly input?: readonly string[]
}

const WORDS = ['A', ' heron', ' is', ' a', ' “long-legged”', ' bird', ',\n', 'as', ' you', ' know', ' ü', '.']

/** Names two calls index 0, as Ollama has done. */
const CALLS = [
  { index: 0, id: 'call_a', type: 'function', function: { name: 'weather', arguments: '{"city":' } },
  { index: 0, function: { arguments: '"Paris"}' } },
  { index: 0, id: 'call_b', type: 'function', function: { name: 'weather', arguments: '{"city":"Rome"}' } },
]

export async function startServer(portion = Number.POSITIVE_INFINITY): Promise<Upstream> {
  return startUpstream(async ({ asked, response }) => {
    if (asked.method === 'GET') return json(response, { object: 'list', data: [{ id: 'heron-1', object: 'model', max_model_len: 4096 }] })
    // The engine under test wrote it.
    const body = JSON.parse(asked.body) as Body
    if (asked.url.endsWith('/embeddings')) return embed(response, body)
    if (body.model === 'endless') return void response.writeHead(200, SSE).write(sse([chunk({ content: 'and so on' })]))
    if (body.stream !== true) return json(response, whole(body))
    response.writeHead(200, SSE)
    await writeInPortions(response, Buffer.from(sse(chunksOf(body))), portion)
  })
}

const SSE = { 'content-type': 'text/event-stream' }

function answerOf(body: Body): { words: string[]; reason: string } {
  const words = body.response_format?.type === 'json_schema' ? ['{"city":"Paris",', '"people":', '2000000}'] : [...WORDS]
  const stopAt = words.findIndex((word) => body.stop?.some((stop) => word.includes(stop)))
  if (stopAt !== -1) return { words: words.slice(0, stopAt), reason: 'stop' }
  if (body.max_tokens !== undefined && body.max_tokens < words.length) return { words: words.slice(0, body.max_tokens), reason: 'length' }
  return { words, reason: 'stop' }
}

function chunksOf(body: Body): unknown[] {
  const chunks: unknown[] = []
  const { words, reason } = answerOf(body)
  for (let choice = 0; choice < (body.n ?? 1); choice++) {
    chunks.push(chunk({ role: 'assistant', content: '' }, choice))
    if (body.tools) for (const call of CALLS) chunks.push(chunk({ tool_calls: [call] }, choice))
    else for (const word of words) chunks.push(chunk({ content: word }, choice))
    chunks.push(chunk({}, choice, body.tools ? 'tool_calls' : reason))
  }
  chunks.push({ ...HEAD, choices: [], usage: usageOf(words.length) })
  return chunks
}

function whole(body: Body): unknown {
  const { words, reason } = answerOf(body)
  const calls = [
    { id: 'call_a', type: 'function', function: { name: 'weather', arguments: '{"city":"Paris"}' } },
    { type: 'function', function: { name: 'weather', arguments: { city: 'Rome' } } },
  ]
  const message = body.tools ? { role: 'assistant', content: null, tool_calls: calls } : { role: 'assistant', content: words.join('') }
  const choices = [{ index: 0, message, finish_reason: body.tools ? 'tool_calls' : reason }]
  return { ...HEAD, object: 'chat.completion', choices, usage: usageOf(words.length) }
}

function embed(response: ServerResponse, body: Body): void {
  const data = (body.input ?? []).map((text, index) => ({ index, embedding: [text.length, text.length % 7, -1.5, text.charCodeAt(2)] }))
  json(response, { object: 'list', data: data.reverse(), usage: { prompt_tokens: 9, total_tokens: 9 } })
}

const HEAD = { id: 'chatcmpl-7', object: 'chat.completion.chunk', created: 1_700_000_000, model: 'heron-1' }

const chunk = (delta: unknown, index = 0, finish_reason: string | null = null): unknown => ({
  ...HEAD,
  choices: [{ index, delta, logprobs: null, finish_reason }],
})

const usageOf = (completion_tokens: number) => ({ prompt_tokens: 20, completion_tokens, total_tokens: 20 + completion_tokens })

const sse = (chunks: readonly unknown[]): string =>
  `${chunks.map((one) => `data: ${JSON.stringify(one)}\n\n`).join('')}${chunks.length > 1 ? 'data: [DONE]\n\n' : ''}`

const json = (response: ServerResponse, body: unknown): void => {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}
