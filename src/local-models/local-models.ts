/** The model store: what is on the disk, how more of it comes, and the memory that engines load it into. */
import { join } from 'node:path'
import type { Signal } from '../core/cancel.ts'
import { fail } from '../core/errors.ts'
import { type Lease, type LocalModel, type LocalModels, PROJECTOR, type Tenant } from '../core/local-models.ts'
import { hashesOf, remove } from './disk.ts'
import { type Estimate, audioEstimateOf, costsOf, shapeOf } from './estimate.ts'
import { type Order, folderName } from './manifest.ts'
import { Memory } from './memory.ts'
import { type Offer, offerOf, wishedShape } from './need.ts'
import { Pulls } from './pulls.ts'
import { LOCK, type PullTools } from './pull.ts'
import type { LocalModelsFile } from './settings.ts'
import { Shelf, type Shelved } from './shelf.ts'
import { Trouble } from './trouble.ts'
import { bytesText } from './words.ts'

/** How soon what another process brought or took is noticed. */
const LOOK_MS = 2_000

export type LocalModelsOptions = Omit<PullTools, 'budgetBytes'> & {
  /** The folder of all models; made when it is needed. */
  readonly folder: string
  /** Of this machine, or of the limit that this process runs under. */
  readonly memoryBytes: number
}

/** A model with what there is to know about it. */
export type Installed = {
  readonly shelved: Shelved
  readonly model: LocalModel
  readonly estimate: Estimate
}

export type Verified = { readonly path: string; readonly ok: boolean; readonly why: string | null }

export class ModelStore implements LocalModels {
  readonly settings: LocalModelsFile
  readonly pulls: Pulls
  readonly memory: Memory
  readonly #options: LocalModelsOptions
  readonly #shelf: Shelf
  readonly #listeners = new Set<() => void>()
  #installed: readonly Installed[] = []
  #models: readonly LocalModel[] = []
  #memoryBytes: number
  #timer: NodeJS.Timeout | null = null
  #looking: Promise<void> | null = null

  constructor(options: LocalModelsOptions) {
    const { settings, folder, clock } = options
    this.#options = options
    this.settings = settings
    this.#memoryBytes = options.memoryBytes
    this.#shelf = new Shelf(folder)
    this.memory = new Memory({
      clock,
      budgetBytes: () => this.budgetBytes,
      waitMs: settings.memory.waitMs,
      idleMs: settings.memory.idleMinutes * 60_000,
      keeps: new Set(settings.memory.preload),
    })
    this.pulls = new Pulls(folder, { ...options, budgetBytes: () => this.budgetBytes }, () => void this.look())
  }

  /** Looks what is there, and goes on looking. */
  async start(): Promise<void> {
    await this.look()
    this.#timer = setInterval(() => void this.look(), LOOK_MS)
    this.#timer.unref()
  }

