/**
 * `npm run bench`: Rialto with everything on, a bare proxy and the peers that are installed, side by side on this
 * machine, in interleaved rounds in front of one mock upstream. README.md says what every row means.
 *
 *   --quick         one short round
 *   --rounds N      how many rounds (3)
 *   --only A,B      these rows (chat1k, chat16k, stream, embeddings, steady, paced, start, memory)
 *   --servers A,B   these servers (rialto, bare, nginx, portkey)
 *   --soak          memory over 100,000 requests instead of 20,000
 *   --ablate A,B    only what these rooms cost (keys, limits, money): Rialto beside itself without them
 *
 * `npm run bench -- local …` compares a model of this machine with and without Rialto instead; local.ts has its flags.
 *
 * Ends with an error when any answer was wrong. Raw rows go to `bench/out/*.jsonl`.
 */
import { appendFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { load } from './load.ts'
import { benchLocal } from './local.ts'
import { OTHER_CORE, cpuUs, killAll, pinSelf, rssMb, start } from './process.ts'
import { type Memory, type Sample, type Start, machine, print } from './report.ts'
import { ROWS, type Row, loadOf } from './rows.ts'
import { type Server, type ServerName, isPeer, startAll, startRialto } from './servers.ts'

const [first, ...rest] = process.argv.slice(2)
const isLocal = first === 'local'

const { values: flags } = parseArgs({
  args: isLocal ? [] : process.argv.slice(2),
  options: {
    quick: { type: 'boolean', default: false },
    soak: { type: 'boolean', default: false },
    ablate: { type: 'string' },
    rounds: { type: 'string' },
    only: { type: 'string' },
    servers: { type: 'string', default: 'rialto,bare,nginx,portkey' },
  },
})
const rounds = Math.min(100, Math.max(1, Number(flags.rounds ?? (flags.quick ? 1 : 3))))
const scale = flags.quick ? 0.5 : 1
const only = flags.ablate === undefined ? flags.only?.split(',') : ['chat1k']
const wanted = (name: string): boolean => only === undefined || only.includes(name)

/** Long enough for V8 to compile what is hot, which takes some 20,000 requests; the first row warms what all share. */
const WARM_FIRST_MS = 5000
const WARM_MS = flags.quick ? 2000 : 3000
const STARTS = flags.quick ? 2 : 3
const IDLE_MS = 2000
const SOAK = flags.soak ? 100_000 : flags.quick ? 5000 : 20_000
const LAPS = 10
const SETTLE_MS = 300

const outDir = join(import.meta.dirname, 'out')
mkdirSync(outDir, { recursive: true })
const out = join(outDir, `${new Date().toISOString().replaceAll(':', '-')}.jsonl`)
const record = (row: object): void => appendFileSync(out, `${JSON.stringify(row)}\n`)
const note = (text: string): void => void process.stderr.write(`${text}\n`)
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

const folder = mkdtempSync(join(tmpdir(), 'rialto-bench-'))
function clean(): void {
  killAll()
  rmSync(folder, { recursive: true, force: true })
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    clean()
    process.exit(130)
  })
}

