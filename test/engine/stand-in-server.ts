/**
 * Stands in for llama.cpp's own server where a test wants one that starts badly, dies, hangs or talks nonsense: nothing of a model is in
 * it. It behaves as the name of its `--model` says, and notes beside its socket how it was started.
 */
import { fstatSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { basename } from 'node:path'
import { text } from 'node:stream/consumers'

/** What the stand-in saw of its start. */
export type Seen = {
  readonly pid: number
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** Whether it got hold of the channel between its parent and the gateway. */
  readonly channel: boolean
}

const args = process.argv.slice(2)
const valueOf = (name: string): string => args[args.indexOf(name) + 1] ?? ''
const mode = basename(valueOf('--model'), '.gguf')
/** Not healthy before it was asked so often. */
let loading = mode === 'slow' ? 3 : 0

process.stdout.write('SECRET on stdout\n')
if (mode === 'refuses') process.exit(1)

const env = Object.fromEntries(Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])))
const seen: Seen = { pid: process.pid, args, env, channel: isSocket(3) }
writeFileSync('seen.json', JSON.stringify(seen))

createServer((request, response) => void answer(request, response)).listen(valueOf('--host'))

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.url === '/health') {
    response.writeHead(loading-- > 0 ? 503 : 200).end('{}')
    return
  }
  if (request.headers.authorization !== `Bearer ${env['LLAMA_API_KEY']}`) {
    response.writeHead(401).end('{}')
    return
  }
  if (request.url === '/props') {
    response.end('{}')
    return
  }
  const body = await text(request)
  if (mode === 'echoes') writeFileSync('body.json', body)
  if (mode === 'garbage') {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).end('data: {"choices": SECRET\n\ndata: [DONE]\n\n')
    return
  }
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  response.write(event({ choices: [{ index: 0, delta: { content: 'said' }, finish_reason: null }] }))
  if (mode === 'hangs') return
  if (mode === 'dies') {
    setTimeout(() => process.exit(1), 20)
    return
  }
  response.write(event({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }))
  response.end(`${event({ choices: [], usage: { prompt_tokens: 7, completion_tokens: 2 } })}data: [DONE]\n\n`)
}

const event = (value: unknown): string => `data: ${JSON.stringify(value)}\n\n`

function isSocket(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).isSocket()
  } catch {
    return false
  }
}
