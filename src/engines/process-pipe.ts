/**
 * The other spawner beside `process.ts`: a program of the machine that turns bytes into bytes, such as ffmpeg. It gets a bare
 * environment and no files; what it says goes nowhere. It lives as long as one piece of work.
 */
import { spawn } from 'node:child_process'
import { accessSync, constants, statSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import type { Signal } from '../core/cancel.ts'
import { Failure, callerLeft, fail } from '../core/errors.ts'

/** A program that takes nothing in, or does not come to its end, for so long is taken for hung. */
const SILENT_MS = 30_000
/** What one piece of work may give. */
const MAX_BYTES = 256 * 1024 * 1024

export type Pipe = {
  /** Gives the program more to read; resolves with what it has written so far, once it takes more. */
  write(bytes: Uint8Array): Promise<Buffer>
  /** The program has all; resolves with the rest once it has ended well. */
  end(): Promise<Buffer>
  /** Ends it, whatever it is doing. */
  leave(): void
}

/** The path of a program where one is on this PATH; null where none is. */
export function programOn(path: string | undefined, name: string): string | null {
  for (const folder of (path ?? '').split(delimiter)) {
    if (folder !== '' && isProgram(join(folder, name))) return join(folder, name)
  }
  return null
}

/** Whether this user may start what is there. */
export function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}

/** Starts the program. Aborting the signal ends it; calls then reject with the reason. `internal` says in the log what failed. */
export function openPipe(
  program: string,
  args: readonly string[],
  { env, signal, internal }: { readonly env: Readonly<Record<string, string>>; readonly signal: Signal; readonly internal: string },
): Pipe {
  const child = spawn(program, [...args], { env: { ...env }, stdio: ['pipe', 'pipe', 'ignore'] })
  let written: Buffer[] = []
  let sizeBytes = 0
  const state: { ended: number | null } = { ended: null }
  let wake = (): void => undefined
  const leave = (): void => void child.kill('SIGKILL')
  signal.addEventListener('abort', leave, { once: true })
  child.stdout.on('data', (bytes: Buffer) => {
    written.push(bytes)
    sizeBytes += bytes.length
    if (sizeBytes > MAX_BYTES) leave()
  })
  child.stdin.on('drain', () => wake()).on('error', () => undefined)
  const over = (code: number | null): void => {
    state.ended ??= code ?? -1
    signal.removeEventListener('abort', leave)
    wake()
  }
  child.on('close', over).on('error', () => over(-1))

  const broken = (): Failure => (signal.aborted ? reasonOf(signal) : fail('INFERENCE_FAILED', { internal }))
  /** Until something happens, or it is taken for hung. */
  const waited = (): Promise<void> =>
    new Promise((resolve) => {
      const limit = setTimeout(leave, SILENT_MS)
      wake = () => {
        clearTimeout(limit)
        wake = () => undefined
        resolve()
      }
    })
  const taken = (): Buffer => {
    const all = Buffer.concat(written)
    written = []
    return all
  }
  return {
    async write(bytes) {
      if (state.ended !== null) throw broken()
      if (!child.stdin.write(bytes)) await waited()
      if (state.ended !== null) throw broken()
      return taken()
    },
    async end() {
      child.stdin.end()
      while (state.ended === null) await waited()
      if (state.ended !== 0) throw broken()
      return taken()
    },
    leave,
  }
}

const reasonOf = (signal: Signal): Failure => (signal.reason instanceof Failure ? signal.reason : callerLeft())
