/** How tests speak HTTP to Rialto: whole answers, streams read as far as wanted, and sockets for what no client would send. */
import { once } from 'node:events'
import { request } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { type Socket, connect } from 'node:net'

/** The longest that a test waits for anything to come. */
const WAIT_MS = 10_000

export type Asked = {
  readonly method?: string
  readonly key?: string
  readonly headers?: Readonly<Record<string, string>>
  /** A text and a form are sent as they are, everything else as JSON. */
  readonly body?: unknown
}

export type Answered = {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  json(): Record<string, unknown>
}

/** Asks and takes the whole answer. A body makes it a POST. */
export async function ask(url: string, asked: Asked = {}): Promise<Answered> {
  const response = await fetch(url, { ...initOf(asked), signal: AbortSignal.timeout(WAIT_MS) })
  const text = await response.text()
  return { status: response.status, headers: response.headers, text, json: () => JSON.parse(text) }
}

export type Stream = {
  readonly status: number
  readonly headers: Headers
  /** Waits until this text has come, and gives all that has come so far. */
  until(text: string): Promise<string>
  /** Waits for the end, and gives everything. Rejects when the connection breaks. */
  rest(): Promise<string>
  /** Hangs up. */
  leave(): void
}

/** Asks and reads the answer as it comes. */
export async function openStream(url: string, asked: Asked): Promise<Stream> {
  const left = new AbortController()
  const timer = setTimeout(() => left.abort(), WAIT_MS)
  const response = await fetch(url, { ...initOf(asked), signal: left.signal })
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  const pieces: string[] = []
  const more = async (): Promise<boolean> => {
    const read = await reader?.read()
    if (read?.value !== undefined) pieces.push(read.value)
    return read?.done === false
  }
  return {
    status: response.status,
    headers: response.headers,
    async until(text) {
      while (!pieces.join('').includes(text)) if (!(await more())) throw new Error(`the stream ended without ${text}: ${pieces.join('')}`)
      return pieces.join('')
    },
    async rest() {
      while (await more());
      clearTimeout(timer)
      return pieces.join('')
    },
    leave() {
      clearTimeout(timer)
      left.abort()
    },
  }
}

function initOf({ method, key, headers, body }: Asked): RequestInit {
  return {
    method: method ?? (body === undefined ? 'GET' : 'POST'),
    headers: {
      ...(key !== undefined && { authorization: `Bearer ${key}` }),
      ...(body !== undefined && !(body instanceof FormData) && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && { body: typeof body === 'string' || body instanceof FormData ? body : JSON.stringify(body) }),
  }
}

/** The data of each event, parsed where it is JSON. */
export function dataOf(stream: string): unknown[] {
  return stream.split('\n\n').flatMap((event) => {
    if (!event.startsWith('data: ')) return []
    const data = event.slice('data: '.length)
    return [data === '[DONE]' ? data : (JSON.parse(data) as unknown)]
  })
}

/** Sends a request by node's own client, whose socket stays in the test's hands until the answer has begun. */
export function askSlowly(
  url: string,
  { method = 'POST', key, headers }: Asked,
  send: (write: (chunk: Buffer) => Promise<void>) => Promise<void>,
): Promise<{ response: IncomingMessage; text: string }> {
  return new Promise((resolve, reject) => {
    const asking = request(url, {
      method,
      headers: { 'content-type': 'application/json', ...(key !== undefined && { authorization: `Bearer ${key}` }), ...headers },
      signal: AbortSignal.timeout(WAIT_MS),
    })
    let over = false
    let room: () => void = () => {}
    asking.on('drain', () => room())
    asking.on('close', () => room())
    asking.on('response', (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => {
        over = true
        resolve({ response, text: Buffer.concat(chunks).toString('utf8') })
        asking.destroy()
      })
      response.on('error', reject)
    })
    asking.on('error', (error) => (over ? undefined : reject(error)))
    void send(async (chunk) => {
      if (over || asking.destroyed) return
      if (!asking.write(chunk)) await new Promise<void>((resolve) => void (room = resolve))
    }).then(() => over || asking.end())
  })
}

/** A socket to send bytes by that no client would, and all that came back, as text. */
export async function openSocket(
  origin: string,
): Promise<{ socket: Socket; until: (text: string) => Promise<string>; end: () => Promise<string> }> {
  const { hostname, port } = new URL(origin)
  const socket = connect(Number(port), hostname)
  await once(socket, 'connect')
  let text = ''
  socket.setEncoding('utf8').on('data', (piece: string) => (text += piece))
  socket.on('error', () => {})
  const signal = AbortSignal.timeout(WAIT_MS)
  return {
    socket,
    async until(wanted) {
      while (!text.includes(wanted)) await once(socket, 'data', { signal })
      return text
    },
    async end() {
      if (!socket.closed) await once(socket, 'close', { signal })
      return text
    },
  }
}
