/** The table: medians over the rounds, ratios within each round, and what is asked of Rialto. */
import { arch, cpus, platform, release, totalmem } from 'node:os'
import type { LoadResult } from './load.ts'
import { HAS_PROC } from './process.ts'
import { ROWS, type Row, type RowName } from './rows.ts'
import type { Server, ServerName } from './servers.ts'

export type Sample = LoadResult & {
  readonly round: number
  readonly row: RowName
  readonly server: ServerName
  /** CPU time of the server per answer, and as a share of one core. */
  readonly cpuUs: number | null
  readonly cpuShare: number | null
  readonly rssMb: number | null
}
export type Start = { readonly first: boolean; readonly readyMs: number; readonly idleRssMb: number | null }
export type Memory = { readonly requests: number /** After each lap. */; readonly rssMb: readonly number[] }
export type Machine = {
  readonly cores: number
  readonly cpu: string
  readonly memoryGb: number
  readonly system: string
  readonly node: string
  readonly pinned: boolean
}

export type Report = {
  readonly machine: Machine
  readonly rounds: number
  readonly servers: readonly Server[]
  readonly samples: readonly Sample[]
  readonly starts: readonly Start[]
  readonly memory: Memory | null
  /** The rooms that one of the servers was without. */
  readonly ablated: string | null
  readonly out: string
}

export function machine(pinned: boolean): Machine {
  const all = cpus()
  return {
    cores: all.length,
    cpu: all[0]?.model.trim() ?? '?',
    memoryGb: Math.round(totalmem() / 1e8) / 10,
    system: `${platform()} ${release()} ${arch()}`,
    node: process.version,
    pinned,
  }
}

export function print(report: Report): void {
  const { machine: m } = report
  const lines = [
    '',
    `${m.cores} cores, ${m.cpu}, ${m.memoryGb} GB, ${m.system}, node ${m.node}; ${report.rounds} interleaved round${report.rounds === 1 ? '' : 's'}, medians.`,
    `${report.servers.map(({ name, version }) => `${name} ${version}`).join(', ')}; ${m.pinned ? 'server on core 0, load and upstream on core 1' : 'not pinned to cores'}.`,
    'Only the ratios within one run count: machines differ, and so do hours.',
    ...(HAS_PROC ? [] : ['This system has no /proc: no CPU times and no memory.']),
  ]
  for (const row of ROWS) {
    const samples = report.samples.filter((sample) => sample.row === row.name)
    if (samples.length > 0) lines.push('', ...rowLines(row, samples))
  }
  lines.push('', ...startLines(report), '', ...targetLines(report), '', `Raw rows: ${report.out}`, '')
  process.stdout.write(lines.join('\n'))
}

function rowLines(row: Row, samples: readonly Sample[]): string[] {
  const paced = row.name === 'paced'
  const head = paced
    ? ['CPU % of a core', '× bare', 'first byte p50 ms', 'p99 ms', 'a chunk p50 ms', 'p99 ms', 'RSS MB']
    : ['CPU µs/answer', '× bare', '× portkey', 'answers/s', 'p50 ms', 'p99 ms', 'RSS MB']
  const of = (server: ServerName, read: (sample: Sample) => number | null) =>
    median(samples.filter((sample) => sample.server === server).map(read))
  const body = row.servers
    .filter((server) => samples.some((sample) => sample.server === server))
    .map((server) => {
      const cells = paced
        ? [
            fixed(
              scaled(
                of(server, (sample) => sample.cpuShare),
                100,
              ),
              1,
            ),
            fixed(
              ratio(samples, server, 'bare', (sample) => sample.cpuShare),
              2,
            ),
            ms(of(server, (sample) => sample.firstByteP50Us)),
            ms(of(server, (sample) => sample.firstByteP99Us)),
            ms(of(server, (sample) => sample.chunkP50Us)),
            ms(of(server, (sample) => sample.chunkP99Us)),
          ]
        : [
            fixed(
              of(server, (sample) => sample.cpuUs),
              0,
            ),
            fixed(
              ratio(samples, server, 'bare', (sample) => sample.cpuUs),
              2,
            ),
            fixed(
              ratio(samples, server, 'portkey', (sample) => sample.cpuUs),
              3,
            ),
            fixed(
              of(server, (sample) => sample.perSecond),
              0,
            ),
            ms(of(server, (sample) => sample.p50Us)),
            ms(of(server, (sample) => sample.p99Us)),
          ]
      return [
        server,
        ...cells,
        fixed(
          of(server, (sample) => sample.rssMb),
          0,
        ),
      ]
    })
  return table([row.title, ...head], body)
}

