/**
 * The models that are on the disk, as their manifests say; looked at again and again, because another process (the command beside a
 * running server) brings and takes them.
 */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { foldersIn, isMissing } from './disk.ts'
import { BadGguf, type GgufHeader, readGgufHeader } from './gguf.ts'
import { FILES, MANIFEST, type Manifest, type Order, folderName, readManifest, readOrder } from './manifest.ts'

/** More folders than this are not looked into. */
const MAX_MODELS = 1000

export type Shelved = {
  readonly manifest: Manifest
  /** Absolute. */
  readonly filesFolder: string
  /** Of a GGUF file; null for others. */
  readonly header: GgufHeader | null
  /** Why it cannot be used, in our words; null where it can. */
  readonly problem: string | null
}

type Seen = { readonly stamp: string; readonly shelved: Shelved | null; readonly broken: boolean }

export class Shelf {
  readonly #folder: string
  #seen = new Map<string, Seen>()

  /** `folder` is the one of all models. */
  constructor(folder: string) {
    this.#folder = folder
  }

  /** Those with a manifest that can be read, by id. */
  get models(): readonly Shelved[] {
    return [...this.#seen.values()].flatMap(({ shelved }) => shelved ?? []).sort((a, b) => (a.manifest.id < b.manifest.id ? -1 : 1))
  }

  /** Folders whose manifest cannot be read. */
  get broken(): readonly string[] {
    return [...this.#seen].flatMap(([name, { broken }]) => (broken ? [name] : []))
  }

  /** Looks again. Resolves with whether anything is different. */
  async refresh(): Promise<boolean> {
    const names = (await foldersIn(this.#folder)).slice(0, MAX_MODELS)
    const seen = new Map<string, Seen>()
    for (const name of names) {
      const known = this.#seen.get(name)
      const stamp = await this.#stampOf(name, known?.shelved ?? null)
      if (known?.stamp === stamp) seen.set(name, known)
      else {
        const found = await this.#look(name)
        seen.set(name, { ...found, stamp: await this.#stampOf(name, found.shelved) })
      }
    }
    const changed = seen.size !== this.#seen.size || [...seen].some(([name, one]) => this.#seen.get(name) !== one)
    this.#seen = seen
    return changed
  }

  /** Downloads that were begun and are not through. */
  async orders(): Promise<Order[]> {
    const orders: Order[] = []
    for (const name of (await foldersIn(this.#folder)).slice(0, MAX_MODELS)) {
      const found = await readOrder(join(this.#folder, name))
      if (found && folderName(found.id) === name) orders.push(found)
    }
    return orders
  }

  async #look(name: string): Promise<{ shelved: Shelved | null; broken: boolean }> {
    const folder = join(this.#folder, name)
    const manifest = await readManifest(folder)
    if (manifest === null) return { shelved: null, broken: false }
    // A folder that was renamed or copied by hand is not the model it says it is.
    if (manifest === 'broken' || folderName(manifest.id) !== name) return { shelved: null, broken: true }
    const filesFolder = join(folder, FILES)
    const missing = await missingOf(manifest, filesFolder)
    if (missing !== null) return { shelved: { manifest, filesFolder, header: null, problem: missing }, broken: false }
    const model = manifest.roles['model']
    if (model === undefined || !/\.gguf$/i.test(model))
      return { shelved: { manifest, filesFolder, header: null, problem: null }, broken: false }
    return { shelved: { manifest, filesFolder, ...(await headerOf(join(filesFolder, model))) }, broken: false }
  }

  /** What changes whenever something of the model does: a manifest is always a new file, a link's target has a time of its own. */
  async #stampOf(name: string, shelved: Shelved | null): Promise<string> {
    const folder = join(this.#folder, name)
    const links = shelved?.manifest.files.filter(({ linkedTo }) => linkedTo !== null) ?? []
    const paths = [join(folder, MANIFEST), ...links.map(({ path }) => join(folder, FILES, path))]
    return (await Promise.all(paths.map(stampOf))).join(' ')
  }
}

async function headerOf(path: string): Promise<Pick<Shelved, 'header' | 'problem'>> {
  try {
    return { header: await readGgufHeader(path), problem: null }
  } catch (error) {
    return { header: null, problem: error instanceof BadGguf ? `its file cannot be used: ${error.message}` : 'its file cannot be read' }
  }
}

/** A file that is not there, or not as long as it was. */
async function missingOf({ files }: Manifest, folder: string): Promise<string | null> {
  for (const { path, sizeBytes } of files) {
    const size = await stat(join(folder, path)).then(
      ({ size }) => size,
      () => null,
    )
    if (size === null) return `its file ${path} is gone`
    if (size !== sizeBytes) return `its file ${path} has another size than it had`
  }
  return null
}

async function stampOf(path: string): Promise<string> {
  try {
    const { ino, mtimeMs, size } = await stat(path)
    return `${ino}:${mtimeMs}:${size}`
  } catch (error) {
    if (isMissing(error)) return ''
    throw error
  }
}
