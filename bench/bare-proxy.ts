/**
 * The yardstick: the least that a proxy in this language does, and nothing else. node:http in front, undici's dispatch
 * behind: parse the body, compare the key, put in the upstream's model name, stringify, forward, pass the bytes back.
 *
 *   UPSTREAM=http://127.0.0.1:9100 KEY=… node bench/bare-proxy.ts     prints `listening PORT`
 */
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http'
import { type Dispatcher, Pool } from 'undici'

const pool = new Pool(process.env['UPSTREAM'] ?? '', { connections: 1024, pipelining: 1 })
const authorization = `Bearer ${process.env['KEY'] ?? ''}`
const HEADERS = ['content-type', 'application/json']

class Forward implements Dispatcher.DispatchHandler {
  readonly #response: ServerResponse
  #controller: Dispatcher.DispatchController | null = null

  constructor(response: ServerResponse) {
    this.#response = response
    response.on('close', () => {
      if (!response.writableFinished) this.#controller?.abort(new Error('left'))
    })
    response.on('drain', () => this.#controller?.resume())
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    const length = headers['content-length']
    const out: Record<string, string | string[]> = { 'content-type': headers['content-type'] ?? 'application/json' }
    if (length !== undefined) out['content-length'] = length
    this.#response.writeHead(status, out)
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (!this.#response.write(chunk)) controller.pause()
  }

  onResponseEnd(): void {
    this.#response.end()
  }

  onResponseError(): void {
    if (this.#response.headersSent) this.#response.destroy()
    else this.#response.writeHead(502).end()
  }
}

function forward(request: IncomingMessage, response: ServerResponse, raw: string): void {
  const body: unknown = JSON.parse(raw)
  if (typeof body !== 'object' || body === null) {
    response.writeHead(400).end()
    return
  }
  const out = JSON.stringify({ ...body, model: 'bench-upstream' })
  pool.dispatch({ method: 'POST', path: request.url ?? '/', headers: HEADERS, body: out }, new Forward(response))
}

const server = createServer({ noDelay: true }, (request, response) => {
  if (request.headers.authorization !== authorization) {
    response.writeHead(401).end()
    return
  }
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () =>
    forward(request, response, (chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks)).toString('utf8')),
  )
})

server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  if (address !== null && typeof address === 'object') process.stdout.write(`listening ${address.port}\n`)
})

process.once('SIGTERM', () => process.exit(0))
