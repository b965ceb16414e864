/** What is measured: one row of the table each. */
import type { Expected } from './connection.ts'
import type { LoadOptions } from './load.ts'
import type { Server, ServerName } from './servers.ts'
import { CHUNKS, CHUNK_TEXT, JSON_TEXT } from './wire.ts'

export type RowName = 'chat1k' | 'chat16k' | 'stream' | 'embeddings' | 'steady' | 'paced'

export type Row = {
  readonly name: RowName
  readonly title: string
  readonly servers: readonly ServerName[]
  readonly connections: number
  readonly seconds: number
  readonly rate?: number
}

const ALL = ['rialto', 'ablated', 'bare', 'nginx', 'portkey'] as const
const NATIVE = ['rialto', 'bare', 'nginx'] as const

export const ROWS: readonly Row[] = [
  { name: 'chat1k', title: '1 KB chat, as fast as it goes', servers: ALL, connections: 32, seconds: 2.5 },
  { name: 'chat16k', title: '16 KB chat, as fast as it goes', servers: ALL, connections: 32, seconds: 2 },
  { name: 'stream', title: `stream of ${CHUNKS} chunks, as fast as it goes`, servers: ALL, connections: 16, seconds: 2.5 },
  { name: 'embeddings', title: 'embeddings, as fast as it goes', servers: ['rialto', 'bare'], connections: 32, seconds: 1.5 },
  { name: 'steady', title: '1 KB chat, 400 requests/s', servers: NATIVE, connections: 64, seconds: 3, rate: 400 },
  {
    name: 'paced',
    title: '40 paced streams/s, 80 at a time, a chunk every 20 ms',
    servers: NATIVE,
    connections: 120,
    seconds: 3,
    rate: 40,
  },
]

/** The request of a row to a server, and what a right answer is. */
export function loadOf(row: Row, server: Server, scale: number): LoadOptions {
  const path = `${server.base}${row.name === 'embeddings' ? '/embeddings' : '/chat/completions'}`
  return {
    port: server.port,
    path,
    headers: server.headers,
    body: bodyOf(row.name, server),
    expected: expectedOf(row.name),
    connections: row.connections,
    durationMs: row.seconds * scale * 1000,
    // Paced streams last two seconds: before that they are not as many as they will be.
    rampMs: row.name === 'paced' ? 2200 : 300,
    ...(row.rate === undefined ? {} : { rate: row.rate }),
  }
}

function bodyOf(name: RowName, { bodies }: Server): string {
  switch (name) {
    case 'chat1k':
    case 'steady':
      return bodies.chat1k
    case 'chat16k':
      return bodies.chat16k
    case 'stream':
      return bodies.stream
    case 'paced':
      return bodies.paced
    case 'embeddings':
      return bodies.embeddings
  }
}

function expectedOf(name: RowName): Expected {
  switch (name) {
    case 'embeddings':
      return { marks: 0, stream: false, timed: false, check: checkEmbedding }
    case 'stream':
      return { marks: CHUNKS, stream: true, timed: false, check: (body) => checkStream(body, CHUNK_TEXT.repeat(CHUNKS)) }
    case 'paced':
      return { marks: CHUNKS, stream: true, timed: true, check: (body) => checkStream(body, null) }
    default:
      return { marks: 1, stream: false, timed: false, check: checkChat }
  }
}

/** Reads one field after the other, whatever is there. */
function at(value: unknown, ...path: readonly (string | number)[]): unknown {
  let here: unknown = value
  for (const step of path) {
    if (typeof here !== 'object' || here === null) return undefined
    here = Object.entries(here).find(([key]) => key === String(step))?.[1]
  }
  return here
}

function textAt(value: unknown, ...path: readonly (string | number)[]): string {
  const text = at(value, ...path)
  return typeof text === 'string' ? text : ''
}

function checkChat(body: string): string | null {
  const answer: unknown = JSON.parse(body)
  if (at(answer, 'choices', 0, 'message', 'content') !== JSON_TEXT) return 'a chat with another text'
  if (at(answer, 'choices', 0, 'finish_reason') !== 'stop') return 'a chat without its finish reason'
  return at(answer, 'usage', 'total_tokens') === 229 ? null : 'a chat with other usage'
}

function checkEmbedding(body: string): string | null {
  const answer: unknown = JSON.parse(body)
  const vector = at(answer, 'data', 0, 'embedding')
  if (!Array.isArray(vector) || vector.length !== 256) return 'an embedding of another length'
  return Math.abs(Number(vector[0]) - Math.sin(1)) < 1e-5 ? null : 'an embedding with other numbers'
}

/** All text in order, one finish reason, the usage, and the end. A paced stream's text is only counted. */
function checkStream(body: string, text: string | null): string | null {
  const events = body.split('\n\n').filter((event) => event.startsWith('data: '))
  if (events.at(-1) !== 'data: [DONE]') return 'a stream without [DONE]'
  const chunks: unknown[] = events.slice(0, -1).map((event) => JSON.parse(event.slice(6)))
  const joined = chunks.map((chunk) => textAt(chunk, 'choices', 0, 'delta', 'content')).join('')
  if (text !== null && joined !== text) return 'a stream with another text'
  if (chunks.filter((chunk) => at(chunk, 'choices', 0, 'finish_reason') === 'stop').length !== 1)
    return 'a stream without one finish reason'
  return chunks.filter((chunk) => at(chunk, 'usage', 'total_tokens') === 319).length === 1 ? null : 'a stream without its usage'
}
