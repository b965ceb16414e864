/** Something that computes, local or remote, and what it can do. */
import type { Finish, Sink } from './call.ts'
import type { Signal } from './cancel.ts'
import type { Failure } from './errors.ts'
import type { PartOf, RequestOf, Runnable } from './modality.ts'

/** `private`: keeps nothing. `anonymized`: a third party that sees the content but never learns who asks. */
export type Privacy = 'private' | 'anonymized'

/** One piece of work for an engine: content and no envelope, so no engine can tell anybody who asked. */
export type Task<Request> = {
  /** The engine's own name of the model. */
  readonly model: string
  readonly request: Request
  /** Aborted when the caller leaves or a limit passes; the engine then cancels its upstream and rejects. */
  readonly signal: Signal
  /** Limits in milliseconds: until the first byte of an answer, and between two bytes of it. */
  readonly firstByteMs: number
  readonly stallMs: number
}

/**
 * What an engine can do in one modality.
 * `run` pushes the parts into the sink in the order they come, waits whenever the sink says so, and resolves with the
 * finish; it rejects with a `Failure` otherwise. A failure before the first part leaves the sink untouched, so
 * another deployment may be tried, unless so much of the request was used up that it cannot be repeated.
 */
export type Ability<M extends Runnable> = {
  run(task: Task<RequestOf<M>>, sink: Sink<PartOf<M>>): Promise<Finish>
  /**
   * The wire name of a field of this request that the engine cannot honour for this model, or the `Failure` that says more than
   * its name would; null where there is none. Asked before `run`, so that another deployment can be taken or the caller told,
   * and nothing is held against this one.
   */
  refuses(request: RequestOf<M>, model: string): string | Failure | null
}

export type Abilities = { readonly [M in Runnable]?: Ability<M> }

/** A model that an engine says it has; what Rialto needs to list it. Names and sizes only. */
export type EngineModel = {
  readonly name: string
  /** Null where the engine does not say; text is assumed then. */
  readonly modality: Runnable | null
  readonly contextTokens: number | null
  /** Whether it takes pictures; left out where the engine does not say. */
  readonly vision?: boolean
}

/** What an engine answered when asked whether it is there. */
export type Reach =
  | { readonly up: true /** Null where the engine does not list its models. */; readonly models: readonly EngineModel[] | null }
  | { readonly up: false /** Our own constant words: `refused`, `timeout`, `unauthorized`, … */; readonly why: string }

export type Engine = {
  /** Unique, lower-case, from the configuration: it may appear in logs, metrics and headers. */
  readonly id: string
  readonly privacy: Privacy
  readonly abilities: Abilities
  /** Whether its own models join the catalogue as models of their own (a local server's do). */
  readonly lists: boolean
  /** Asks the engine whether it is there. Never rejects; bounded by the signal. */
  probe(signal: AbortSignal): Promise<Reach>
  /** Loads a model of this machine before anybody asks for it. Rejects as a run of it would, also where it is another engine's. */
  warm?(model: string): Promise<void>
  /** Lets go of sockets and children. */
  close(): Promise<void>
}
