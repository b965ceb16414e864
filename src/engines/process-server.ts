/**
 * The other spawner: a program of the machine that serves HTTP for as long as its child lives. It listens on a Unix socket in a
 * folder that only this user can enter, and wants a key that is made for it: nobody else on the machine gets an answer of it.
 * Runs in children only, so that a gateway that is killed, in whatever way, takes the program along (`process.ts`, groups).
 */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Cancel } from '../core/cancel.ts'
import { Egress } from './egress.ts'

/** How often a program that is starting is asked whether it is ready. */
const ASK_MS = 50
const ANSWER_MS = 10_000
const KEY_BYTES = 32
/** Relative to the folder, which is where both sides are: the path of a socket may have some hundred bytes, and folders are longer. */
const SOCKET = 'server.sock'

export type ServerOptions = {
  readonly program: string
  /** What it is started with. `folder` is its working folder, for whatever it wants to keep; it goes when the program does. */
  readonly start: (how: { readonly socket: string; readonly key: string; readonly folder: string }) => {
    readonly args: readonly string[]
    readonly env: Readonly<Record<string, string>>
  }
  /** Answers with 200 once it can be used. */
  readonly healthPath: string
}

/** The program ended although nobody had asked it to. */
export class ServerEnded extends Error {
  override readonly name = 'ServerEnded'
}

/** Invariant: its folder is there for as long as it is open, and no program of it lives after that. */
export class ProgramServer {
  readonly #folder: string
  readonly #child: ReturnType<typeof spawn>
  readonly #ended: Promise<void>
  readonly egress: Egress
  readonly #healthPath: string
  #over = false

  /** Starts the program; whether it runs shows in `ready`. The process's own working folder becomes that of the program. */
  constructor({ program, start, healthPath }: ServerOptions) {
    // Whoever makes a folder by this name is the only one who can enter it.
    this.#folder = mkdtempSync(join(tmpdir(), 'rialto-'))
    process.chdir(this.#folder)
    const key = randomBytes(KEY_BYTES).toString('base64url')
    const { args, env } = start({ socket: SOCKET, key, folder: this.#folder })
    // The place of the channel, too: the program shall not have it.
    const child = spawn(program, [...args], { env, cwd: this.#folder, stdio: ['ignore', 'ignore', 'ignore', 'ignore'] })
    this.#child = child
    this.#healthPath = healthPath
    this.#ended = new Promise((resolve) => {
      const end = (): void => {
        this.#over = true
        resolve()
      }
      child.once('exit', end)
      child.once('error', () => child.pid === undefined && end())
    })
    this.egress = new Egress({
      baseUrl: 'http://localhost/v1',
      socketPath: SOCKET,
      headers: { authorization: `Bearer ${key}` },
      allowPrivateAddresses: true,
    })
  }

  /** Resolves once the program is gone. */
  get ended(): Promise<void> {
    return this.#ended
  }

  /** Whether it could be started at all. */
  get started(): boolean {
    return this.#child.pid !== undefined
  }

  /** Resolves once it can be used; rejects with a `ServerEnded` where it ends before that. Whoever waits sets the limit. */
  async ready(): Promise<void> {
    while (!this.#over) {
      if (await this.#healthy()) return
      await sleep(ASK_MS)
    }
    throw new ServerEnded()
  }

  /** Ends the program and removes its folder. Safe to be called twice. */
  async close(): Promise<void> {
    await this.egress.close()
    // It has nothing to bring to an end.
    this.#child.kill('SIGKILL')
    await this.#ended
    rmSync(this.#folder, { recursive: true, force: true })
  }

  async #healthy(): Promise<boolean> {
    try {
      await this.egress.collect({
        method: 'GET',
        path: this.#healthPath,
        fromRoot: true,
        accept: 'application/json',
        signal: new Cancel(),
        firstByteMs: ANSWER_MS,
        stallMs: ANSWER_MS,
      })
      return true
    } catch {
      // It does not listen yet, or is loading.
      return false
    }
  }
}
