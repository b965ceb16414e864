/**
 * Where the CPU time of a request goes: runs Rialto under V8's sampling profiler while one row of the benchmark loads
 * it, and prints the dearest functions and files in microseconds per answer.
 *
 *   node bench/profile.ts [--server rialto|bare] [--row chat1k|chat16k|stream|embeddings] [--seconds 6] [--top 40] [--keep FILE.cpuprofile]
 *
 * Only the measured seconds count: what the profiler saw of the start and of the run-in, when code is still being
 * compiled, is left out.
 */
import { copyFileSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { z } from 'zod'
import { load } from './load.ts'
import { OTHER_CORE, killAll, pinSelf, start, threadsUs } from './process.ts'
import { ROWS, loadOf } from './rows.ts'
import { startBare, startProfiled } from './servers.ts'

const ROOT = join(import.meta.dirname, '..')

const profileShape = z.object({
  nodes: z.array(
    z.object({
      id: z.number(),
      callFrame: z.object({ functionName: z.string(), url: z.string(), lineNumber: z.number() }),
      children: z.array(z.number()).optional(),
    }),
  ),
  samples: z.array(z.number()),
  timeDeltas: z.array(z.number()),
})
type Profile = z.infer<typeof profileShape>
type Frame = Profile['nodes'][number]['callFrame']

const { values: flags } = parseArgs({
  options: {
    server: { type: 'string', default: 'rialto' },
    row: { type: 'string', default: 'chat1k' },
    seconds: { type: 'string', default: '6' },
    top: { type: 'string', default: '40' },
    keep: { type: 'string' },
  },
})
const folder = mkdtempSync(join(tmpdir(), 'rialto-profile-'))
process.once('SIGINT', () => {
  killAll()
  rmSync(folder, { recursive: true, force: true })
  process.exit(130)
})
try {
  await main()
} finally {
  killAll()
  rmSync(folder, { recursive: true, force: true })
}

async function main(): Promise<void> {
  const row = ROWS.find(({ name }) => name === flags.row)
  if (!row) throw new Error(`--row is one of ${ROWS.map(({ name }) => name).join(', ')}`)
  pinSelf()
  const mock = start(process.execPath, [join(import.meta.dirname, 'mock-upstream.ts')], { core: OTHER_CORE })
  const startedAt = performance.now()
  const nodeArgs = ['--cpu-prof', `--cpu-prof-dir=${folder}`, '--cpu-prof-interval=200']
  const upstream = await mock.listening
  const server = flags.server === 'bare' ? await startBare(upstream, nodeArgs) : await startProfiled(upstream, folder, nodeArgs)
  let from = new Map<string, number>()
  let to = new Map<string, number>()
  let skipMs = 0
  const result = await load({
    ...loadOf(row, server, 1),
    durationMs: Number(flags.seconds) * 1000,
    rampMs: 2000,
    onStart: () => {
      from = threadsUs(server.pid)
      skipMs = performance.now() - startedAt
    },
    onEnd: () => {
      to = threadsUs(server.pid)
    },
  })
  await server.stop()
  await mock.stop()
  const file = readdirSync(folder).find((name) => name.endsWith('.cpuprofile'))
  if (file === undefined) throw new Error('the server wrote no profile')
  if (flags.keep !== undefined) copyFileSync(join(folder, file), flags.keep)
  const profile = profileShape.parse(JSON.parse(readFileSync(join(folder, file), 'utf8')))
  const threads = [...to].map(([name, us]) => [name, (us - (from.get(name) ?? 0)) / result.answers] as const)
  const main = threads.find(([name]) => name === 'main')?.[1] ?? 0
  const total = threads.reduce((sum, [, us]) => sum + us, 0)
  process.stdout.write(
    `${server.name}, ${row.title}: ${total.toFixed(1)} µs of CPU per answer under the profiler (${threads
      .filter(([, us]) => us > 0.05)
      .map(([name, us]) => `${name} ${us.toFixed(1)}`)
      .join(', ')}); ${result.answers} answers, wrong: ${JSON.stringify(result.wrong)}\nBelow: the main thread only.\n`,
  )
  summarise(profile, { skipUs: skipMs * 1000, lengthUs: Number(flags.seconds) * 1e6, perAnswerUs: main, top: Number(flags.top) })
}

type Span = { readonly skipUs: number; readonly lengthUs: number; readonly perAnswerUs: number; readonly top: number }

function summarise(profile: Profile, { skipUs, lengthUs, perAnswerUs, top }: Span): void {
  const self = new Map<number, number>()
  let atUs = 0
  profile.samples.forEach((id, i) => {
    const us = profile.timeDeltas[i] ?? 0
    atUs += us
    if (atUs > skipUs && atUs <= skipUs + lengthUs) self.set(id, (self.get(id) ?? 0) + us)
  })
  const byFunction = new Map<string, number>()
  const byFile = new Map<string, number>()
  const owned = new Map<string, number>()
  const inclusive = new Map<string, number>()
  let busy = 0
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]))
  const parents = new Map(profile.nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node.id])))
  for (const [id, us] of self) {
    const frame = nodes.get(id)?.callFrame
    if (!frame || frame.functionName === '(idle)') continue
    busy += us
    add(byFunction, functionOf(frame), us)
    add(byFile, fileOf(frame), us)
    // Once per function on the stack, however often it is there.
    const seen = new Set<string>()
    let owner: string | null = null
    for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
      const above = nodes.get(at)?.callFrame
      if (!above || !/^(?:src|bench)\//.test(fileOf(above))) continue
      seen.add(functionOf(above))
      owner ??= functionOf(above)
    }
    for (const name of seen) add(inclusive, name, us)
    add(owned, owner ?? (frame.functionName === '(garbage collector)' ? frame.functionName : 'Node and libraries on their own'), us)
  }
  const show = (title: string, of: Map<string, number>): void => {
    process.stdout.write(`\n${title}\n`)
    for (const [name, us] of [...of].sort((a, b) => b[1] - a[1]).slice(0, top)) {
      const share = us / busy
      process.stdout.write(`${(share * perAnswerUs).toFixed(2).padStart(8)} µs ${(share * 100).toFixed(1).padStart(5)} %  ${name}\n`)
    }
  }
  show('By file or package, its own time', byFile)
  show('By function, its own time', byFunction)
  show('By function of Rialto, with the libraries and system calls that it calls', owned)
  show('By function of Rialto, with all that it calls, also of Rialto', inclusive)
}

function add(to: Map<string, number>, key: string, us: number): void {
  to.set(key, (to.get(key) ?? 0) + us)
}

function functionOf(frame: Frame): string {
  return `${frame.functionName || '(anonymous)'}  ${fileOf(frame)}:${frame.lineNumber + 1}`
}

function fileOf({ url, functionName }: Frame): string {
  if (url === '') return functionName.startsWith('(') ? functionName : 'native'
  if (!url.startsWith('file:')) return url
  const path = relative(ROOT, fileURLToPath(url))
  return /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? path
}
