/** What an endpoint can reach, already bound to the caller of this one request. */
import type { Signal } from '../core/cancel.ts'
import type { Catalog } from '../catalog/catalog.ts'
import type { Caller, Envelope, Sink } from '../core/call.ts'
import { fail } from '../core/errors.ts'
import type { SandboxOrders } from '../core/modalities/text.ts'
import type { Modality, PartOf, RequestOf, Runnable } from '../core/modality.ts'
import type { Model } from '../core/model.ts'
import { isOrder, parseOrders } from '../engines/sandbox/orders.ts'
import { requirePermit } from '../keys/permits.ts'
import { type Outcome, type ServeRooms, serve } from './serve.ts'

/** The model that a name means. */
export type Named = {
  readonly model: Model
  /** The features that the suffix of the name asks for. */
  readonly flags: ReadonlyMap<string, string>
  /** What the suffix of a sandbox model orders; null for every other name. */
  readonly orders: SandboxOrders | null
}

export class Desk {
  readonly envelope: Envelope
  /** Aborted when the caller leaves or the server stops. */
  readonly signal: Signal
  readonly catalog: Catalog
  readonly #rooms: ServeRooms

  constructor(rooms: ServeRooms & { readonly catalog: Catalog }, envelope: Envelope, signal: Signal) {
    this.envelope = envelope
    this.signal = signal
    this.catalog = rooms.catalog
    this.#rooms = rooms
  }

  /** Who asks. Every endpoint that is not public has one. */
  get caller(): Caller {
    const { caller } = this.envelope
    if (!caller) throw fail('AUTHENTICATION_FAILED')
    return caller
  }

  /**
   * The model that this name means, and what its suffix says. From here on the envelope knows the model.
   * Throws 404, 410, a 400 that names `model`, or a 403 for one that the caller's key may not use.
   */
  model(modality: Modality, name: string): Named {
    const { model, flags, deprecation } = this.catalog.resolve(name, modality)
    this.envelope.modality = modality
    this.envelope.model = model.id
    this.envelope.modelName = model.name
    this.envelope.deprecation = deprecation
    requirePermit(this.caller, model)
    return { model, flags, orders: flags.size > 0 ? ordersIn(flags) : null }
  }

  /**
   * Serves one run: limits, hold, engine, meter, settle. Resolves when all its parts went into the sink and it is
   * paid; rejects with what refused or broke it. The caller's leaving cancels it.
   */
  run<M extends Runnable>(modality: M, model: Model, request: RequestOf<M>, sink: Sink<PartOf<M>>): Promise<Outcome> {
    return serve(this.#rooms, this.envelope, modality, model, request, sink, this.signal)
  }
}

/** The catalogue lets orders pass for sandbox models only. */
function ordersIn(flags: ReadonlyMap<string, string>): SandboxOrders | null {
  const orders = [...flags].filter(([flag]) => isOrder(flag)).map(([flag, value]) => `${flag}=${value}`)
  return orders.length > 0 ? parseOrders(orders.join('&')) : null
}
