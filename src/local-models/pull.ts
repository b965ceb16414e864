/**
 * One download of one model: its files one after another (the small ones together), then its manifest. What has come is kept until it is
 * whole or called off.
 */
import { rename, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../core/clock.ts'
import type { Downloads } from '../core/downloads.ts'
import { type LocalModality, PROJECTOR } from '../core/local-models.ts'
import { type Disk, bring, filesIn, hashesOf, makeFolder, remove } from './disk.ts'
import { BadGguf, isProjector, readGgufHeader } from './gguf.ts'
import { FILES, type Manifest, ORDER, type Order, readManifest, writeManifest, writeOrder } from './manifest.ts'
import { needOf } from './need.ts'
import { type Plan, type PlannedFile, planWith } from './plan.ts'
import { Meter, type Progress } from './progress.ts'
import { type Reference, projectorOf, shownReference } from './reference.ts'
import type { LocalModelsFile } from './settings.ts'
import { Transfer } from './transfer.ts'
import { Trouble, troubleOf } from './trouble.ts'
import { bytesText } from './words.ts'

const INCOMING = 'incoming'
/** In the folder of a model: held by who writes into it. */
export const LOCK = 'pull.lock'
/** Files up to this size are fetched several at a time, each over one connection. */
const SMALL_BYTES = 8 * 1024 * 1024

export type PullState = 'listing' | 'downloading' | 'checking' | 'paused' | 'failed' | 'done' | 'cancelled'

export type PullStatus = Progress & {
  readonly id: string
  readonly source: string
  readonly state: PullState
  readonly files: number
  readonly filesDone: number
  /** Why it failed, or what there is to know about a good end; a sentence, or null. */
  readonly say: string | null
}

/** What a pull works with. */
export type PullTools = {
  readonly settings: LocalModelsFile
  /** The hub's address, which the environment may have changed, and its token. */
  readonly hub: string
  readonly token: { reveal(): string } | null
  readonly downloads: Downloads
  readonly disk: Disk
  readonly budgetBytes: () => number
  readonly clock: Pick<Clock, 'now' | 'tick'>
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>
  /** Takes a lock that goes with this process; null where another one has it. */
  readonly lock: (path: string) => { release(): void } | null
}

export class Pull {
  readonly order: Order
  readonly #reference: Reference
  readonly #folder: string
  readonly #tools: PullTools
  readonly #meter: Meter
  readonly #stopping = new AbortController()
  #state: PullState = 'listing'
  #files = 0
  #filesDone = 0
  #say: string | null = null
  #finished: Promise<PullStatus> | null = null

  /** `folder` is the model's own. */
  constructor(order: Order, reference: Reference, folder: string, tools: PullTools) {
    this.order = order
    this.#reference = reference
    this.#folder = folder
    this.#tools = tools
    this.#meter = new Meter(() => tools.clock.tick())
  }

  get status(): PullStatus {
    return {
      id: this.order.id,
      source: shownReference(this.#reference),
      state: this.#state,
      files: this.#files,
      filesDone: this.#filesDone,
      say: this.#say,
      ...this.#meter.progress,
    }
  }

  /** Begins, the first time. Never rejects: how it ended is in its status. */
  run(): Promise<PullStatus> {
    this.#finished ??= this.#run()
    return this.#finished
  }

  /** Stops it and keeps what has come, or deletes it. Resolves when it has stopped. */
  async stop(how: 'paused' | 'cancelled'): Promise<void> {
    this.#stopping.abort(how)
    await this.#finished
  }

  async #run(): Promise<PullStatus> {
    let lock: { release(): void } | null = null
    try {
      await makeFolder(this.#folder)
      lock = this.#tools.lock(join(this.#folder, LOCK))
      if (!lock) throw new Trouble(`${this.order.id} is being downloaded already, by another process on the same folder of data.`)
      await this.#pull(this.#stopping.signal)
      this.#state = 'done'
    } catch (error) {
      if (this.#stopping.signal.aborted) this.#state = this.#stopping.signal.reason === 'cancelled' ? 'cancelled' : 'paused'
      else {
        this.#state = 'failed'
        this.#say = troubleOf(error, 'the server').message
      }
    } finally {
      if (lock) await this.#leave()
      lock?.release()
    }
    return this.status
  }

  /** What was called off is deleted, as far as it is not the model that was there before. */
  async #leave(): Promise<void> {
    if (this.#state === 'cancelled') {
      await remove(join(this.#folder, INCOMING))
      await remove(join(this.#folder, ORDER))
      if ((await readManifest(this.#folder)) === null) await remove(this.#folder)
    } else if (this.#state === 'done') await remove(join(this.#folder, ORDER))
    else if (this.#state === 'failed') await this.#leaveNothingOfNothing()
    await remove(join(this.#folder, LOCK)).catch(() => undefined)
  }

  /** What failed before anything came is as if it had never been asked for. */
  async #leaveNothingOfNothing(): Promise<void> {
    const parts = await filesIn(join(this.#folder, INCOMING), 10_000).catch(() => [])
    if (parts.some(({ sizeBytes }) => sizeBytes > 0)) return
    await remove(join(this.#folder, INCOMING))
    await remove(join(this.#folder, ORDER))
    if ((await readManifest(this.#folder)) === null) await remove(this.#folder)
  }

  async #pull(signal: AbortSignal): Promise<void> {
    const { settings, hub, token, downloads, wait } = this.#tools
    const { stallMs, retries, backoffMs } = settings.download
    const options = { downloads, hub, token, stallMs, retries, backoffMs, wait, registry: settings.models, modality: this.order.modality }
    const before = await readManifest(this.#folder)
    if (before === null) await writeOrder(this.#folder, this.order)
    const { projector } = this.order
    const plan = await planWith(this.#reference, projector === null ? null : projectorOf(projector), options, signal)
    this.#files = plan.files.length
    const sizeBytes = plan.files.every((file) => file.sizeBytes !== null)
      ? plan.files.reduce((sum, file) => sum + (file.sizeBytes ?? 0), 0)
      : null
    this.#meter.size(sizeBytes)
    if (before !== null && before !== 'broken' && isHere(plan, before)) {
      this.#say = `${this.order.id} is here already, as it is there.`
      this.#filesDone = this.#files
      this.#meter.had(sizeBytes ?? before.files.reduce((sum, file) => sum + file.sizeBytes, 0))
      return
    }
    if (!this.order.force) this.#fitting(plan, sizeBytes)
    await writeOrder(this.#folder, { ...this.order, sizeBytes })
    this.#state = 'downloading'
    const files = await this.#fetchAll(plan.files, signal)
    await this.#install(plan, files)
  }

  /** Throws, with the numbers, where what is to be downloaded could never be loaded here. */
  #fitting({ files, modality, cacheBytesPerToken }: Plan, sizeBytes: number | null): void {
    if (sizeBytes === null || files.some(({ from }) => from.type === 'local')) return
    const budgetBytes = this.#tools.budgetBytes()
    const need = needOf({ id: this.order.id, modality, sizeBytes, cacheBytesPerToken }, this.#tools.settings.memory, budgetBytes)
    if (need.fits) return
    throw new Trouble(
      `${this.order.id} needs ${need.isLeast ? 'at least' : 'about'} ${bytesText(need.memoryBytes)} of memory, and the budget here is ${bytesText(budgetBytes)}: it could not be loaded. Nothing was downloaded; --force, or "force": true, downloads its ${bytesText(sizeBytes)} all the same.`,
    )
  }

  async #fetchAll(planned: readonly PlannedFile[], signal: AbortSignal): Promise<Manifest['files']> {
    const isSmall = ({ sizeBytes }: PlannedFile): boolean => sizeBytes !== null && sizeBytes <= SMALL_BYTES
    const done = new Map<PlannedFile, Manifest['files'][number]>()
    const one = async (file: PlannedFile, among: AbortSignal): Promise<void> => {
      done.set(file, await this.#fetchOne(file, among))
      this.#filesDone++
    }
    await atOnce(planned.filter(isSmall), this.#tools.settings.download.connections * 2, one, signal)
    for (const file of planned.filter((file) => !isSmall(file))) await one(file, signal)
    return planned.flatMap((file) => done.get(file) ?? [])
  }

  async #fetchOne(file: PlannedFile, signal: AbortSignal): Promise<Manifest['files'][number]> {
    const path = join(this.#folder, INCOMING, file.path)
    const announced = file.sha256.length > 0 || file.gitSha1 !== null
    const base = { path: file.path, announced, linkedTo: null }
    const { from } = file
    if (from.type === 'local') {
      const { how } = this.order
      if (how === 'copy') await this.#room(file.sizeBytes ?? 0)
      await bring(from.path, path, how)
      this.#state = 'checking'
      const { sizeBytes, sha256 } = await hashesOf(path, signal, (bytes) => this.#meter.came(bytes))
      return { ...base, sizeBytes, sha256, linkedTo: how === 'link' ? from.path : null }
    }
    const finished = await this.#finishedBefore(path, file, signal)
    if (finished) return { ...base, ...finished }
    const { downloads, wait, settings, token } = this.#tools
    const transfer = new Transfer(
      { path, url: from.url, token: from.hub ? token : null, sizeBytes: file.sizeBytes, sha256: file.sha256, gitSha1: file.gitSha1 },
      {
        downloads,
        bounds: settings.download,
        wait,
        onBytes: (bytes) => {
          this.#state = 'downloading'
          this.#meter.came(bytes)
        },
        onFound: (bytes) => this.#meter.had(bytes),
        onChecked: () => {
          if (file.sizeBytes === null || file.sizeBytes > SMALL_BYTES) this.#state = 'checking'
        },
        onSize: async (sizeBytes, missingBytes) => {
          if (this.#files === 1) this.#meter.size(sizeBytes)
          // Of all that is still to come, as far as that is known.
          const { sizeBytes: all, doneBytes } = this.#meter.progress
          await this.#room(Math.max(missingBytes, all === null ? 0 : all - doneBytes))
        },
      },
    )
    return { ...base, ...(await transfer.run(signal)) }
  }

  /** A file that an earlier attempt at the same model got whole, unless it is another one by now. */
  async #finishedBefore(path: string, file: PlannedFile, signal: AbortSignal): Promise<{ sizeBytes: number; sha256: string } | null> {
    const there = await stat(path).catch(() => null)
    if (!there) return null
    const { sizeBytes, sha256, gitSha1 } = await hashesOf(path, signal, undefined, file.gitSha1 !== null)
    const same =
      (file.sizeBytes === null || file.sizeBytes === sizeBytes) &&
      file.sha256.every((announced) => announced === sha256) &&
      (file.gitSha1 === null || file.gitSha1 === gitSha1)
    if (!same) {
      await remove(path)
      return null
    }
    this.#meter.had(sizeBytes)
    return { sizeBytes, sha256 }
  }

  /** Rejects, with the numbers, where so many bytes more would leave too little. */
  async #room(bytes: number): Promise<void> {
    const free = await this.#tools.disk.freeBytes(this.#folder)
    const keep = this.#tools.settings.download.keepFreeBytes
    if (bytes <= free - keep) return
    throw new Trouble(
      `There is not enough space on the disk: ${bytesText(bytes)} are to come, ${bytesText(free)} are free, and ${bytesText(keep)} of that are to stay free. Nothing more was written.`,
    )
  }

  /** The files take the place of what was there, and the manifest says so. */
  async #install(plan: Plan, files: Manifest['files']): Promise<void> {
    const [incoming, place, old] = [join(this.#folder, INCOMING), join(this.#folder, FILES), join(this.#folder, 'old')]
    const modality = plan.modality ?? (await modalityOf(incoming, plan))
    if (this.order.projector !== null) await checkProjector(incoming, plan)
    await remove(old)
    await rename(place, old).catch(() => undefined)
    await rename(incoming, place)
    await writeManifest(this.#folder, {
      format: 1,
      id: this.order.id,
      modality,
      source: shownReference(this.#reference),
      licence: plan.licence,
      files: [...files],
      roles: { ...plan.roles },
      pulledAt: Math.round(this.#tools.clock.now()),
    })
    await remove(old)
  }
}

/** Whether what is here is what there is: the same files, by their hashes or, where none was announced, by their sizes. */
function isHere(plan: Plan, { files }: Manifest): boolean {
  const here = new Map(files.map((file) => [file.path, file]))
  return (
    plan.files.length === files.length &&
    plan.files.every(({ path, from, sizeBytes, sha256 }) => {
      const file = here.get(path)
      const local = from.type === 'local' && file?.linkedTo !== from.path
      return (
        file !== undefined && !local && (sizeBytes === null || sizeBytes === file.sizeBytes) && sha256.every((one) => one === file.sha256)
      )
    })
  )
}

/** One that was named by hand is looked at: a model would not start with anything else. */
async function checkProjector(folder: string, { roles }: Plan): Promise<void> {
  const path = roles[PROJECTOR]
  if (path !== undefined && (await isProjector(join(folder, path)))) return
  throw new Trouble('The file that was named as a projector is none: it is a GGUF file of its own, called mmproj as a rule.')
}

/** What a GGUF file says it is for. */
async function modalityOf(folder: string, { roles }: Plan): Promise<LocalModality> {
  const model = roles['model']
  if (model === undefined || !/\.gguf$/i.test(model)) throw new Trouble('Say what the model is for: --kind text, embedding, tts or asr.')
  try {
    return (await readGgufHeader(join(folder, model))).pools ? 'embedding' : 'text'
  } catch (error) {
    throw new Trouble(`The file is no model that can be used here: ${error instanceof BadGguf ? error.message : 'it cannot be read'}.`)
  }
}

/** Works on all, so many at once; the first failure ends the others. */
async function atOnce<T>(
  all: readonly T[],
  limit: number,
  work: (one: T, signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const queue = [...all]
  const stop = new AbortController()
  const both = AbortSignal.any([signal, stop.signal])
  await Promise.allSettled(
    Array.from({ length: Math.min(limit, queue.length) }, async () => {
      try {
        for (let one = queue.shift(); one !== undefined; one = queue.shift()) {
          both.throwIfAborted()
          await work(one, both)
        }
      } catch (error) {
        stop.abort(error)
      }
    }),
  )
  signal.throwIfAborted()
  stop.signal.throwIfAborted()
}
