/** The table of `npm run bench -- local`: medians over the rounds, ratios within each round, and what is asked of Rialto. */
import type { Answered } from './local-client.ts'
import type { Gateway } from './local-server.ts'
import { type Figures, median } from './local-times.ts'
import type { Machine } from './report.ts'

/** One measurement: `first` is a short prompt for the time to the first token, `chats` are long ones. */
export type LocalSample = {
  readonly kind: 'first' | 'chats'
  readonly round: number
  readonly chats: number
} & (({ readonly side: 'bare' } & Figures) | ({ readonly side: 'rialto'; readonly gateway: Gateway } & Answered))

export type LocalReport = {
  readonly machine: Machine
  readonly samples: readonly LocalSample[]
  readonly chats: readonly number[]
  readonly threads: number
  readonly prompt: number
  readonly tokens: number
  readonly firstPrompt: number
  readonly out: string
}

const LEAST_RATIO = 0.95
const MOST_ADDED_MS = 5
const MOST_DELAY_MS = 10

export function printLocal(report: LocalReport): void {
  const { machine: m, samples } = report
  const rounds = Math.max(0, ...samples.filter(({ kind }) => kind === 'chats').map(({ round }) => round))
  const sizes = `${report.prompt} tokens read and ${report.tokens} written by each chat; ${report.threads} thread${report.threads === 1 ? '' : 's'} on both sides`
  const lines = [
    '',
    `${m.cores} cores, ${m.cpu}, ${m.memoryGb} GB, ${m.system}, node ${m.node}; ${rounds} interleaved round${rounds === 1 ? '' : 's'}, medians.`,
    `${sizes}. The least ratios of any round are in brackets.`,
    '',
    ...table(
      ['tokens/s', 'bare', 'rialto', 'rialto / bare', 'at least', ''],
      report.chats.flatMap((chats) => speedRows(samples, chats)),
    ),
    '',
    ...table(['Rialto', 'measured', 'at most', ''], [firstRow(report), ...report.chats.flatMap((chats) => gatewayRows(samples, chats))]),
    '',
    ...notes(samples),
    `Raw rows: ${report.out}`,
    '',
  ]
  process.stdout.write(lines.join('\n'))
}

const SPEEDS = [
  { title: 'read', of: (figures: Figures): number => figures.prefillPerSecond, asked: true },
  { title: 'written', of: (figures: Figures): number => figures.decodePerSecond, asked: true },
  { title: 'both, start to end', of: (figures: Figures): number => figures.allPerSecond, asked: false },
] as const

function speedRows(samples: readonly LocalSample[], chats: number): string[][] {
  return SPEEDS.map(({ title, of, asked }) => {
    const pairs = pairsOf(samples, 'chats', chats, of)
    const ratios = pairs.map(([bare, rialto]) => rialto / bare)
    const middle = median(ratios)
    return [
      `${title}, ${chats} chat${chats === 1 ? '' : 's'}`,
      fixed(median(pairs.map(([bare]) => bare)), 1),
      fixed(median(pairs.map(([, rialto]) => rialto)), 1),
      `${fixed(middle, 3)} (${fixed(ratios.length > 0 ? Math.min(...ratios) : null, 3)})`,
      asked ? String(LEAST_RATIO) : '',
      asked ? verdict(middle, (value) => value >= LEAST_RATIO) : '',
    ]
  })
}

function firstRow({ samples, firstPrompt }: LocalReport): string[] {
  const added = addedFirst(samples)
  const title = `first token of ${firstPrompt} tokens, over the library's own, ms`
  return [title, fixed(median(added), 2), String(MOST_ADDED_MS), verdict(median(added), (value) => value <= MOST_ADDED_MS)]
}

function addedFirst(samples: readonly LocalSample[]): number[] {
  return pairsOf(samples, 'first', 1, ({ firstTokenMs }) => firstTokenMs)
    .map(([bare, rialto]) => rialto - bare)
    .toSorted((a, b) => a - b)
}

function gatewayRows(samples: readonly LocalSample[], chats: number): string[][] {
  const these = samples.filter((sample) => sample.side === 'rialto').filter(({ kind, chats: n }) => kind === 'chats' && n === chats)
  const delays = these.flatMap(({ gateway }) => gateway.delay ?? [])
  const p99 = median(delays.map(({ p99Ms }) => p99Ms))
  const longest = delays.length > 0 ? Math.max(...delays.map(({ maxMs }) => maxMs)) : null
  const perToken = median(
    these.flatMap((sample) => (sample.gateway.cpuUs === null ? [] : [sample.gateway.cpuUs / (sample.chats * sample.written)])),
  )
  const at = `at ${chats} chat${chats === 1 ? '' : 's'}`
  return [
    [`event loop delay p99 ${at}, ms`, fixed(p99, 2), String(MOST_DELAY_MS), verdict(p99, (value) => value <= MOST_DELAY_MS)],
    [`the longest of all ${at}, ms`, fixed(longest, 2), '', ''],
    [`CPU of the gateway ${at}, µs per token written`, fixed(perToken, 0), '', ''],
  ]
}

function notes(samples: readonly LocalSample[]): string[] {
  const rialto = samples.filter((sample) => sample.side === 'rialto')
  const cached = rialto.reduce((sum, { cachedTokens }) => sum + cachedTokens, 0)
  const pieces = median(rialto.map(({ piecesPerToken }) => piecesPerToken))
  const added = addedFirst(samples)
  const own = median(pairsOf(samples, 'first', 1, ({ firstTokenMs }) => firstTokenMs).map(([bare]) => bare))
  const quarter = (share: number): string => fixed(added[Math.floor((added.length - 1) * share)] ?? null, 2)
  return [
    `The library's own first token took ${fixed(own, 1)} ms; half of the ${added.length} differences are between ${quarter(0.25)} and ${quarter(0.75)} ms.`,
    `Rialto sent ${fixed(pieces, 3)} pieces of text per token, and had ${cached} tokens of all prompts from before.`,
  ]
}

/** A value of both sides in the same round. */
function pairsOf(
  samples: readonly LocalSample[],
  kind: LocalSample['kind'],
  chats: number,
  of: (figures: Figures) => number,
): [number, number][] {
  const these = samples.filter((sample) => sample.kind === kind && sample.chats === chats)
  return these.flatMap((sample): [number, number][] => {
    if (sample.side !== 'rialto') return []
    const other = these.find(({ side, round }) => side === 'bare' && round === sample.round)
    return other ? [[of(other), of(sample)]] : []
  })
}

const verdict = (value: number | null, met: (value: number) => boolean): string => (value === null ? '' : met(value) ? 'met' : 'MISSED')
const fixed = (value: number | null, digits: number): string => (value === null ? '-' : value.toFixed(digits))

/** First column to the left, the others to the right. */
function table(head: readonly string[], body: readonly (readonly string[])[]): string[] {
  const rows = [head, ...body]
  const widths = head.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const cell = (text: string, row: number, column: number): string =>
    column === 0 ? (row === 0 ? text : `  ${text}`).padEnd((widths[0] ?? 0) + 2) : text.padStart((widths[column] ?? 0) + 3)
  return rows.map((row, at) =>
    row
      .map((text, column) => cell(text, at, column))
      .join('')
      .trimEnd(),
  )
}
