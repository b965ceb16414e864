/**
 * `npm run bench -- local`: what the way through Rialto costs a model of this machine. The library alone (local-bare.ts) and Rialto
 * take turns with the same generated file, the same threads and the same work. README.md says how to read it.
 *
 *   --rounds N     how many rounds (3)
 *   --chats A,B    how many chats at once (1,8)
 *   --prompt N     tokens that each chat reads (512), and
 *   --tokens N     writes (128)
 *   --pairs N      short chats on each side for the time to the first token (20)
 *   --first N      tokens that each of those reads (32)
 *   --threads N    threads of both sides (all cores)
 *   --keep         keeps the model file in bench/out/, and takes it from there the next time
 *   --tiny         a model that computes next to nothing, to try the benchmark itself
 */
import { existsSync, mkdirSync, renameSync } from 'node:fs'
import { request } from 'node:http'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import { parseArgs } from 'node:util'
import { HALF, PROMPT_EXTRA_TOKENS, TINY, writeModel } from './half-gguf.ts'
import type { BareOrder } from './local-bare.ts'
import { type Answered, askAll, hangUp } from './local-client.ts'
import { type LocalReport, type LocalSample, printLocal } from './local-report.ts'
import { type LocalServer, UNWATCHED, startLocal, startOn } from './local-server.ts'
import type { Figures } from './local-times.ts'
import { machine } from './report.ts'

export type LocalBench = {
  readonly args: readonly string[]
  /** Everything that is made goes there; whoever calls takes it away. */
  readonly folder: string
  /** Where raw rows are kept, and what keeps one. */
  readonly out: string
  readonly record: (row: object) => void
  readonly note: (text: string) => void
}

/** Of a short chat: the first token is what is looked at. */
const FIRST_TOKENS = 2

type Bare = { compute(order: BareOrder): Promise<Figures>; stop(): Promise<void> }

type Plan = Pick<LocalReport, 'chats' | 'threads' | 'prompt' | 'tokens' | 'firstPrompt'> & {
  readonly rounds: number
  readonly pairs: number
  readonly contextTokens: number
}

/** Runs and prints. Rejects where any answer is not what was asked for. */
export async function benchLocal({ args, folder, out, record, note }: LocalBench): Promise<void> {
  const { plan, tiny, keep } = planOf(args)
  const about = machine(false)
  record({ type: 'machine', ...about, ...plan, tiny })
  const file = await modelFile(tiny, keep ? join(import.meta.dirname, 'out') : folder, note)
  const bares = new Map<number, Bare>()
  for (const chats of new Set([1, ...plan.chats])) bares.set(chats, await startBare(file, chats, plan))
  const home = join(folder, 'local')
  mkdirSync(home, { recursive: true })
  note('starting Rialto')
  const { threads, contextTokens } = plan
  const rialto = await startLocal({ folder: home, file, parallel: Math.max(...plan.chats), contextTokens, threads })
  const samples: LocalSample[] = []
  const keepSample = (sample: LocalSample): void => {
    samples.push(sample)
    record({ type: 'local', ...sample })
  }
  try {
    await measure(plan, bares, rialto, keepSample, note)
  } finally {
    hangUp()
    await Promise.all([rialto.stop(), ...[...bares.values()].map((bare) => bare.stop())])
  }
  printLocal({ ...plan, machine: about, samples, out })
}

