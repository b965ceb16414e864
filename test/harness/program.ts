/** Runs Rialto to its end, for starts that do not come to serving: what it printed and how it ended. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'

const MAIN = join(dirname(dirname(import.meta.dirname)), 'src', 'main.ts')
const END_MS = 20_000

export type Ended = { readonly code: number | null; readonly stdout: string; readonly stderr: string }

/** Its home is a folder that is gone afterwards, where the environment does not name another. */
export async function runProgram(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  const home = await mkdtemp(join(tmpdir(), 'rialto-program-'))
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd: home,
    env: { PATH: process.env['PATH'], HOME: home, PORT: '0', RIALTO_HOME: join(home, 'data'), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: END_MS,
    killSignal: 'SIGKILL',
  })
  try {
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
    return { code: child.exitCode, stdout, stderr }
  } finally {
    await rm(home, { recursive: true, force: true })
  }
}
