/** Collects payments with a key of the operator: sends the token's transfer as a transaction of its own and waits for it. */
import { z } from 'zod'
import { type Failure, fail } from '../core/errors.ts'
import { type Hex, isHex } from './address.ts'
import type { Collected, Collector } from './collector.ts'
import type { TransferPayment } from './payment-header.ts'
import type { Rpc } from './rpc.ts'
import { chainIdOf, transferCall } from './transfer.ts'
import { accounts } from './viem.ts'

/** How many payments may wait for their turn: transactions of one key go one after the other. */
export const MAX_WAITING = 32
const RECEIPT_POLL_MS = 250
const RECEIPT_POLLS = 120
const block = z.object({ baseFeePerGas: z.string().regex(/^0x[0-9a-fA-F]{1,16}$/) })
const receipt = z.object({ status: z.string() })

export class OwnCollector implements Collector {
  readonly #rpc: Rpc
  readonly #key: Hex
  #last: Promise<unknown> = Promise.resolve()
  #waiting = 0

  /** The key is 32 bytes, `0x…`; its wallet pays for the gas. */
  constructor(rpc: Rpc, key: Hex) {
    this.#rpc = rpc
    this.#key = key
  }

  async collect(payment: TransferPayment): Promise<Collected> {
    if (this.#waiting >= MAX_WAITING) throw unknown('collector_busy')
    this.#waiting++
    const turn = this.#last.then(() => this.#send(payment))
    this.#last = turn.catch(() => {})
    try {
      return await turn
    } finally {
      this.#waiting--
    }
  }

  async #send(payment: TransferPayment): Promise<Collected> {
    const account = (await accounts()).privateKeyToAccount(this.#key)
    const { to, data } = await transferCall(payment)
    const estimate = await this.#rpc.call('eth_estimateGas', [{ from: account.address, to, data }])
    if (estimate === null) return { type: 'refused', reason: 'transfer_refused' }
    const [gas, nonce, tip, base] = await Promise.all([
      this.#rpc.quantity('eth_estimateGas', [{ from: account.address, to, data }]),
      this.#rpc.quantity('eth_getTransactionCount', [account.address, 'pending']),
      this.#rpc.quantity('eth_maxPriorityFeePerGas', []),
      this.#baseFee(),
    ])
    const signed = await account.signTransaction({
      type: 'eip1559',
      chainId: chainIdOf(payment.rail.network),
      nonce: Number(nonce),
      to,
      data,
      // Twice the base fee lasts for six full blocks; a fifth more gas covers what moved since the estimate.
      gas: (gas * 6n) / 5n,
      maxFeePerGas: base * 2n + tip,
      maxPriorityFeePerGas: tip,
    })
    const sent = await this.#rpc.call('eth_sendRawTransaction', [signed])
    if (typeof sent?.value !== 'string' || !isHex(sent.value)) throw unknown('transaction_not_sent')
    return this.#awaited(sent.value)
  }

  async #awaited(transaction: Hex): Promise<Collected> {
    for (let polls = 0; polls < RECEIPT_POLLS; polls++) {
      const read = receipt.safeParse((await this.#rpc.call('eth_getTransactionReceipt', [transaction]))?.value)
      if (read.data?.status === '0x1') return { type: 'settled', transaction }
      if (read.success) return { type: 'refused', reason: 'transfer_refused' }
      await new Promise((resolve) => setTimeout(resolve, RECEIPT_POLL_MS))
    }
    throw unknown('transaction_not_mined')
  }

  async #baseFee(): Promise<bigint> {
    const read = block.safeParse((await this.#rpc.call('eth_getBlockByNumber', ['latest', false]))?.value)
    if (!read.success) throw unknown('rpc_answer_not_understood')
    return BigInt(read.data.baseFeePerGas)
  }
}

const unknown = (internal: string): Failure => fail('PAYMENT_VERIFICATION_FAILED', { internal, reason: internal })
