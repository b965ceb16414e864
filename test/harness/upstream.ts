/**
 * An OpenAI-like server on loopback that does as it is told: answers, or breaks off, falls silent, cuts its bytes
 * anywhere. Keeps what it was sent, so that a test can see what left Rialto.
 */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'

/** How long a test waits for a request that it expects. */
const ARRIVE_MS = 10_000

/** What it does next while it answers. */
export type Step =
  | { readonly send: string | Uint8Array }
  | { readonly pauseMs: number }
  /** Goes on when this resolves: a test holds the other end. */
  | { readonly until: Promise<unknown> }
  /** Tells the test that it has come this far. */
  | { readonly call: () => void }
  /** Closes the connection in the middle of the answer. */
  | { readonly die: true }
  /** Says nothing more and keeps the connection open. */
  | { readonly stall: true }

export type Answer = {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  /** Without a `die` or `stall` at its end the answer ends as it should. */
  readonly steps: readonly Step[]
  /** Whether the head is sent before the first step, or, for an upstream that dies or stalls early, not at all. */
  readonly head?: boolean
}

export type Received = {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
  /** Names and values in turn, spelt as they came. */
  readonly rawHeaders: readonly string[]
  readonly body: Buffer
  json(): unknown
  /** How the answer ended: sent whole, or left by the one who asked (or cut by an order to die). */
  readonly closed: Promise<'whole' | 'left'>
}

export type Upstream = {
  /** With the `/v1` that OpenAI clients want. */
  readonly url: string
  /** All POST requests so far, in order. */
  readonly received: readonly Received[]
  /** Everything else that was asked, such as the list of models. */
  readonly probes: readonly Received[]
  /** The next requests get these answers, one each; afterwards the usual one comes again. */
  script(...answers: readonly Answer[]): void
  /** Drops the answers that nobody came for. */
  forget(): void
  /** What a request gets that no script is there for. */
  usual(answer: Answer): void
  /** Request number `count`, counted from 1; waits for it. */
  request(count: number): Promise<Received>
  stop(): Promise<void>
}

export type UpstreamOptions = { readonly models?: readonly string[] }

export async function startUpstream({ models = ['mock-chat'] }: UpstreamOptions = {}): Promise<Upstream> {
  const received: Received[] = []
  const probes: Received[] = []
  const scripted: Answer[] = []
  let usual: Answer = chatJson('Hello from the upstream')
  const list = json({ object: 'list', data: models.map((id) => ({ id, object: 'model', created: 0, owned_by: 'mock' })) })

  const server = createServer((request, response) => {
    void (async () => {
      const closed = new Promise<'whole' | 'left'>((resolve) => {
        response.on('close', () => resolve(response.writableFinished ? 'whole' : 'left'))
      })
      const one = { ...(await readOf(request)), closed }
      const asks = one.method === 'POST'
      ;(asks ? received : probes).push(one)
      server.emit('received')
      await play(
        asks ? (scripted.shift() ?? usual) : one.path === '/v1/models' ? list : json({ error: { message: 'not here' } }, 404),
        response,
      )
    })().catch(() => response.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = address !== null && typeof address === 'object' ? address.port : 0

  return {
    url: `http://127.0.0.1:${port}/v1`,
    received,
    probes,
    script: (...answers) => void scripted.push(...answers),
    forget: () => void scripted.splice(0),
    usual: (answer) => void (usual = answer),
    async request(count) {
      const signal = AbortSignal.timeout(ARRIVE_MS)
      for (;;) {
        const one = received[count - 1]
        if (one !== undefined) return one
        await once(server, 'received', { signal })
      }
    },
    async stop() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

export const json = (body: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): Answer => ({
  status,
  headers: { 'content-type': 'application/json', ...headers },
  steps: [{ send: JSON.stringify(body) }],
})

/** Takes the connection and closes it without a word. */
export const dead: Answer = { head: false, steps: [{ die: true }] }

/** Takes the request and never answers. */
export const silent: Answer = { head: false, steps: [{ stall: true }] }

/** A stream of the given events' bytes; `rest` is what happens where a well-behaved one would end. */
export const events = (text: string | Uint8Array, ...rest: readonly Step[]): Answer => ({
  headers: { 'content-type': 'text/event-stream' },
  steps: [{ send: text }, ...rest],
})

/** The same answer with its bytes sent in pieces that end at these places. */
export function splitAt({ steps, ...answer }: Answer, ...places: readonly number[]): Answer {
  const [first, ...rest] = steps
  if (first === undefined || !('send' in first)) throw new Error('only an answer that begins by sending can be split')
  const bytes = Buffer.from(first.send)
  const ends = [...places, bytes.length]
  const pieces = ends.map((end, index) => ({ send: bytes.subarray(ends[index - 1] ?? 0, end) }))
  return { ...answer, steps: [...pieces.filter(({ send }) => send.length > 0), ...rest] }
}

export const USAGE = { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 } as const

export const chatJson = (content: string, usage: object = USAGE): Answer =>
  json({
    id: 'chatcmpl-upstream',
    object: 'chat.completion',
    created: 1,
    model: 'mock-chat',
    choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop', logprobs: null }],
    usage,
  })

/** The events of a streamed chat: a role, each text as a delta, the end, usage, and `[DONE]`. */
export function chatEvents(texts: readonly string[], usage: object = USAGE): string {
  const head = { id: 'chatcmpl-upstream', object: 'chat.completion.chunk', created: 1, model: 'mock-chat' }
  const chunk = (choices: unknown[], more: object = {}): string => `data: ${JSON.stringify({ ...head, choices, ...more })}\n\n`
  const delta = (content: object, finish: string | null = null): string => chunk([{ index: 0, delta: content, finish_reason: finish }])
  return [
    delta({ role: 'assistant', content: '' }),
    ...texts.map((content) => delta({ content })),
    delta({}, 'stop'),
    chunk([], { usage }),
    'data: [DONE]\n\n',
  ].join('')
}

export const embeddingJson = (vectors: readonly (readonly number[])[], tokens = 5): Answer =>
  json({
    object: 'list',
    model: 'mock-embedding',
    data: vectors.map((embedding, index) => ({ object: 'embedding', index, embedding })),
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  })

async function readOf(request: IncomingMessage): Promise<Omit<Received, 'closed'>> {
  const body = await buffer(request)
  return {
    method: request.method ?? '',
    path: request.url ?? '',
    headers: request.headers,
    rawHeaders: request.rawHeaders,
    body,
    json: () => JSON.parse(body.toString('utf8')),
  }
}

async function play({ status = 200, headers = {}, steps, head = true }: Answer, response: ServerResponse): Promise<void> {
  if (head) {
    response.writeHead(status, headers)
    response.flushHeaders()
  }
  for (const step of steps) {
    if (response.destroyed) return
    if ('send' in step) await new Promise((resolve) => response.write(step.send, resolve))
    else if ('pauseMs' in step) await pause(step.pauseMs)
    else if ('until' in step) await step.until
    else if ('call' in step) step.call()
    else if ('die' in step) return void response.destroy()
    else return
  }
  response.end()
}
