/**
 * Starts a real llama.cpp engine on a free loopback port, with two models made on the spot, for tests that want to know
 * what a true engine does. Nothing is downloaded: the engine comes with a package, the models out of `tiny-gguf.ts`.
 */
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { programOn } from '../../src/engines/programs.ts'
import type { Report } from './llama-child.ts'
import { CONTEXT_TOKENS, writeTinyChatModel, writeTinyEmbeddingModel } from './tiny-gguf.ts'

const START_MS = 20_000
const REPORT_MS = 10_000
const STOP_MS = 5_000
const MAX_OUTPUT_CHARS = 64 * 1024

/** How a chat ended, as the engine itself saw it. */
export type Ended = Extract<Report, { type: 'ended' }>

export type LlamaServer = {
  /** With the `/v1` that OpenAI clients want. */
  readonly url: string
  readonly chatModel: string
  readonly embeddingModel: string
  /** How many chats have ended so far. */
  readonly endedCount: number
  /** Waits until the engine has begun chat number `count`, counted from 1. */
  begun(count: number): Promise<void>
  /** The chat that ended as number `count`, counted from 1; waits for it where it goes on. */
  chatEnded(count: number): Promise<Ended>
  stop(): Promise<void>
}

/**
 * llama.cpp's own server, for the tests that want the true one: where `RIALTO_LLAMA_SERVER` says, or on the PATH. No package brings it, so
 * where it is not, those tests skip.
 */
export const PROGRAM: string | null = process.env['RIALTO_LLAMA_SERVER'] ?? programOn(process.env['PATH'], 'llama-server')

/** Why it is not tested with, or null where it is. */
export const whyNoProgram = (): string | null =>
  PROGRAM === null ? "llama.cpp's own llama-server is neither on the PATH nor named by RIALTO_LLAMA_SERVER" : null

/** Why there is no engine for this machine, or null where there is one. Not asked of what is installed: that must be. */
export function whyNoEngine(): string | null {
  const here = `${process.platform}-${process.arch}`
  if (!['linux-x64', 'linux-arm64', 'darwin-x64', 'darwin-arm64'].includes(here)) return `no build of llama.cpp is installed for ${here}`
  return process.platform === 'linux' && isMusl() ? 'the builds of llama.cpp for Linux need glibc' : null
}

export async function startLlamaServer(): Promise<LlamaServer> {
  const folder = await mkdtemp(join(tmpdir(), 'rialto-llama-'))
  const [chat, embedding] = [join(folder, 'chat.gguf'), join(folder, 'embedding.gguf')]
  await Promise.all([writeTinyChatModel(chat), writeTinyEmbeddingModel(embedding)])

  const child = fork(join(import.meta.dirname, 'llama-child.ts'), [chat, embedding, String(CONTEXT_TOKENS)], {
    execArgv: [],
    env: { PATH: process.env['PATH'], HOME: folder },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  const stop = async (): Promise<void> => {
    await end(child)
    await rm(folder, { recursive: true, force: true })
  }
  const ended: Ended[] = []
  let begun = 0
  child.on('message', (report: Report) => {
    if (report.type === 'begun') begun++
    if (report.type === 'ended') ended.push(report)
    child.emit('told')
  })
  const until = async (done: () => boolean): Promise<void> => {
    const signal = AbortSignal.timeout(REPORT_MS)
    while (!done()) await once(child, 'told', { signal })
  }

  try {
    const port = await ready(child)
    return {
      url: `http://127.0.0.1:${port}/v1`,
      chatModel: 'tiny-chat',
      embeddingModel: 'tiny-embedding',
      get endedCount() {
        return ended.length
      },
      begun: (count) => until(() => begun >= count),
      async chatEnded(count) {
        await until(() => ended.length >= count)
        const report = ended[count - 1]
        if (report === undefined) throw new Error('chats are counted from 1')
        return report
      },
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

/** Resolves with the port the engine listens on; rejects with what it printed where it ends or hangs instead. */
async function ready(child: ChildProcess): Promise<number> {
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => (output = (output + text).slice(-MAX_OUTPUT_CHARS)))
  }
  return await new Promise((resolve, reject) => {
    const failed = (what: string): void => reject(new Error(`the engine ${what}\n${output}`))
    const timer = setTimeout(failed, START_MS, 'was not ready in time')
    child.once('exit', (code, signal) => failed(`ended with ${code ?? signal}`))
    child.once('error', (error) => failed(`did not start: ${error.message}`))
    child.once('message', (report: Report) => {
      clearTimeout(timer)
      if (report.type === 'ready') resolve(report.port)
    })
  })
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
  const gone = once(child, 'exit')
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
  child.kill('SIGTERM')
  await gone
  clearTimeout(timer)
}

function isMusl(): boolean {
  // Node documents this field of its report, and leaves it out where the C library is another one.
  const { header } = process.report.getReport() as { header?: { glibcVersionRuntime?: string } }
  return header?.glibcVersionRuntime === undefined
}
