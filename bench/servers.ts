/** The servers that are compared, each started the way its users start it, in front of the same mock upstream. */
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { type Child, SERVER_CORE, start } from './process.ts'
import { bodies, type Bodies } from './wire.ts'

export type ServerName = 'rialto' | 'ablated' | 'bare' | 'nginx' | 'portkey'

export type Server = {
  readonly name: ServerName
  readonly version: string
  readonly port: number
  readonly pid: number
  readonly headers: Readonly<Record<string, string>>
  readonly base: string
  readonly bodies: Bodies
  /** From its start to its first 200, in milliseconds. */
  readonly readyMs: number
  readonly stop: () => Promise<void>
}

const ROOT = dirname(import.meta.dirname)
const KEY = 'bench-key-0123456789abcdef0123456789abcdef'
const READY_MS = 20_000
/** As scripts/start.mjs has them. */
export const FLAGS = ['--expose-gc']

/** Starts those that are here; says why one is not. */
export async function startAll(
  upstream: number,
  folder: string,
  names: ReadonlySet<ServerName>,
  ablate: string,
  note: (text: string) => void,
): Promise<Server[]> {
  const out: Server[] = []
  if (names.has('rialto')) out.push(await startRialto(upstream, folder))
  if (names.has('ablated')) out.push(await startAblated(upstream, folder, ablate))
  if (names.has('bare')) out.push(await startBare(upstream))
  if (names.has('nginx')) {
    const nginx = await startNginx(upstream, folder)
    if (nginx) out.push(nginx)
    else note('nginx is not installed; left out')
  }
  if (names.has('portkey')) {
    const portkey = await startPortkey(upstream)
    if (portkey) out.push(portkey)
    else note('@portkey-ai/gateway is not installed (PORTKEY_DIR names a folder that has it); left out')
  }
  return out
}

/** Ours must be right; a peer that is not loses the row. */
export const isPeer = (name: ServerName): boolean => name === 'nginx' || name === 'portkey'

/** Rialto with everything on: key, limits, ledger, metrics, and its log in a file. As `npm start` does. */
export function startRialto(upstream: number, folder: string): Promise<Server> {
  return serve('rialto', upstream, folder, [join(ROOT, 'scripts/start.mjs')])
}

/** The same without the detour by `npm start`, for a profiler that would profile it as well. */
export function startProfiled(upstream: number, folder: string, nodeArgs: readonly string[]): Promise<Server> {
  return serve('rialto', upstream, folder, [...FLAGS, ...nodeArgs, join(ROOT, 'src/main.ts')])
}

/** Rialto without these rooms, of `keys`, `limits` and `money`. */
export function startAblated(upstream: number, folder: string, rooms: string): Promise<Server> {
  return serve('ablated', upstream, join(folder, 'ablated'), [...FLAGS, join(import.meta.dirname, 'ablated-server.ts')], { ABLATE: rooms })
}

async function serve(
  name: ServerName,
  upstream: number,
  folder: string,
  command: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Server> {
  const port = await freePort()
  const config = join(folder, 'config')
  writeConfig(config, upstream)
  const log = openSync(join(folder, 'rialto.log'), 'a')
  const child = start(process.execPath, command, {
    core: SERVER_CORE,
    cwd: folder,
    output: log,
    env: { PORT: String(port), HOST: '127.0.0.1', RIALTO_HOME: join(folder, 'home'), RIALTO_ADMIN_KEY: KEY, RIALTO_CONFIG: config, ...env },
  })
  closeSync(log)
  const readyMs = await ready(child, port, '/health/ready')
  return {
    name,
    version: version(join(ROOT, 'package.json')),
    port,
    pid: child.pid,
    headers: { authorization: `Bearer ${KEY}` },
    base: '/v1',
    bodies: bodies('bench-text', 'bench-embedding'),
    readyMs,
    stop: child.stop,
  }
}

export async function startBare(upstream: number, nodeArgs: readonly string[] = []): Promise<Server> {
  const startedAt = performance.now()
  const child = start(process.execPath, [...nodeArgs, join(import.meta.dirname, 'bare-proxy.ts')], {
    core: SERVER_CORE,
    env: { UPSTREAM: `http://127.0.0.1:${upstream}`, KEY },
  })
  const port = await child.listening
  return {
    name: 'bare',
    version: process.version,
    port,
    pid: child.pid,
    headers: { authorization: `Bearer ${KEY}` },
    base: '/v1',
    bodies: bodies('any', 'any'),
    readyMs: performance.now() - startedAt,
    stop: child.stop,
  }
}

async function startNginx(upstream: number, folder: string): Promise<Server | null> {
  const said = spawnSync('nginx', ['-v'], { encoding: 'utf8' })
  if (said.status !== 0) return null
  const port = await freePort()
  const home = join(folder, 'nginx')
  mkdirSync(join(home, 'logs'), { recursive: true })
  const file = join(home, 'nginx.conf')
  const temps = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${home}/${kind};`).join(' ')
  writeFileSync(
    file,
    `daemon off; master_process off; worker_processes 1; pid ${home}/pid; error_log stderr warn;
events { worker_connections 4096; }
http {
  access_log off; ${temps}
  keepalive_requests 100000000; keepalive_timeout 3600; client_body_buffer_size 256k; tcp_nodelay on;
  upstream engine { server 127.0.0.1:${upstream}; keepalive 512; keepalive_requests 100000000; keepalive_timeout 3600; }
  server {
    listen 127.0.0.1:${port} backlog=1024;
    location / { proxy_pass http://engine; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }
  }
}
`,
  )
  const child = start('nginx', ['-p', home, '-e', 'stderr', '-c', file], { core: SERVER_CORE })
  const readyMs = await ready(child, port, '/v1/models')
  return {
    name: 'nginx',
    version: /nginx\/(\S+)/.exec(said.stderr)?.[1] ?? '?',
    port,
    pid: child.pid,
    headers: { authorization: `Bearer ${KEY}` },
    base: '/v1',
    bodies: bodies('bench-upstream', 'bench-upstream'),
    readyMs,
    stop: child.stop,
  }
}

/** `PORTKEY_NODE` runs it with another Node. Version 1.15.2, freshly installed, answers streams with 500 (it changes immutable headers). */
async function startPortkey(upstream: number): Promise<Server | null> {
  const from = process.env['PORTKEY_DIR'] ?? ROOT
  let script: string
  try {
    script = createRequire(join(from, 'package.json')).resolve('@portkey-ai/gateway/build/start-server.js')
  } catch {
    return null
  }
  const port = await freePort()
  const node = process.env['PORTKEY_NODE'] ?? process.execPath
  const child = start(node, [script, `--port=${port}`, '--headless'], { core: SERVER_CORE, env: { NODE_ENV: 'production' } })
  const readyMs = await ready(child, port, '/')
  return {
    name: 'portkey',
    version: `${version(join(dirname(dirname(script)), 'package.json'))} (node ${spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout.trim()})`,
    port,
    pid: child.pid,
    headers: {
      authorization: `Bearer ${KEY}`,
      'x-portkey-provider': 'openai',
      'x-portkey-custom-host': `http://127.0.0.1:${upstream}/v1`,
    },
    base: '/v1',
    bodies: bodies('bench-upstream', 'bench-upstream'),
    readyMs,
    stop: child.stop,
  }
}