try {
  await (isLocal ? benchLocal({ args: rest, folder, out, record, note }) : main())
} catch (error) {
  process.stderr.write(`\nThe benchmark failed: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
} finally {
  clean()
}

async function main(): Promise<void> {
  const pinned = pinSelf()
  const about = machine(pinned)
  record({ type: 'machine', ...about, rounds, scale })
  const names: ReadonlySet<ServerName> =
    flags.ablate === undefined
      ? new Set(flags.servers.split(',').filter((name): name is ServerName => ['rialto', 'bare', 'nginx', 'portkey'].includes(name)))
      : new Set(['rialto', 'ablated', 'bare'])
  const mock = start(process.execPath, [join(import.meta.dirname, 'mock-upstream.ts')], { core: OTHER_CORE })
  const upstream = await mock.listening

  const starts = names.has('rialto') && wanted('start') ? await measureStarts(upstream) : []
  const servers = await startAll(upstream, folder, names, flags.ablate ?? '', note)
  const samples = await measureRounds(servers)
  const rialto = servers.find(({ name }) => name === 'rialto')
  const memory = rialto && wanted('memory') ? await measureMemory(rialto) : null
  await Promise.all(servers.map((server) => server.stop()))
  await mock.stop()
  print({ machine: about, rounds, servers, samples, starts, memory, ablated: flags.ablate ?? null, out })
}

/** A first start in an empty folder, then starts over what is there; and what it takes up when nobody asks anything. */
async function measureStarts(upstream: number): Promise<Start[]> {
  const starts: Start[] = []
  for (let i = 0; i < STARTS; i++) {
    note(`start ${i + 1} of ${STARTS}`)
    const server = await startRialto(upstream, folder)
    await pause(IDLE_MS)
    const one = { first: i === 0, readyMs: server.readyMs, idleRssMb: rssMb(server.pid) }
    await server.stop()
    starts.push(one)
    record({ type: 'start', ...one })
  }
  return starts
}

async function measureRounds(servers: readonly Server[]): Promise<Sample[]> {
  const rows = ROWS.filter(({ name }) => wanted(name))
  const leftOut = new Set<string>()
  for (const row of rows) {
    if (row.rate !== undefined) continue
    for (const server of servers) {
      if (!row.servers.includes(server.name)) continue
      note(`warm-up: ${row.title}: ${server.name}`)
      try {
        await measure(row, server, 0, (row === rows[0] ? WARM_FIRST_MS : WARM_MS) / (row.seconds * 1000))
      } catch (error) {
        if (!isPeer(server.name)) throw error
        note(`left out: ${error instanceof Error ? error.message : ''}`)
        leftOut.add(`${row.name} ${server.name}`)
      }
    }
  }
  const samples: Sample[] = []
  for (let round = 1; round <= rounds; round++) {
    for (const row of rows) {
      const these = servers.filter(({ name }) => row.servers.includes(name) && !leftOut.has(`${row.name} ${name}`))
      // Nobody is always the first.
      for (let i = 0; i < these.length; i++) {
        const server = these[(i + round) % these.length]
        if (!server) continue
        note(`round ${round} of ${rounds}: ${row.title}: ${server.name}`)
        const sample = await measure(row, server, round, scale)
        samples.push(sample)
        record({ type: 'sample', ...sample })
      }
    }
  }
  return samples
}

async function measure(row: Row, server: Server, round: number, lengthScale: number): Promise<Sample> {
  let from: number | null = null
  let to: number | null = null
  let startedAt = 0
  let elapsedMs = 0
  const result = await load({
    ...loadOf(row, server, lengthScale),
    onStart: () => {
      from = cpuUs(server.pid)
      startedAt = performance.now()
    },
    onEnd: () => {
      to = cpuUs(server.pid)
      elapsedMs = performance.now() - startedAt
    },
  })
  refuseWrong(row, server, result.wrong)
  const usedUs = from === null || to === null ? null : to - from
  return {
    round,
    row: row.name,
    server: server.name,
    ...result,
    cpuUs: usedUs === null ? null : usedUs / result.answers,
    cpuShare: usedUs === null ? null : usedUs / 1000 / elapsedMs,
    rssMb: rssMb(server.pid),
  }
}

/** Equal laps of chats and streams; what is resident after each of them. */
async function measureMemory(server: Server): Promise<Memory> {
  const chat = ROWS.find(({ name }) => name === 'chat1k')
  const stream = ROWS.find(({ name }) => name === 'stream')
  const rss: number[] = []
  if (!chat || !stream) throw new Error('no rows for the memory laps')
  for (let lap = 1; lap <= LAPS; lap++) {
    note(`memory: lap ${lap} of ${LAPS}`)
    for (const [row, requests] of [
      [chat, SOAK / LAPS],
      [stream, SOAK / LAPS / 25],
    ] as const) {
      const result = await load({ ...loadOf(row, server, 1), requests, rampMs: 0, durationMs: 120_000 })
      refuseWrong(row, server, result.wrong)
    }
    await pause(SETTLE_MS)
    rss.push(rssMb(server.pid) ?? 0)
  }
  const memory = { requests: SOAK, rssMb: rss }
  record({ type: 'memory', ...memory })
  return memory
}

function refuseWrong(row: Row, server: Server, wrong: Readonly<Record<string, number>>): void {
  const kinds = Object.entries(wrong)
  if (kinds.length === 0) return
  throw new Error(`${server.name} answered wrongly in "${row.title}": ${kinds.map(([why, count]) => `${count} times ${why}`).join(', ')}`)
}
