/** The models of a local engine and their children: made when asked for, closed when their files are gone or changed. */
import { fail } from '../core/errors.ts'
import type { LocalModel, LocalModels } from '../core/local-models.ts'
import { type ChildPlan, Loaded } from './loaded.ts'

export type ChildrenOptions = {
  readonly models: LocalModels
  /** Which of the installed models are this engine's. */
  readonly takes: (model: LocalModel) => boolean
  readonly plan: (model: LocalModel) => ChildPlan
}

/** Invariant: at most one child is open for a model of the same files. */
export class Children {
  readonly #options: ChildrenOptions
  readonly #loaded = new Map<string, Loaded>()
  readonly #unwatch: () => void

  constructor(options: ChildrenOptions) {
    this.#options = options
    this.#unwatch = options.models.onChange(() => this.#sweep())
  }

  /** What is installed; whether a file is any good shows when it is loaded. */
  installed(): readonly LocalModel[] {
    return this.#options.models.list().filter(this.#options.takes)
  }

  /** What is installed by this id; null where nothing is. */
  model(id: string): LocalModel | null {
    return this.installed().find((one) => one.id === id) ?? null
  }

  /** The model's child. Throws `MODEL_OFFLINE`, with the command that helps, where the model is not installed. */
  of(id: string): Loaded {
    const model = this.model(id)
    if (!model) {
      throw fail('MODEL_OFFLINE', {
        say: `The model is not on this machine yet: npm run models -- pull ${id}`,
        internal: 'local_not_pulled',
      })
    }
    const there = this.#loaded.get(id)
    if (there && isSame(there.model, model)) return there
    if (there) void there.close()
    const made = new Loaded(model, this.#options.models, this.#options.plan(model))
    this.#loaded.set(id, made)
    return made
  }

  /** The process id of a model's child; null where it is not loaded. */
  pid(id: string): number | null {
    return this.#loaded.get(id)?.pid ?? null
  }

  async close(): Promise<void> {
    this.#unwatch()
    await Promise.all([...this.#loaded.values()].map((one) => one.close()))
    this.#loaded.clear()
  }

  /** Children of models that are gone go too, once nobody uses them. */
  #sweep(): void {
    const installed = this.installed()
    for (const [id, one] of this.#loaded) {
      if (one.busy || installed.some((model) => isSame(model, one.model))) continue
      this.#loaded.delete(id)
      void one.close()
    }
  }
}

const isSame = (a: LocalModel, b: LocalModel): boolean =>
  a.id === b.id &&
  a.file === b.file &&
  a.contextTokens === b.contextTokens &&
  a.parallel === b.parallel &&
  JSON.stringify(a.others) === JSON.stringify(b.others)
