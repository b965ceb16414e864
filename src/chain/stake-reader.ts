/** How much wallets have staked, read from one contract of the operator's choice. */
import type { Hex } from './address.ts'
import { MAX_BATCH, quantityOf, type Rpc, type RpcCall, type RpcResult, unavailable } from './rpc.ts'
import { utils } from './viem.ts'

export type StakeSource = {
  readonly contract: Hex
  /** The name of a function that takes one address; the first word of what it returns is the stake, in the token's smallest unit. */
  readonly read: string
  readonly chainId: number
}

const WORD_CHARS = 64

export class StakeReader {
  readonly #rpc: Rpc
  readonly #source: StakeSource

  constructor(rpc: Rpc, source: StakeSource) {
    this.#rpc = rpc
    this.#source = source
  }

  /**
   * The stake of each wallet (in lower case) that could be read; one that is missing could not, which is no stake of zero.
   * Asks in requests of `MAX_BATCH` calls, one after the other. Rejects with `CHAIN_UNAVAILABLE` where the node is away or
   * stands on another chain; nothing of that answer is taken then.
   */
  async read(wallets: readonly Hex[]): Promise<ReadonlyMap<Hex, bigint>> {
    const selector = (await utils()).toFunctionSelector(`function ${this.#source.read}(address)`)
    const found = new Map<Hex, bigint>()
    for (let at = 0; at < wallets.length; at += MAX_BATCH - 1) {
      const some = wallets.slice(at, at + MAX_BATCH - 1)
      const calls = some.map((wallet) => this.#call(selector, wallet))
      // Each request asks which chain it is, because behind one address there may be many nodes.
      const [chain, ...results] = await this.#rpc.batch([{ method: 'eth_chainId', params: [] }, ...calls])
      this.#check(chain)
      for (const [index, wallet] of some.entries()) {
        const amount = amountOf(results[index])
        if (amount !== null) found.set(wallet, amount)
      }
    }
    return found
  }

  #call(selector: Hex, wallet: Hex): RpcCall {
    const data = selector + wallet.slice(2).padStart(WORD_CHARS, '0')
    return { method: 'eth_call', params: [{ to: this.#source.contract, data }, 'latest'] }
  }

  #check(chain: RpcResult | undefined): void {
    const id = chain?.type === 'value' ? quantityOf(chain.value) : null
    if (id === null) throw unavailable('rpc_refused')
    if (id !== BigInt(this.#source.chainId)) throw unavailable('rpc_on_another_chain')
  }
}

/** An address without a contract answers with nothing, which is no word. */
function amountOf(result: RpcResult | undefined): bigint | null {
  if (result?.type !== 'value' || typeof result.value !== 'string' || result.value.length < 2 + WORD_CHARS) return null
  return quantityOf(result.value.slice(0, 2 + WORD_CHARS))
}
