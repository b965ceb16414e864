/**
 * A cheap OpenAI-like upstream on a raw socket server, so that what is measured is the server in front of it.
 *
 *   node bench/mock-upstream.ts          prints `listening PORT`; MOCK_PORT chooses one
 *
 * POST …/chat/completions answers about 600 bytes of JSON, or with `"stream":true` 100 chunks of about 200 bytes, one
 * write each; `pace=MICROSECONDS` anywhere in the body spaces them, and their text is then the monotonic time of the
 * write. POST …/embeddings answers one vector. Every piece of generated text has exactly one `~`, so that whoever counts
 * them knows whether all of it arrived. Trusts its peer: it is for benchmarks on loopback only.
 */
import { type Socket, createServer } from 'node:net'
import { CHUNKS, JSON_TEXT, CHUNK_TEXT } from './wire.ts'

const REQUEST_MAX_BYTES = 1024 * 1024
const HEAD_END = Buffer.from('\r\n\r\n')
const KEEP = 'connection: keep-alive\r\nx-request-id: req_5f1d0e1f6f1c4f0e9d5b7a1c2e3d4f5a\r\n\r\n'

const ID = '"id":"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qJKcTw"'
const USAGE = '"usage":{"prompt_tokens":219,"completion_tokens":100,"total_tokens":319,"prompt_tokens_details":{"cached_tokens":0}}'

const whole = (body: string): Buffer =>
  Buffer.from(`HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n${KEEP}${body}`)

const CHAT = whole(
  `{${ID},"object":"chat.completion","created":1741569952,"model":"bench-upstream","choices":[{"index":0,"message":{"role":"assistant",` +
    `"content":"${JSON_TEXT}","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],` +
    `"usage":{"prompt_tokens":219,"completion_tokens":10,"total_tokens":229,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},` +
    `"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},` +
    `"service_tier":"default","system_fingerprint":"fp_44709d6fcb"}`,
)
const MODELS = whole('{"object":"list","data":[{"id":"bench-upstream","object":"model","created":1741569952,"owned_by":"bench"}]}')
const VECTOR = Array.from({ length: 256 }, (_, i) => Math.round(Math.sin(i + 1) * 1e6) / 1e6)
const EMBEDDING = whole(
  `{"object":"list","data":[{"object":"embedding","index":0,"embedding":${JSON.stringify(VECTOR)}}],"model":"bench-upstream",` +
    `"usage":{"prompt_tokens":12,"total_tokens":12}}`,
)
// The `openai` client, and those that follow it, ask for base64.
const EMBEDDING_BASE64 = whole(
  `{"object":"list","data":[{"object":"embedding","index":0,"embedding":"${Buffer.from(new Float32Array(VECTOR).buffer).toString('base64')}"}],` +
    `"model":"bench-upstream","usage":{"prompt_tokens":12,"total_tokens":12}}`,
)

const frame = (payload: string): string => `${Buffer.byteLength(payload).toString(16)}\r\n${payload}\r\n`
const event = (rest: string): string =>
  `data: {${ID},"object":"chat.completion.chunk","created":1741570283,"model":"bench-upstream",${rest}}\n\n`
const delta = (text: string): string => frame(event(`"choices":[{"index":0,"delta":{"content":"${text}"},"finish_reason":null}]`))
const STREAM_HEAD = Buffer.from(
  `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\ncache-control: no-cache\r\n${KEEP}`,
)
const CHUNK = Buffer.from(delta(CHUNK_TEXT))
const END = Buffer.from(
  `${frame(event('"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]'))}${frame(event(`"choices":[],${USAGE}`))}${frame('data: [DONE]\n\n')}0\r\n\r\n`,
)

/** Writes the stream; where the reader is slow it waits for it. */
function stream(socket: Socket, paceUs: number): void {
  let sent = 0
  let due = performance.now()
  const next = (): void => {
    while (sent < CHUNKS) {
      if (socket.destroyed) return
      if (paceUs > 0) {
        const waitMs = due - performance.now()
        if (waitMs > 0.05) {
          setTimeout(next, waitMs)
          return
        }
        due += paceUs / 1000
      }
      sent++
      const taken = socket.write(paceUs > 0 ? delta(`${process.hrtime.bigint()}~`) : CHUNK)
      if (!taken && paceUs === 0) {
        socket.once('drain', next)
        return
      }
    }
    socket.write(END)
  }
  socket.write(STREAM_HEAD)
  next()
}

function answer(socket: Socket, head: string, body: Buffer): void {
  const path = head.slice(head.indexOf(' ') + 1, head.indexOf(' HTTP/'))
  if (path.endsWith('/models')) socket.write(MODELS)
  else if (path.endsWith('/embeddings')) socket.write(body.includes('"base64"') ? EMBEDDING_BASE64 : EMBEDDING)
  else if (body.includes('"stream":true')) {
    const at = body.indexOf('pace=')
    stream(socket, at < 0 ? 0 : Number.parseInt(body.toString('latin1', at + 5, at + 15), 10))
  } else socket.write(CHAT)
}

const server = createServer({ noDelay: true, keepAlive: true }, (socket) => {
  let kept: Buffer | null = null
  socket.on('error', () => socket.destroy())
  socket.on('data', (read) => {
    if (typeof read === 'string') return
    let data: Buffer = kept ? Buffer.concat([kept, read]) : read
    kept = null
    while (data.length > 0) {
      const headEnd = data.indexOf(HEAD_END)
      if (headEnd < 0) break
      const head = data.toString('latin1', 0, headEnd)
      const at = /content-length: *(\d+)/i.exec(head)
      const chunked = !at && /transfer-encoding: *chunked/i.test(head)
      const bodyStart = headEnd + 4
      const last = chunked ? data.indexOf('0\r\n\r\n', bodyStart) : -1
      if (chunked && last < 0) break
      const end = chunked ? last + 5 : bodyStart + Number(at?.[1] ?? 0)
      if (data.length < end) break
      answer(socket, head, data.subarray(bodyStart, end))
      data = data.subarray(end)
    }
    if (data.length > REQUEST_MAX_BYTES) socket.destroy()
    else if (data.length > 0) kept = data
  })
})

server.listen(Number(process.env['MOCK_PORT'] ?? 0), '127.0.0.1', () => {
  const address = server.address()
  if (address !== null && typeof address === 'object') process.stdout.write(`listening ${address.port}\n`)
})