  /** Pauses downloads; they go on when they are resumed, in this process or the next. */
  async close(): Promise<void> {
    if (this.#timer) clearInterval(this.#timer)
    this.#timer = null
    this.memory.close()
    await this.pulls.close()
    await this.#looking
  }

  get budgetBytes(): number {
    const { budgetBytes, budgetShare } = this.settings.memory
    return budgetBytes ?? Math.floor(this.#memoryBytes * budgetShare)
  }

  /** Models to be loaded at the start, as far as they are here. */
  get preload(): readonly string[] {
    return this.settings.memory.preload.filter((id) => this.#models.some((model) => model.id === id))
  }

  onGpu(memoryBytes: number): void {
    if (memoryBytes === this.#memoryBytes) return
    this.#memoryBytes = memoryBytes
    this.#reckon()
    this.#tell()
  }

  list(): readonly LocalModel[] {
    return this.#models
  }

  /** All that are there, those that cannot be used included. */
  get installed(): readonly Installed[] {
    return this.#installed
  }

  /** What the registry has, and what of it fits this machine. */
  get offers(): readonly Offer[] {
    return this.settings.models.map((entry) => offerOf(entry, this.settings.memory, this.budgetBytes))
  }

  get brokenFolders(): readonly string[] {
    return this.#shelf.broken
  }

  /** Whether there is a model of this id whose manifest cannot be read. */
  isBroken(id: string): boolean {
    return this.#shelf.broken.includes(folderName(id))
  }

  /** Downloads that were begun and are not through, by whatever process. */
  orders(): Promise<Order[]> {
    return this.#shelf.orders()
  }

  async acquire(id: string, tenant: Tenant, signal: Signal): Promise<Lease> {
    const found = this.#installed.find(({ model }) => model.id === id)
    if (!found) throw offline(`${id} is not on this machine; its operator can get it with: npm run models -- pull ${id}`)
    const { shelved, model, estimate } = found
    if (shelved.problem !== null) throw offline(`${id} cannot be used: ${shelved.problem}`)
    if (model.memoryBytes > this.budgetBytes) throw offline(tooLarge(model, estimate, this.budgetBytes))
    return this.memory.acquire(model, tenant, signal)
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Looks what is there now. Never rejects: a folder that cannot be read is as it was. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = null
    })
    return this.#looking
  }

  /**
   * Deletes a model and what has come of one. Files that are only linked to stay. False where there was nothing; rejects with a
   * `Trouble` where another process is writing into it.
   */
  async remove(id: string): Promise<boolean> {
    const pull = this.pulls.get(id)
    await pull?.stop('cancelled')
    const orders = await this.orders()
    await this.#lookAnew()
    const there = this.#installed.some(({ model }) => model.id === id) || orders.some((order) => order.id === id) || this.isBroken(id)
    if (there) await this.#removeFolder(id)
    await this.#lookAnew()
    return there || pull?.status.state === 'cancelled'
  }

  /** Reads all files of a model and compares their hashes; null where there is no such model. Rejects with the signal's reason. */
  async verify(id: string, signal: AbortSignal, onBytes?: (bytes: number) => void): Promise<readonly Verified[] | null> {
    await this.#lookAnew()
    const found = this.#installed.find(({ model }) => model.id === id)
    if (!found) return null
    const { manifest, filesFolder } = found.shelved
    const verified: Verified[] = []
    for (const { path, sha256 } of manifest.files) {
      const hashes = await hashesOf(join(filesFolder, path), signal, onBytes).catch(() => null)
      signal.throwIfAborted()
      const why = hashes === null ? 'is gone or cannot be read' : hashes.sha256 === sha256 ? null : 'is not what it was when it came'
      verified.push({ path, ok: why === null, why })
    }
    return verified
  }

  async #removeFolder(id: string): Promise<void> {
    const folder = join(this.#options.folder, folderName(id))
    const lock = this.#options.lock(join(folder, LOCK))
    if (!lock) throw new Trouble(`${id} is being downloaded by another process on the same folder of data; pause that first.`)
    try {
      await remove(folder)
    } finally {
      lock.release()
    }
  }

  /** What is there after now, whatever a look under way has seen. */
  async #lookAnew(): Promise<void> {
    await this.#looking
    await this.look()
  }

  async #look(): Promise<void> {
    const changed = await this.#shelf.refresh().catch(() => false)
    if (!changed) return
    this.#reckon()
    this.#tell()
  }

  #reckon(): void {
    this.#installed = this.#shelf.models.map((shelved) => reckoned(shelved, this.settings, this.budgetBytes))
    this.#models = this.#installed.filter(({ shelved }) => shelved.problem === null).map(({ model }) => model)
  }

  #tell(): void {
    for (const listener of this.#listeners) listener()
  }
}

function reckoned(shelved: Shelved, { memory }: LocalModelsFile, budgetBytes: number): Installed {
  const { manifest, filesFolder, header } = shelved
  const sizeBytes = manifest.files.reduce((sum, file) => sum + file.sizeBytes, 0)
  const roles = Object.entries(manifest.roles).filter(([role]) => role !== 'model')
  const main = manifest.roles['model']
  const wished = wishedShape(memory, manifest.id)
  const projectorBytes = manifest.files.find(({ path }) => path === manifest.roles[PROJECTOR])?.sizeBytes ?? 0
  const shape = header && shapeOf(costsOf(header, projectorBytes), sizeBytes, manifest.modality, wished, budgetBytes)
  const estimate = shape?.estimate ?? audioEstimateOf(sizeBytes)
  const model: LocalModel = {
    id: manifest.id,
    modality: manifest.modality,
    file: main === undefined ? filesFolder : join(filesFolder, main),
    others: Object.fromEntries(roles.map(([role, path]) => [role, join(filesFolder, path)])),
    contextTokens: shape?.contextTokens ?? null,
    parallel: shape?.parallel ?? 1,
    sizeBytes,
    memoryBytes: estimate.totalBytes,
  }
  return { shelved, model, estimate }
}

const offline = (say: string): Error => fail('MODEL_OFFLINE', { say, param: 'model', internal: 'local_model' })

function tooLarge({ id, contextTokens, parallel }: LocalModel, estimate: Estimate, budgetBytes: number): string {
  const { weightsBytes, cacheBytes, overheadBytes, totalBytes } = estimate
  const context = contextTokens === null ? '' : `, ${bytesText(cacheBytes)} for ${parallel} × ${contextTokens} tokens of context`
  const parts = `${bytesText(weightsBytes)} of weights${context}, ${bytesText(overheadBytes)} to compute with`
  return `${id} needs ${bytesText(totalBytes)} of memory (${parts}), and the budget is ${bytesText(budgetBytes)}`
}
