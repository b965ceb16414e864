/** A call: a run and who asks. The envelope is the part of it that the platform may know, count, keep and log. */
import type { Amount } from './money.ts'
import type { Modality } from './modality.ts'
import type { FinishReason } from './modalities/text.ts'
import type { Usage } from './usage.ts'
import type { ErrorCode } from './errors.ts'

/** Who asks, as far as anybody behind the door needs to know. */
export type Caller = {
  readonly accountId: string
  readonly keyId: string
  readonly scope: KeyScope
  /** Which limits apply: the id of a plan. */
  readonly plan: string
  /** The most that this key may spend per period. */
  readonly caps: SpendCaps
  /** Which models it may use, by their privacy. */
  readonly modelPrivacy: ModelPrivacy
  /** The only models it may use, by id; null is all. */
  readonly models: ReadonlySet<string> | null
}

/** The most that a key may spend in each period, in nano-dollars; null is no cap. Bundled credits count as USD. */
export type SpendCaps = { readonly period: CapPeriod; readonly usd: Amount | null; readonly diem: Amount | null }

/** A UTC day, a calendar month in UTC, or for ever. */
export type CapPeriod = 'EPOCH' | 'MONTH' | 'LIFETIME'

/** All models; text and embedding models only if private; private models only. */
export type ModelPrivacy = 'ALL' | 'PRIVATE_TEXT' | 'PRIVATE_ONLY'

export type KeyScope = 'INFERENCE' | 'ADMIN'

/** Where a caller stands with one of its limits after this request was counted. */
export type LimitState = { readonly limit: number; readonly remaining: number; readonly resetMs: number }

/** What an account has, in nano-dollars. */
export type Balance = { readonly usd: Amount; readonly diem: Amount }

/**
 * Everything that may be remembered of one HTTP request. One mutable record per request, filled in on the way down
 * and read once on the way out, for the headers, the log line and the metrics.
 * Invariant: no field ever holds content, not even in part.
 */
export type Envelope = {
  readonly requestId: string
  /** Wall time in ms since 1970, and the monotonic tick, both of the moment the request's head was read. */
  readonly startedAt: number
  readonly startedTick: number
  /** The declared path of the endpoint, such as `/chat/completions`; `unmatched` where there is none. */
  endpoint: string
  caller: Caller | null
  modality: Modality | null
  /** The catalogue's id and public name of the model; never what the caller typed. */
  model: string | null
  modelName: string | null
  engine: string | null
  /** How many deployments were tried. */
  attempts: number
  stream: boolean
  status: number
  code: ErrorCode | null
  /** The reason of a failure in our own constant words. */
  internal: string | null
  usage: Usage | null
  /** In whatever currencies it was paid. */
  cost: Amount | null
  /** What the account had before this request, bundled credits among the dollars. */
  balance: Balance | null
  requests: LimitState | null
  tokens: LimitState | null
  deprecation: Deprecation | null
  /** Why each choice of a text run ended. */
  finishReasons: readonly FinishReason[]
  /** Milliseconds from the head of the request to the first byte of the answer's body. */
  firstByteMs: number | null
}

/** What callers of a model that is going away are told. */
export type Deprecation = { readonly date: string; readonly replacement: string | null }

/**
 * Takes the parts of a run, those that arrived together in one go, in order.
 * Returns nothing when more may come at once, or a promise to wait for before reading on (the caller is slow).
 * Throws, or rejects, when nobody wants the rest; the run then stops and its upstream is cancelled.
 */
export type Sink<Part> = (parts: readonly Part[]) => void | Promise<void>

/** How a run ended well. A run that did not end well throws. */
export type Finish = {
  /** What the engine says it used; null where it does not say, and then the gauge's count stands. */
  readonly usage: Usage | null
  /** How many of the output tokens were reasoning, where the engine says. Informative: they are billed as output. */
  readonly reasoningTokens?: number
}
