/** Puts the model store together for the command `npm run models`, which works beside a running server. Reads no environment itself. */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { readFile } from './catalog/read.ts'
import { CatalogProblem } from './catalog/problem.ts'
import type { Clock } from './core/clock.ts'
import { DownloadDoor } from './engines/downloads.ts'
import { SecretKey } from './keys/secret-key.ts'
import { EXIT, type Terminal, runModels } from './local-models/cli.ts'
import { realDisk } from './local-models/disk.ts'
import { ModelStore } from './local-models/local-models.ts'
import { type LocalModelsFile, localModelsFile } from './local-models/settings.ts'
import { type Environment, type Settings, StartError, settingsOf } from './start/environment.ts'
import { readFiles } from './start/files.ts'
import { ownAlone } from './store/sqlite/owner.ts'

const ROOT = join(import.meta.dirname, '..')

export type ModelsCommand = {
  readonly args: readonly string[]
  readonly env: Environment
  readonly out: Terminal
  readonly err: Terminal
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal
  readonly clock: Pick<Clock, 'now' | 'tick'>
  readonly memoryBytes: number
}

/** Runs the command; resolves with its exit code. */
export async function models({ args, env, out, err, signal, clock, memoryBytes }: ModelsCommand): Promise<number> {
  let opened: OpenModels | null = null
  try {
    const settings = settingsOf(env)
    const file = readFile(localModelsFile, readFiles(join(ROOT, 'config'), settings.overlay).localModels, 'local-models.json')
    opened = openModels({ ...settings, localModels: file }, clock, memoryBytes)
    return await runModels(args, { store: opened.store, out, err, signal })
  } catch (error) {
    if (!(error instanceof StartError || error instanceof CatalogProblem)) throw error
    err.write(`${error.message}\n`)
    return EXIT.usage
  } finally {
    await opened?.close()
  }
}

export type OpenModels = {
  readonly store: ModelStore
  /** Pauses downloads and lets go of their connections. */
  close(): Promise<void>
}

type ModelSettings = Pick<Settings, 'home' | 'hub' | 'hubToken'> & { readonly localModels: LocalModelsFile }

/** The model store over the real network and disk, for the command and for the server. */
export function openModels(
  { home, hub, hubToken, localModels }: ModelSettings,
  clock: Pick<Clock, 'now' | 'tick'>,
  memoryBytes: number,
): OpenModels {
  const downloads = new DownloadDoor(localModels.download)
  const store = new ModelStore({
    settings: localModels,
    folder: join(home, 'models'),
    memoryBytes,
    hub: hub ?? localModels.hub.replace(/\/+$/, ''),
    token: hubToken === null ? null : new SecretKey(hubToken),
    downloads,
    disk: realDisk,
    clock,
    wait: (ms, signal) => sleep(ms, undefined, { signal }),
    lock: ownAlone,
  })
  return {
    store,
    async close() {
      await store.close()
      await downloads.close()
    },
  }
}
