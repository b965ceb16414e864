/** What an endpoint can reach, already bound to the caller of this one request. */
import type { Catalog } from '../catalog/catalog.ts'
import type { Envelope, Sink } from '../core/call.ts'
import type { Modality, PartOf, RequestOf, Runnable } from '../core/modality.ts'
import type { SandboxOrders } from '../core/modalities/text.ts'
import type { Model } from '../core/model.ts'
import type { Outcome } from './serve.ts'

export type Named = {
  readonly model: Model
  readonly flags: ReadonlyMap<string, string>
  /** What the suffix of a sandbox model orders; null for every other model. */
  readonly orders: SandboxOrders | null
}

export type Desk = {
  readonly envelope: Envelope
  /** Aborted when the caller leaves or the server stops. */
  readonly signal: AbortSignal
  readonly catalog: Catalog
  /**
   * The model that this name means, and what its suffix says. From here on the envelope knows the model.
   * Throws 404, 410 or a 400 that names `model`.
   */
  model(modality: Modality, name: string): Named
  /** Serves one run: limits, hold, engine, meter, settle. Resolves when all parts went into the sink and it is paid. */
  run<M extends Runnable>(modality: M, model: Model, request: RequestOf<M>, sink: Sink<PartOf<M>>): Promise<Outcome>
}
