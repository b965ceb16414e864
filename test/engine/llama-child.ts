/**
 * The engine's process: a real llama.cpp, by node-llama-cpp, that speaks what llama.cpp's own server speaks of the OpenAI
 * interface: `/health`, `/v1/models`, `/v1/chat/completions`, `/v1/embeddings`.
 * Started with the paths of a chat model and an embedding model and the size of the context. Tells its parent the port
 * it listens on, and of every chat that it begins and how it ended.
 */
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { json } from 'node:stream/consumers'
import { loadModels } from './llama-models.ts'
import type { Answer, Models } from './llama-models.ts'
import { chatRequest, embeddingRequest, Refusal, usage } from './llama-wire.ts'
import type { ChatRequest } from './llama-wire.ts'

/** What the child tells its parent. */
export type Report =
  | { readonly type: 'ready'; readonly port: number }
  | { readonly type: 'begun' }
  | { readonly type: 'ended'; readonly reason: Answer['reason'] | 'refused'; readonly promptTokens: number; readonly outputTokens: number }

const [chatPath = '', embeddingPath = '', contextTokens = ''] = process.argv.slice(2)
const models = await loadModels({ chat: chatPath, embedding: embeddingPath }, Number(contextTokens))

const tell = (report: Report): void => void process.send?.(report)
// A parent that is gone, in whatever way, takes the engine with it.
process.on('disconnect', () => process.exit(0))
process.on('SIGTERM', () => process.exit(0))

const server = createServer((request, response) => {
  const left = new AbortController()
  response.on('close', () => left.abort())
  handle(request, response, left.signal).catch((error: unknown) => refuse(response, error))
})
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  if (address !== null && typeof address === 'object') tell({ type: 'ready', port: address.port })
})

async function handle(request: IncomingMessage, response: ServerResponse, signal: AbortSignal): Promise<void> {
  switch (`${request.method} ${request.url}`) {
    case 'GET /health':
      return answer(response, { status: 'ok' })
    case 'GET /v1/models':
      return answer(response, { object: 'list', data: models.names.map((name) => listed(models, name)) })
    case 'POST /v1/chat/completions':
      return await chat(await body(request, chatRequest), response, signal)
    case 'POST /v1/embeddings': {
      const asked = await body(request, embeddingRequest)
      const { vectors, promptTokens } = await models.embed(asked, signal)
      const shape = (vector: number[]) =>
        asked.encoding_format === 'base64' ? Buffer.from(Float32Array.from(vector).buffer).toString('base64') : vector
      const data = vectors.map((vector, index) => ({ object: 'embedding', index, embedding: shape(vector) }))
      return answer(response, { object: 'list', model: asked.model, data, usage: usage({ promptTokens, outputTokens: 0 }) })
    }
    default:
      throw new Refusal(404, 'not_found_error', 'File Not Found')
  }
}

async function chat(asked: ChatRequest, response: ServerResponse, signal: AbortSignal): Promise<void> {
  const head = { id: `chatcmpl-${crypto.randomUUID()}`, created: Math.floor(Date.now() / 1000), model: asked.model }
  const send = (choices: unknown[], more: object = {}): void => {
    if (!response.headersSent) response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(`data: ${JSON.stringify({ ...head, object: 'chat.completion.chunk', choices, ...more })}\n\n`)
  }
  const delta = (content: object, finish: string | null = null): void => send([{ index: 0, delta: content, finish_reason: finish }])

  tell({ type: 'begun' })
  let begun = false
  const onText = (text: string): void => {
    if (!asked.stream || text === '') return
    if (!begun) delta({ role: 'assistant', content: null })
    begun = true
    delta({ content: text })
  }
  const given = await models.chat(asked, signal, onText).catch((error: unknown) => {
    tell({ type: 'ended', reason: 'refused', promptTokens: 0, outputTokens: 0 })
    throw error
  })
  tell({ type: 'ended', reason: given.reason, promptTokens: given.promptTokens, outputTokens: given.outputTokens })
  if (given.reason === 'abort') return

  if (!asked.stream) {
    const message = { role: 'assistant', content: given.text }
    const choices = [{ index: 0, message, finish_reason: given.reason, logprobs: null }]
    return answer(response, { ...head, object: 'chat.completion', choices, usage: usage(given) })
  }
  delta({}, given.reason)
  if (asked.stream_options?.include_usage) send([], { usage: usage(given) })
  response.end('data: [DONE]\n\n')
}

function listed(models: Models, name: string): object {
  return { id: name, object: 'model', created: 0, owned_by: 'llamacpp', meta: models.about(name) }
}

async function body<T>(request: IncomingMessage, schema: { parse(value: unknown): T }): Promise<T> {
  let value: unknown
  try {
    value = await json(request)
  } catch {
    throw new Refusal(400, 'invalid_request_error', 'the body is not JSON')
  }
  try {
    return schema.parse(value)
  } catch (error) {
    throw new Refusal(400, 'invalid_request_error', error instanceof Error ? error.message : 'the request is not understood')
  }
}

function answer(response: ServerResponse, value: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' }).end(JSON.stringify(value))
}

function refuse(response: ServerResponse, error: unknown): void {
  const refusal = error instanceof Refusal ? error : new Refusal(500, 'server_error', error instanceof Error ? error.message : 'unknown')
  if (response.headersSent) response.destroy()
  else answer(response, refusal.body, refusal.status)
}
