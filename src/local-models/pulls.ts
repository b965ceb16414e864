/** The downloads of this process: one for a model at a time, whoever asks for it, and what became of the last ones. */
import { join } from 'node:path'
import type { LocalModality } from '../core/local-models.ts'
import { folderName, readOrder } from './manifest.ts'
import type { Order } from './manifest.ts'
import { Pull, type PullStatus, type PullTools } from './pull.ts'
import { type Reference, idOf, projectorOf, referenceOf, shownReference } from './reference.ts'
import { modelId } from './settings.ts'
import { Trouble } from './trouble.ts'

/** Downloads under way at the same time; more would only slow each other. */
const AT_ONCE = 4
/** Those that are over and still remembered. */
const REMEMBERED = 64

export type PullAsk = {
  /** An id of the registry, `hf.co/org/repo:file`, an address, or the path of a file. */
  readonly typed: string
  /** The same of what turns pictures into what the model reads; left out for the one that is in the model's repository, if any. */
  readonly projector?: string | undefined
  /** What it shall be called; null for what its name suggests. */
  readonly id: string | null
  /** Null where the registry or the file says. */
  readonly modality: LocalModality | null
  /** What is done with a file of this machine. */
  readonly how: 'link' | 'copy'
  /** Downloads also what is too large for the memory here. */
  readonly force?: boolean
}

export class Pulls {
  readonly #folder: string
  readonly #tools: PullTools
  readonly #ids: ReadonlySet<string>
  readonly #over: () => void
  readonly #pulls = new Map<string, Pull>()

  /** `folder` is the one of all models; `over` is told when one has come to an end. */
  constructor(folder: string, tools: PullTools, over: () => void) {
    this.#folder = folder
    this.#tools = tools
    this.#ids = new Set(tools.settings.models.map(({ id }) => id))
    this.#over = over
  }

  /** Begins a download, or joins the one that is under way for the same model. Throws a `Trouble` for what cannot be understood. */
  begin({ typed, projector, id, modality, how, force = false }: PullAsk): Pull {
    const reference = referenceOf(typed, this.#ids)
    const name = id ?? idOf(reference)
    if (!modelId.safeParse(name).success) throw new Trouble('The name of a model is letters, digits and . _ - with / in between.')
    if (projector !== undefined) projectorOf(projector)
    const order: Order = {
      format: 1,
      id: name,
      typed: typed.trim(),
      projector: projector?.trim() ?? null,
      modality: projector === undefined ? modality : 'text',
      how,
      force,
      sizeBytes: null,
    }
    return this.#start(order, reference)
  }

  /** Goes on with one that was paused, failed or cut off by the end of a process, under the name it was given; null where there is none. */
  async resume(id: string, force = false): Promise<Pull | null> {
    if (!modelId.safeParse(id).success) return null
    const running = this.#pulls.get(id)
    if (running && isRunning(running)) return running
    const order = running?.order ?? (await readOrder(this.#folderOf(id)))
    if (!order || running?.status.state === 'done' || running?.status.state === 'cancelled') return null
    return this.#start({ ...order, force: order.force || force }, referenceOf(order.typed, this.#ids))
  }

  get(id: string): Pull | null {
    return this.#pulls.get(id) ?? null
  }

  /** Those under way and the last that ended. */
  get statuses(): readonly PullStatus[] {
    return [...this.#pulls.values()].map(({ status }) => status)
  }

  /** Pauses all. */
  async close(): Promise<void> {
    await Promise.all([...this.#pulls.values()].filter(isRunning).map((pull) => pull.stop('paused')))
  }

  #start(order: Order, reference: Reference): Pull {
    const known = this.#pulls.get(order.id)
    if (known && isRunning(known)) {
      if (known.status.source === shownReference(reference)) return known
      throw new Trouble(`${order.id} is being downloaded from ${known.status.source}; pause or cancel that first.`)
    }
    if ([...this.#pulls.values()].filter(isRunning).length >= AT_ONCE)
      throw new Trouble(`${AT_ONCE} models are being downloaded already; more would only slow each other.`)
    const pull = new Pull(order, reference, this.#folderOf(order.id), this.#tools)
    this.#pulls.delete(order.id)
    this.#pulls.set(order.id, pull)
    this.#forget()
    void pull.run().then(() => this.#over())
    return pull
  }

  #forget(): void {
    for (const [id, pull] of this.#pulls) {
      if (this.#pulls.size <= REMEMBERED) return
      if (!isRunning(pull)) this.#pulls.delete(id)
    }
  }

  #folderOf(id: string): string {
    return join(this.#folder, folderName(id))
  }
}

const RUNNING: ReadonlySet<string> = new Set(['listing', 'downloading', 'checking'])

export const isRunning = (pull: Pull): boolean => RUNNING.has(pull.status.state)
