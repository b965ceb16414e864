/** The path of every run: admit, hold, run, meter, settle. One function, whatever the modality. */
import type { Signal } from '../core/cancel.ts'
import type { Envelope, Finish, Sink } from '../core/call.ts'
import { fail } from '../core/errors.ts'
import type { Clock } from '../core/clock.ts'
import { GAUGES, type Gauge, type PartOf, type RequestOf, type Runnable } from '../core/modality.ts'
import type { Model } from '../core/model.ts'
import type { Usage } from '../core/usage.ts'
import type { Limits } from '../limits/limits.ts'
import type { Charge, Hold, Ledger } from '../money/ledger.ts'
import { price, quote, soundUsage } from '../money/price.ts'
import { type InvokeRooms, invoke } from './invoke.ts'

export type ServeRooms = InvokeRooms & {
  readonly limits: Limits
  readonly ledger: Ledger
  readonly clock: Clock
}

/** What a run used and what was charged for it. */
export type Outcome = { readonly usage: Usage; readonly reasoningTokens: number; readonly cost: Charge }

/**
 * Serves one run for the caller of the envelope and pushes its parts into the sink.
 *
 * Charged is what the engine says it used; where it does not say, or the run broke off, what the gauge counted of
 * what went into the sink; nothing where nothing did. Never more than was held; where not all that was asked for can be
 * paid, the request is shortened to what can. The hold ends exactly once, here.
 * Throws what refused or broke the run, after it was settled.
 */
export async function serve<M extends Runnable>(
  rooms: ServeRooms,
  envelope: Envelope,
  modality: M,
  model: Model,
  request: RequestOf<M>,
  sink: Sink<PartOf<M>>,
  signal: Signal,
): Promise<Outcome> {
  const { caller } = envelope
  if (!caller) throw fail('AUTHENTICATION_FAILED')
  const gauge: Gauge<RequestOf<M>, PartOf<M>> = GAUGES[modality]
  const { bounds, prices } = model
  const ceiling = gauge.ceiling(request, bounds)
  const wanted = quote(prices, ceiling)
  const admitted = rooms.limits.admit(caller, model, gauge.weight(request), ceiling.outputToken ?? 0)
  const ticket = admitted instanceof Promise ? await admitted : admitted
  envelope.requests = ticket.requests
  envelope.tokens = ticket.tokens
  if (!ticket.ok) throw ticket.failure
  let hold: Hold
  try {
    const held = rooms.ledger.hold(envelope.requestId, caller, wanted, quote(prices, gauge.floor(request, bounds)))
    hold = held instanceof Promise ? await held : held
  } catch (error) {
    rooms.limits.settle(ticket, 0)
    throw error
  }
  envelope.balance = hold.balance
  const { amount } = hold
  const affordable =
    wanted === null || amount >= wanted ? request : gauge.fit(request, bounds, (shorter) => (quote(prices, shorter) ?? 0n) <= amount)
  const meter = new Meter(gauge, affordable)
  let finish: Finish | null = null
  let outcome: Outcome
  try {
    finish = await invoke(rooms, modality, model, affordable, meter.through(sink), signal, envelope)
  } finally {
    const usage = soundUsage(finish?.usage ?? meter.usage(), rooms.ledger.oddUsage)
    const executionMs = Math.round(rooms.clock.tick() - envelope.startedTick)
    const cost = rooms.ledger.settle(hold, price(prices, usage), { model: model.id, modality, executionMs })
    rooms.limits.settle(ticket, tokensOf(usage))
    envelope.usage = usage
    envelope.cost = cost.usd + cost.diem
    outcome = { usage, cost, reasoningTokens: finish?.reasoningTokens ?? 0 }
  }
  return outcome
}

/** Counts what goes into the sink, for engines that do not say what they used and for runs that break off. */
class Meter<Request, Part> {
  readonly #gauge: Gauge<Request, Part>
  readonly #request: Request
  #begun = false
  #count = 0

  constructor(gauge: Gauge<Request, Part>, request: Request) {
    this.#gauge = gauge
    this.#request = request
  }

  through(sink: Sink<Part>): Sink<Part> {
    return (parts) => {
      // A sink that throws has not taken them: the caller is gone, or the answer is not what was asked for.
      const flow = sink(parts)
      this.#begun = true
      for (const part of parts) this.#count += this.#gauge.tally(part)
      return flow
    }
  }

  /** Nothing where nothing was delivered: then there is nothing to pay. */
  usage(): Usage {
    if (!this.#begun) return {}
    return { ...this.#gauge.opening(this.#request), [this.#gauge.unit]: this.#count }
  }
}

function tokensOf(usage: Usage): number {
  // Tokens read from a cache do not count against the limit.
  return (usage.inputToken ?? 0) + (usage.cacheWriteToken ?? 0) + (usage.outputToken ?? 0)
}