function planOf(args: readonly string[]): { plan: Plan; tiny: boolean; keep: boolean } {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: 'string', default: '3' },
      chats: { type: 'string', default: '1,8' },
      prompt: { type: 'string', default: '512' },
      tokens: { type: 'string', default: '128' },
      pairs: { type: 'string', default: '20' },
      first: { type: 'string', default: '32' },
      threads: { type: 'string', default: String(availableParallelism()) },
      keep: { type: 'boolean', default: false },
      tiny: { type: 'boolean', default: false },
    },
  })
  const number = (name: 'rounds' | 'prompt' | 'tokens' | 'pairs' | 'first' | 'threads', least: number): number => {
    const value = Number(values[name])
    if (!Number.isSafeInteger(value) || value < least) throw new Error(`--${name} takes a whole number from ${least}`)
    return value
  }
  const chats = values.chats.split(',').map(Number)
  if (chats.some((count) => !Number.isSafeInteger(count) || count < 1 || count > 64)) throw new Error('--chats takes numbers from 1 to 64')
  const [prompt, tokens, firstPrompt] = [
    number('prompt', PROMPT_EXTRA_TOKENS + 1),
    number('tokens', 2),
    number('first', PROMPT_EXTRA_TOKENS + 1),
  ]
  // With some room, in steps that engines like.
  const contextTokens = Math.ceil((Math.max(prompt, firstPrompt) + tokens + 64) / 256) * 256
  const plan = {
    chats,
    prompt,
    tokens,
    firstPrompt,
    contextTokens,
    rounds: number('rounds', 1),
    pairs: number('pairs', 0),
    threads: number('threads', 1),
  }
  return { plan, tiny: values.tiny, keep: values.keep }
}

async function modelFile(tiny: boolean, folder: string, note: (text: string) => void): Promise<string> {
  const file = join(folder, tiny ? 'local-tiny.gguf' : 'local-half.gguf')
  if (existsSync(file)) return file
  note('making the model')
  await writeModel(`${file}.part`, tiny ? TINY : HALF)
  renameSync(`${file}.part`, file)
  return file
}

/** The library as a program for so many chats has it, loaded once. */
async function startBare(file: string, chats: number, { threads, contextTokens }: Plan): Promise<Bare> {
  const numbers = { chats, threads, context: contextTokens }
  const child = startOn(threads, [
    join(import.meta.dirname, 'local-bare.ts'),
    '--serve',
    // As Rialto does it.
    '--gpu',
    '--model',
    file,
    ...Object.entries(numbers).flatMap(([name, value]) => [`--${name}`, String(value)]),
  ])
  const port = await child.listening
  return {
    async compute(order) {
      const failed = (): Error => new Error(`the library alone failed:\n${child.said()}`)
      return await new Promise((resolve, reject) => {
        // Without the time limits of `fetch`: a busy machine takes minutes for a round.
        const sent = request({ port, host: '127.0.0.1', method: 'POST' }, (answer) => {
          if (answer.statusCode !== 200) return reject(failed())
          // Our own script's answer.
          json(answer).then((figures) => resolve(figures as Figures), reject)
        })
        sent.once('error', () => reject(failed())).end(JSON.stringify(order))
      })
    },
    stop: child.stop,
  }
}

/** Round 0 warms up and is not kept: files are read into memory, code is compiled. */
async function measure(
  plan: Plan,
  bares: ReadonlyMap<number, Bare>,
  rialto: LocalServer,
  keep: (sample: LocalSample) => void,
  note: (text: string) => void,
): Promise<void> {
  const pair = async (kind: LocalSample['kind'], round: number, chats: number, size: { prompt: number; tokens: number }): Promise<void> => {
    const sides = [
      async (): Promise<void> => {
        const figures = await bares.get(chats)?.compute({ ...size, round })
        if (round > 0 && figures) keep({ kind, round, chats, side: 'bare', ...figures })
      },
      async (): Promise<void> => {
        const run = (): Promise<Answered> => askAll(rialto.port, { ...size, chats })
        // Watching costs a share of the processor, which is more than what is looked for in the first token.
        const { result, gateway } = kind === 'chats' ? await rialto.watch(run) : { result: await run(), gateway: UNWATCHED }
        if (round > 0) keep({ kind, round, chats, side: 'rialto', gateway, ...result })
      },
    ]
    // Neither is always the first.
    for (const side of round % 2 === 0 ? sides.toReversed() : sides) await side()
  }
  for (let round = 0; round <= plan.rounds; round++) {
    for (const chats of plan.chats) {
      note(round === 0 ? `warm-up: ${chats} at once` : `round ${round} of ${plan.rounds}: ${chats} at once`)
      await pair('chats', round, chats, { prompt: plan.prompt, tokens: round === 0 ? Math.min(16, plan.tokens) : plan.tokens })
    }
  }
  note('the first token')
  for (let round = 0; round <= plan.pairs; round++) await pair('first', round, 1, { prompt: plan.firstPrompt, tokens: FIRST_TOKENS })
}
