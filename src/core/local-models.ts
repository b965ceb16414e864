/**
 * The model files of this machine, and the memory they share: what a local engine asks before it loads one. The store of
 * models is on one side of it, the engines on the other.
 */
import type { Signal } from './cancel.ts'

export type LocalModality = 'text' | 'embedding' | 'tts' | 'asr'

/** A model that is on this machine, whole and checked. */
export type LocalModel = {
  /** The catalogue's id where the model is one of its own (`qwen3-4b`); otherwise what the operator called it. */
  readonly id: string
  readonly modality: LocalModality
  /** Absolute path of the file that an engine opens; of several parts the first, and of a folder the folder. */
  readonly file: string
  /** What belongs to it under its role, such as `projector`, `tokens` or `voices`: absolute paths. */
  readonly others: Readonly<Record<string, string>>
  /** How much one run may read and write together. Null for audio models. */
  readonly contextTokens: number | null
  /** How many runs at once memory is reckoned for, at least 1. */
  readonly parallel: number
  /** Size of its files. */
  readonly sizeBytes: number
  /** What it is reckoned to take once it is loaded, with `parallel` contexts. */
  readonly memoryBytes: number
}

/** The role of the file that turns pictures into what a model reads (llama.cpp's `mmproj`). */
export const PROJECTOR = 'projector'

/** Whether a model can be shown pictures, by an engine that shows them. */
export const sees = ({ others }: Pick<LocalModel, 'others'>): boolean => PROJECTOR in others

/** Who has a model loaded, and can be asked to let go of it. */
export type Tenant = {
  /** Whether a run is at work in it: such a model is not chosen to make room. */
  readonly busy: boolean
  /** Unloads the model. Resolves with true when its memory is free, with false where a run came in between and it stays. */
  evict(): Promise<boolean>
}

/** The right to have one model loaded. It takes memory from the budget until it is released. */
export type Lease = {
  readonly model: LocalModel
  /** A run begins or ends: what was used least recently makes room first, and what nobody uses is unloaded in time. */
  used(): void
  /** The model is unloaded. Safe to be called twice. */
  release(): void
}

export type LocalModels = {
  /** What is there now. Cheap. */
  list(): readonly LocalModel[]
  /**
   * Waits until there is room for the model, making some by evicting others. Rejects with `MODEL_OFFLINE` where there is no
   * such model or it is too large for the budget, with the numbers; with `MODEL_AT_CAPACITY` where all that could make room is
   * busy; and with the signal's reason when it is aborted.
   */
  acquire(id: string, tenant: Tenant, signal: Signal): Promise<Lease>
  /** An engine computes on a GPU with so much memory, and that is what there is to share from now on. */
  onGpu(memoryBytes: number): void
  /** Calls back after a model has come, gone or changed. Returns what ends that. */
  onChange(listener: () => void): () => void
}
