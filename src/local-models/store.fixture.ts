/** A model store over a folder of a test's own and a hub of its own, with the real network door and the real disk. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach } from 'vitest'
import { DownloadDoor } from '../engines/downloads.ts'
import { ownAlone } from '../store/sqlite/owner.ts'
import { realDisk } from './disk.ts'
import { type HubContent, type TestHub, startHub } from './hub.fixture.ts'
import { type LocalModelsOptions, ModelStore } from './local-models.ts'
import type { Pull, PullStatus } from './pull.ts'
import { localModelsFile } from './settings.ts'

const closing: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

export async function testFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'rialto-models-'))
  closing.push(() => rm(folder, { recursive: true, force: true }))
  return folder
}

export async function testHub(files: Readonly<Record<string, HubContent | Buffer>>): Promise<TestHub> {
  const hub = await startHub(files)
  closing.push(() => hub.close())
  return hub
}

export type Different = {
  readonly folder?: string
  readonly download?: Readonly<Record<string, unknown>>
  readonly memory?: Readonly<Record<string, unknown>>
  readonly models?: readonly unknown[]
  readonly options?: Partial<LocalModelsOptions>
}

export async function testStore(hub: TestHub | null, different: Different = {}): Promise<ModelStore> {
  const { folder = await testFolder(), download, memory, models, options } = different
  const settings = localModelsFile.parse({
    download: {
      partBytes: 16_384,
      journalBytes: 4096,
      backoffMs: 1,
      stallMs: 2000,
      keepFreeBytes: 0,
      allowPrivateAddresses: true,
      ...download,
    },
    memory: { ...memory },
    models: models ?? [],
  })
  const downloads = new DownloadDoor(settings.download)
  const store = new ModelStore({
    settings,
    folder,
    memoryBytes: 8_000_000_000,
    hub: hub?.url ?? 'http://127.0.0.1:1',
    token: null,
    downloads,
    disk: realDisk,
    clock: { now: () => 1_700_000_000_000, tick: () => performance.now() },
    wait: () => new Promise((resolve) => setImmediate(resolve)),
    lock: ownAlone,
    ...options,
  })
  closing.push(async () => {
    await store.close()
    await downloads.close()
  })
  return store
}

/** Downloads and looks; rejects where that did not end well. */
export async function pulled(store: ModelStore, typed: string, id: string | null = null): Promise<PullStatus> {
  const status = await ended(store.pulls.begin({ typed, id, modality: 'text', how: 'link' }))
  await store.look()
  return status
}

export const ended = (pull: Pull): Promise<PullStatus> => pull.run()
