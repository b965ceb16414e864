/** A facilitator of x402: verifies a payment and collects it, over HTTP. Its words stay here. */
import { z } from 'zod'
import { fail } from '../core/errors.ts'
import type { Outside } from '../core/outside.ts'
import type { Collected, Collector } from './collector.ts'
import type { TransferPayment } from './payment-header.ts'

const ANSWER_BYTES = 64 * 1024
/** Collecting waits for the chain. */
const TIMEOUT_MS = 60_000

const verified = z.object({ isValid: z.boolean(), invalidReason: z.string().optional() })
const settled = z.object({ success: z.boolean(), errorReason: z.string().optional(), transaction: z.string().optional() })
const TRANSACTION = /^0x[0-9a-fA-F]{64}$/

/** The facilitators' words for a refusal, and ours. */
const REASONS: readonly (readonly [RegExp, string])[] = [
  [/insufficient_funds|insufficient_balance/, 'insufficient_funds'],
  [/signature/, 'signature_mismatch'],
  [/valid_before|expired/, 'expired'],
  [/valid_after/, 'not_yet_valid'],
  [/nonce/, 'nonce_used'],
]

export class Facilitator implements Collector {
  readonly #outside: Outside
  readonly #url: string
  readonly #headers: Readonly<Record<string, string>>

  /** The token, where there is one, is sent as `Authorization: Bearer`. */
  constructor(outside: Outside, url: string, token: string | null) {
    this.#outside = outside
    this.#url = url.replace(/\/+$/, '')
    this.#headers = { 'content-type': 'application/json', ...(token === null ? {} : { authorization: `Bearer ${token}` }) }
  }

  async collect(payment: TransferPayment): Promise<Collected> {
    const body = JSON.stringify(requestOf(payment))
    const check = verified.safeParse(await this.#post('verify', body))
    if (!check.success) throw unknown('facilitator_not_understood')
    if (!check.data.isValid) return { type: 'refused', reason: reasonOf(check.data.invalidReason) }
    const end = settled.safeParse(await this.#post('settle', body))
    if (!end.success) throw unknown('facilitator_not_understood')
    const { success, transaction = '', errorReason } = end.data
    // One that failed on the way may have been sent already: what the chain says decides, or the next attempt.
    if (!success && TRANSACTION.test(transaction)) throw unknown('facilitator_settlement_unclear')
    if (!success) return { type: 'refused', reason: reasonOf(errorReason) }
    if (!TRANSACTION.test(transaction)) throw unknown('facilitator_not_understood')
    return { type: 'settled', transaction: transaction.toLowerCase() }
  }

  async #post(path: string, body: string): Promise<unknown> {
    try {
      const answer = await this.#outside.post(`${this.#url}/${path}`, {
        headers: this.#headers,
        body,
        timeoutMs: TIMEOUT_MS,
        maxBytes: ANSWER_BYTES,
      })
      const value: unknown = JSON.parse(answer.body.toString('utf8'))
      return value
    } catch {
      // No answer, or one that is no JSON; its words are not ours to repeat.
      throw unknown('facilitator_away')
    }
  }
}

/** Both calls take the same: the payload as the payer sent it, and what we ask for, which is exactly what was signed. */
function requestOf({ version, rail, authorization, payload }: TransferPayment): unknown {
  const amount = authorization.value.toString()
  const { asset, payTo, maxTimeoutSeconds, extra } = rail
  const terms = { scheme: 'exact', asset, payTo, maxTimeoutSeconds, extra }
  if (version === 1)
    return {
      x402Version: 1,
      paymentPayload: { x402Version: 1, scheme: 'exact', network: rail.name, payload },
      // The resource was a required URL in this version, and says nothing about who asks.
      paymentRequirements: { ...terms, network: rail.name, maxAmountRequired: amount, resource: '', description: '', mimeType: '' },
    }
  const accepted = { ...terms, network: rail.network, amount }
  return { x402Version: 2, paymentPayload: { x402Version: 2, accepted, payload }, paymentRequirements: accepted }
}

const reasonOf = (words = ''): string => REASONS.find(([pattern]) => pattern.test(words))?.[1] ?? 'facilitator_refused'

const unknown = (internal: string) => fail('PAYMENT_VERIFICATION_FAILED', { internal, reason: internal })
