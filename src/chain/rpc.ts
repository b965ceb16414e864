/** A node of one chain, over JSON-RPC. What it answers is checked for form; what it says in words is read by nobody else. */
import { z } from 'zod'
import { type Failure, fail } from '../core/errors.ts'
import type { Outside } from '../core/outside.ts'

/** How many calls go into one request at most. */
export const MAX_BATCH = 100
const ANSWER_BYTES = 4 * 1024 * 1024

export type RpcCall = { readonly method: string; readonly params: readonly unknown[] }

/** `reverted`: the contract refused. `refused`: the node did, or says nothing that we understand. */
export type RpcResult = { readonly type: 'value'; readonly value: unknown } | { readonly type: 'reverted' } | { readonly type: 'refused' }

const item = z.union([
  z.object({ id: z.int(), error: z.object({ code: z.number(), message: z.string() }) }),
  z.object({ id: z.int(), result: z.unknown() }),
])
const items = z.array(item)

/** EIP-1474 has no code for it that all nodes use; these are what geth, its kin and the providers say. */
const REVERT_CODE = 3
const REVERT_WORDS = /revert|invalid opcode|invalid jump|out of gas|stack (under|over)flow/i

export class Rpc {
  readonly #outside: Outside
  readonly #url: string
  readonly #timeoutMs: number

  /** The address may hold the operator's key with its provider: it is passed on and shown nowhere. */
  constructor(outside: Outside, url: string, timeoutMs: number) {
    this.#outside = outside
    this.#url = url
    this.#timeoutMs = timeoutMs
  }

  /** The answers in the order of the calls, of which there are `MAX_BATCH` at most. Rejects with `CHAIN_UNAVAILABLE` where there are none. */
  async batch(calls: readonly RpcCall[]): Promise<RpcResult[]> {
    const found = await this.#post(calls.map(({ method, params }, id) => ({ jsonrpc: '2.0', id, method, params })))
    const byId = new Map(found.map((one) => [one.id, one]))
    return calls.map((_, id) => resultOf(byId.get(id)))
  }

  /** One call. Rejects with `CHAIN_UNAVAILABLE` where the node does not answer it; null where the contract refused. */
  async call(method: string, params: readonly unknown[]): Promise<{ readonly value: unknown } | null> {
    const found = await this.#post({ jsonrpc: '2.0', id: 0, method, params })
    const result = resultOf(found[0])
    if (result.type === 'refused') throw unavailable('rpc_refused')
    return result.type === 'value' ? result : null
  }

  /** As `call`, for a quantity such as a block number. */
  async quantity(method: string, params: readonly unknown[]): Promise<bigint> {
    const answer = await this.call(method, params)
    const value = answer && quantityOf(answer.value)
    if (value == null) throw unavailable('rpc_answer_not_understood')
    return value
  }

  async #post(body: unknown): Promise<z.infer<typeof items>> {
    let answer: unknown
    try {
      const { status, body: bytes } = await this.#outside.post(this.#url, {
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
        timeoutMs: this.#timeoutMs,
        maxBytes: ANSWER_BYTES,
      })
      if (status < 200 || status > 299) throw unavailable('rpc_status')
      answer = JSON.parse(bytes.toString('utf8'))
    } catch {
      // Whatever it was, its words may quote the address and the answer.
      throw unavailable('rpc_away')
    }
    // A node that does not take batches answers one error object without an id of ours.
    const read = items.safeParse(Array.isArray(answer) ? answer : [answer])
    if (!read.success) throw unavailable('rpc_answer_not_understood')
    return read.data
  }
}

/** `0x…` as a number that is not negative, or null. */
export function quantityOf(value: unknown): bigint | null {
  return typeof value === 'string' && /^0x[0-9a-fA-F]{1,64}$/.test(value) ? BigInt(value) : null
}

export const unavailable = (internal: string): Failure => fail('CHAIN_UNAVAILABLE', { internal, retryAfterMs: RETRY_MS })
const RETRY_MS = 5_000

function resultOf(found: z.infer<typeof item> | undefined): RpcResult {
  if (!found) return { type: 'refused' }
  if ('error' in found) {
    const { code, message } = found.error
    return { type: code === REVERT_CODE || REVERT_WORDS.test(message) ? 'reverted' : 'refused' }
  }
  return { type: 'value', value: found.result }
}