function startLines({ starts, memory }: Report): string[] {
  const lines: string[] = []
  if (starts.length > 0) {
    const first = starts.filter((one) => one.first).map((one) => one.readyMs)
    const again = starts.filter((one) => !one.first).map((one) => one.readyMs)
    lines.push(
      `Ready to serve: ${fixed(median(first), 0)} ms the first time, ${fixed(median(again), 0)} ms again. Idle: ${fixed(median(starts.map((one) => one.idleRssMb)), 0)} MB resident.`,
    )
  }
  if (memory)
    lines.push(
      `Resident after each tenth of ${memory.requests} chats and ${memory.requests / 25} streams: ${memory.rssMb.map((mb) => fixed(mb, 0)).join(' ')} MB.`,
    )
  return lines
}

function targetLines(report: Report): string[] {
  const { samples, starts, memory } = report
  const within = (row: RowName) => samples.filter((sample) => sample.row === row)
  const readyMs = starts.length > 0 ? Math.max(...starts.map((one) => one.readyMs)) : null
  const growth = memory && HAS_PROC ? growthMb(memory) : null
  const base = memory?.rssMb[1] ?? 0
  const body = [
    target(
      `CPU of ${report.ablated}, µs/request`,
      added(within('chat1k'), 'ablated', (sample) => sample.cpuUs),
      60,
      1,
    ),
    target(
      'CPU of a 1 KB chat, × bare',
      ratio(within('chat1k'), 'rialto', 'bare', (sample) => sample.cpuUs),
      1.6,
      2,
    ),
    target(
      'CPU of a 1 KB chat, × portkey',
      ratio(within('chat1k'), 'rialto', 'portkey', (sample) => sample.cpuUs),
      0.125,
      3,
    ),
    target(
      'CPU of a 100-chunk stream, × bare',
      ratio(within('stream'), 'rialto', 'bare', (sample) => sample.cpuUs),
      1.3,
      2,
    ),
    target(
      'added p50 at 400 requests/s, ms',
      scaled(
        added(within('steady'), 'bare', (sample) => sample.p50Us),
        0.001,
      ),
      0.3,
      2,
    ),
    target(
      'added p99 at 400 requests/s, ms',
      scaled(
        added(within('steady'), 'bare', (sample) => sample.p99Us),
        0.001,
      ),
      null,
      2,
    ),
    target('ready to serve, ms', readyMs, 1000, 0),
    target('idle RSS, MB', median(starts.map((one) => one.idleRssMb)), 110, 0),
    target('RSS growth after warm-up, MB', growth, Math.max(5, base * 0.05), 1),
  ].filter((line) => line !== null)
  return table(['Rialto', 'measured', 'at most', ''], body)
}

function target(title: string, value: number | null, limit: number | null, digits: number): string[] | null {
  if (value === null) return null
  return [title, fixed(value, digits), limit === null ? '' : fixed(limit, digits), limit === null ? '' : value <= limit ? 'met' : 'MISSED']
}

/** The median of the last three laps above that of the three after the first: the first one warms up. */
function growthMb({ rssMb }: Memory): number | null {
  const before = median(rssMb.slice(1, 4))
  const after = median(rssMb.slice(-3))
  return before === null || after === null ? null : after - before
}

/** The median over the rounds of one server's value divided by another's of the same round. */
function ratio(samples: readonly Sample[], of: ServerName, to: ServerName, read: (sample: Sample) => number | null): number | null {
  return median(pairs(samples, of, to, read).map(([a, b]) => a / b))
}

/** What Rialto adds to another server's value of the same round. */
function added(samples: readonly Sample[], to: ServerName, read: (sample: Sample) => number | null): number | null {
  return median(pairs(samples, 'rialto', to, read).map(([a, b]) => a - b))
}

function pairs(samples: readonly Sample[], of: ServerName, to: ServerName, read: (sample: Sample) => number | null): [number, number][] {
  const out: [number, number][] = []
  for (const sample of samples) {
    if (sample.server !== of) continue
    const other = samples.find((one) => one.server === to && one.round === sample.round)
    const a = read(sample)
    const b = other ? read(other) : null
    if (a !== null && b !== null) out.push([a, b])
  }
  return out
}

function median(values: readonly (number | null)[]): number | null {
  const sorted = values.filter((value) => value !== null).sort((a, b) => a - b)
  const upper = sorted[Math.floor(sorted.length / 2)]
  const lower = sorted[Math.floor((sorted.length - 1) / 2)]
  return upper === undefined || lower === undefined ? null : (upper + lower) / 2
}

const scaled = (value: number | null, by: number): number | null => (value === null ? null : value * by)
const ms = (us: number | null): string => (us === null ? '-' : (us / 1000).toFixed(2))
const fixed = (value: number | null, digits: number): string => (value === null ? '-' : value.toFixed(digits))

/** First column to the left, the others to the right. */
function table(head: readonly string[], body: readonly (readonly string[])[]): string[] {
  const rows = [head, ...body]
  const widths = head.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map((row, i) =>
    row
      .map((cell, column) =>
        column === 0 ? (i === 0 ? cell : `  ${cell}`).padEnd((widths[0] ?? 0) + 2) : cell.padStart((widths[column] ?? 0) + 3),
      )
      .join('')
      .trimEnd(),
  )
}
