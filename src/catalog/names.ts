/** Traits and compatibility names: which model each of them stands for at the moment. */
import type { Modality } from '../core/modality.ts'
import type { Candidates, NamesFile } from './entry.ts'
import type { Item, Shelf } from './shelf.ts'
import type { Sunsets } from './sunsets.ts'

/** The trait that falls back on whatever there is. */
const DEFAULT = 'default'

export class Names {
  readonly #file: NamesFile
  readonly #shelf: Shelf
  readonly #sunsets: Sunsets
  /** What was worked out for this state of the shelf. Bounded: one entry per name of the file. */
  readonly #traits = new Map<string, Item | null>()
  readonly #compatible = new Map<string, Item | null>()

  constructor(file: NamesFile, shelf: Shelf, sunsets: Sunsets) {
    this.#file = file
    this.#shelf = shelf
    this.#sunsets = sunsets
  }

  /** Forgets what was worked out: engines or models came or went. */
  clear(): void {
    this.#traits.clear()
    this.#compatible.clear()
  }

  /** The trait first, then the compatibility name; null where it is neither, or stands for nothing that is there. */
  find(modality: Modality, name: string): Item | null {
    return (
      this.#look(this.#file.traits, this.#traits, modality, name, true) ??
      this.#look(this.#file.compatibility, this.#compatible, modality, name, false)
    )
  }

  /** Trait → model id. */
  traits(modality: Modality): Record<string, string> {
    return this.#map(this.#file.traits, this.#traits, modality, true)
  }

  /** Compatibility name → model id, without the names that are a model's own. */
  compatibility(modality: Modality): Record<string, string> {
    return this.#map(this.#file.compatibility, this.#compatible, modality, false)
  }

  #map(file: Candidates, known: Map<string, Item | null>, modality: Modality, trait: boolean): Record<string, string> {
    const out: Record<string, string> = {}
    for (const name of Object.keys(file[modality] ?? {})) {
      const item = this.#look(file, known, modality, name, trait)
      if (item && !this.#shelf.byId.has(name)) out[name] = item.model.id
    }
    return out
  }

  #look(file: Candidates, known: Map<string, Item | null>, modality: Modality, name: string, trait: boolean): Item | null {
    const names = file[modality]
    if (!names || !Object.hasOwn(names, name)) return null
    const key = `${modality} ${name}`
    const before = known.get(key)
    if (before !== undefined) return before
    const item = this.#choose(names[name] ?? [], modality, trait && name === DEFAULT)
    known.set(key, item)
    return item
  }

  /** The first candidate that is online, else, for the default, anything online, else the first candidate. */
  #choose(candidates: readonly string[], modality: Modality, anything: boolean): Item | null {
    let first: Item | null = null
    for (const id of candidates) {
      const item = this.#shelf.byId.get(id) ?? this.#shelf.aliases.get(id)
      if (!item || item.model.modality !== modality || this.#sunsets.gone(item.model)) continue
      if (this.#shelf.online(item)) return item
      first ??= item
    }
    return (anything ? this.#anything(modality) : null) ?? first
  }

  /** What the operator runs before what is paid for by the token, and the sandbox only where nothing else is. */
  #anything(modality: Modality): Item | null {
    let configured: Item | null = null
    let sandbox: Item | null = null
    for (const item of this.#shelf.items()) {
      if (item.model.modality !== modality || this.#sunsets.gone(item.model) || !this.#shelf.online(item)) continue
      if (item.found) return item
      if (item.sandbox) sandbox ??= item
      else configured ??= item
    }
    return configured ?? sandbox
  }
}