const usd = (amount: number) => ({ usd: amount, diem: amount })

/** The deployment as Rialto's operators write it: an engine, two models with prices, and plans whose limits are real but high. */
function writeConfig(config: string, upstream: number): void {
  mkdirSync(join(config, 'models'), { recursive: true })
  const write = (name: string, data: unknown): void => writeFileSync(join(config, name), JSON.stringify(data, null, 2))
  const deployments = [{ engine: 'mock', model: 'bench-upstream' }]
  const pricing = { input: usd(0.15), output: usd(0.6) }
  const shared = { created: 1_741_569_952, privacy: 'private', tier: 'XS', deployments }
  const off = Object.fromEntries(
    [
      'optimizedForCode',
      'supportsReasoning',
      'supportsReasoningEffort',
      'supportsVision',
      'supportsMultipleImages',
      'supportsAudioInput',
      'supportsVideoInput',
      'supportsWebSearch',
      'supportsXSearch',
      'supportsLogProbs',
      'supportsTeeAttestation',
      'supportsE2EE',
    ].map((name) => [name, false]),
  )
  const capabilities = { ...off, quantization: 'not-available', supportsFunctionCalling: true, supportsResponseSchema: true }
  write('engines.json', [
    {
      id: 'mock',
      kind: 'openai',
      baseUrl: `http://127.0.0.1:${upstream}/v1`,
      privacy: 'private',
      lists: false,
      remedy: 'Start the mock upstream of the benchmark.',
    },
  ])
  write('models/text.json', [
    {
      ...shared,
      id: 'bench-text',
      type: 'text',
      spec: { name: 'Bench', availableContextTokens: 131_072, maxCompletionTokens: 16_384, pricing, capabilities },
    },
  ])
  write('models/embedding.json', [
    {
      ...shared,
      id: 'bench-embedding',
      type: 'embedding',
      spec: { name: 'Bench', maxInputTokens: 8192, embeddingDimensions: 256, pricing },
    },
  ])
  const limit = { rpm: 1_000_000_000, tpm: 1_000_000_000_000 }
  const plan = {
    text: { XS: limit, S: limit, M: limit, L: limit },
    ...Object.fromEntries(['embedding', 'image', 'inpaint', 'upscale', 'tts', 'asr', 'music', 'video'].map((type) => [type, limit])),
  }
  const known: unknown = JSON.parse(readFileSync(join(ROOT, 'config/plans.json'), 'utf8'))
  write('plans.json', Object.fromEntries(Object.keys(known ?? {}).map((name) => [name, plan])))
}

/** How long it takes, in milliseconds, from now until the server answers with 200. */
async function ready(child: Child, port: number, path: string): Promise<number> {
  const startedAt = performance.now()
  while (performance.now() - startedAt < READY_MS) {
    if ((await statusOf(port, path)) === 200) return performance.now() - startedAt
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  await child.stop()
  throw new Error(`no 200 from port ${port} ${path}:\n${child.said()}`)
}

function statusOf(port: number, path: string): Promise<number> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' }, () =>
      socket.write(`GET ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n`),
    )
    socket.setTimeout(2000, () => socket.destroy())
    socket.once('data', (data) => {
      resolve(Number(data.toString('latin1', 9, 12)))
      socket.destroy()
    })
    socket.once('error', () => resolve(0))
    socket.once('close', () => resolve(0))
  })
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => (address !== null && typeof address === 'object' ? resolve(address.port) : reject(new Error('no free port'))))
    })
    server.once('error', reject)
  })
}

function version(file: string): string {
  const content: unknown = JSON.parse(readFileSync(file, 'utf8'))
  return typeof content === 'object' && content !== null && 'version' in content ? String(content.version) : '?'
}
