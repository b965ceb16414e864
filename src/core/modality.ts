/** What a model does: the public `type` of the catalogue, and for those that Rialto computes, their requests and parts. */
import type { AsrPart, AsrRequest } from './modalities/asr.ts'
import type { EmbeddingPart, EmbeddingRequest } from './modalities/embedding.ts'
import type { TextPart, TextRequest } from './modalities/text.ts'
import type { TtsPart, TtsRequest } from './modalities/tts.ts'
import { asrGauge } from './modalities/asr.ts'
import { embeddingGauge } from './modalities/embedding.ts'
import { textGauge } from './modalities/text.ts'
import { ttsGauge } from './modalities/tts.ts'
import type { Unit, Usage } from './usage.ts'

/** Every type of the catalogue, in the order of the public documentation. */
export const MODALITIES = ['asr', 'embedding', 'image', 'music', 'text', 'tts', 'upscale', 'inpaint', 'video'] as const
export type Modality = (typeof MODALITIES)[number]

/** The modalities that can be run today: what a caller asks and what comes back. */
export type Runs = {
  text: { request: TextRequest; part: TextPart }
  embedding: { request: EmbeddingRequest; part: EmbeddingPart }
  tts: { request: TtsRequest; part: TtsPart }
  asr: { request: AsrRequest; part: AsrPart }
}
export type Runnable = keyof Runs
export type RequestOf<M extends Runnable> = Runs[M]['request']
export type PartOf<M extends Runnable> = Runs[M]['part']

/** What bounds a run of a model, from the catalogue. */
export type Bounds = { readonly contextTokens: number; readonly maxOutputTokens: number }

/** Content → numbers, the only place per modality where that happens. */
export type Gauge<Request, Part> = {
  /** The most that the request can use: what is held. Cheap: never walks media. */
  ceiling(request: Request, bounds: Bounds): Usage
  /** The ceiling with the least output that is worth a run: less than this is refused, more is served as far as the money goes. */
  floor(request: Request, bounds: Bounds): Usage
  /**
   * The request with its output bounded so that its ceiling is affordable: the longest that `affords` says yes to. What bounds
   * the output goes to the engine, so that it never makes more than is paid for. To be asked where the floor is affordable.
   */
  fit(request: Request, bounds: Bounds, affords: (ceiling: Usage) => boolean): Request
  /** Whether another engine can still be given all of it, for what comes while it is used up. Absent is always. */
  repeatable?(request: Request): boolean
  /** About how many input tokens the request has, for limits per minute. Cheap: never walks content. */
  weight(request: Request): number
  /** What the request's own content counts for where no engine says; charged once anything was delivered. */
  opening(request: Request): Usage
  /** How many `unit`s this part counts for where no engine says. */
  tally(part: Part): number
  readonly unit: Unit
}

export const GAUGES: { readonly [M in Runnable]: Gauge<RequestOf<M>, PartOf<M>> } = {
  text: textGauge,
  embedding: embeddingGauge,
  tts: ttsGauge,
  asr: asrGauge,
}
