/** EIP-3009, `transferWithAuthorization`: what the payer signs, what the token says of it, and what it leaves in the chain's log. */
import { z } from 'zod'
import type { Hex } from './address.ts'
import type { Authorization, TransferPayment } from './payment-header.ts'
import { quantityOf, type Rpc, unavailable } from './rpc.ts'
import { utils, whole } from './viem.ts'

/** How far back a transfer is looked for, in blocks: more than the life of an authorisation on any chain. */
const LOOKBACK_BLOCKS = 9_000n
const PLAIN_SIGNATURE_CHARS = 2 + 65 * 2

const TYPES = {
  TransferWithAuthorization: [
    { name: 'from', type: 'address' },
    { name: 'to', type: 'address' },
    { name: 'value', type: 'uint256' },
    { name: 'validAfter', type: 'uint256' },
    { name: 'validBefore', type: 'uint256' },
    { name: 'nonce', type: 'bytes32' },
  ],
} as const

const FIELDS = 'address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce'
const ABI = [
  `function transferWithAuthorization(${FIELDS}, uint8 v, bytes32 r, bytes32 s)`,
  `function transferWithAuthorization(${FIELDS}, bytes signature)`,
  'function authorizationState(address authorizer, bytes32 nonce) view returns (bool)',
  'function balanceOf(address account) view returns (uint256)',
] as const

/** What the payer's wallet signs: the authorisation under the token's own domain (EIP-712). */
export async function transferHash({ rail, authorization }: TransferPayment): Promise<Hex> {
  const { hashTypedData } = await whole()
  return hashTypedData({
    domain: {
      name: rail.extra['name'] ?? '',
      version: rail.extra['version'] ?? '',
      chainId: chainIdOf(rail.network),
      verifyingContract: assetOf(rail.asset),
    },
    types: TYPES,
    primaryType: 'TransferWithAuthorization',
    message: authorization,
  })
}

/** The call that collects the payment. */
export async function transferCall({ rail, authorization, signature }: TransferPayment): Promise<{ to: Hex; data: Hex }> {
  const { encodeFunctionData, parseAbi, parseSignature } = await whole()
  const { from, to, value, validAfter, validBefore, nonce } = authorization
  const fields = [from, to, value, validAfter, validBefore, nonce] as const
  const abi = parseAbi(ABI)
  const asset = assetOf(rail.asset)
  if (signature.length !== PLAIN_SIGNATURE_CHARS)
    return { to: asset, data: encodeFunctionData({ abi, functionName: 'transferWithAuthorization', args: [...fields, signature] }) }
  const { r, s, yParity } = parseSignature(signature)
  return { to: asset, data: encodeFunctionData({ abi, functionName: 'transferWithAuthorization', args: [...fields, 27 + yParity, r, s] }) }
}

export type TransferState = { readonly used: boolean; readonly balance: bigint }

/** Whether the authorisation is used up, and what the payer has. Rejects with `CHAIN_UNAVAILABLE`. */
export async function transferState(rpc: Rpc, { rail, authorization: { from, nonce } }: TransferPayment): Promise<TransferState> {
  const { encodeFunctionData, parseAbi } = await utils()
  const abi = parseAbi(ABI)
  const call = (data: Hex) => ({ method: 'eth_call', params: [{ to: rail.asset, data }, 'latest'] })
  const [chain, used, balance] = await rpc.batch([
    { method: 'eth_chainId', params: [] },
    call(encodeFunctionData({ abi, functionName: 'authorizationState', args: [from, nonce] })),
    call(encodeFunctionData({ abi, functionName: 'balanceOf', args: [from] })),
  ])
  if (chain?.type !== 'value' || quantityOf(chain.value) !== BigInt(chainIdOf(rail.network))) throw unavailable('rpc_on_another_chain')
  const [state, has] = [used, balance].map((result) => (result?.type === 'value' ? quantityOf(result.value) : null))
  if (state == null || has == null) throw unavailable('token_not_understood')
  return { used: state !== 0n, balance: has }
}

const log = z.object({
  address: z.string(),
  topics: z.array(z.string()),
  data: z.string(),
  logIndex: z.string(),
  transactionHash: z.string().regex(/^0x[0-9a-f]{64}$/i),
  removed: z.boolean().optional(),
})
const logs = z.array(log).max(1_000)
const receipt = z.object({ status: z.string(), logs })
type Log = z.infer<typeof log>

/**
 * The transaction in which this very authorisation moved this very amount to the receiver, or null where there is none.
 * Rejects with `CHAIN_UNAVAILABLE`.
 */
export async function findTransfer(rpc: Rpc, payment: TransferPayment): Promise<string | null> {
  const { toEventHash, pad } = await utils()
  const { rail, authorization } = payment
  const latest = await rpc.quantity('eth_blockNumber', [])
  const topics = [toEventHash('AuthorizationUsed(address,bytes32)'), pad(authorization.from), authorization.nonce]
  const fromBlock = latest > LOOKBACK_BLOCKS ? latest - LOOKBACK_BLOCKS : 0n
  const found = await rpc.call('eth_getLogs', [{ address: rail.asset, fromBlock: hexOf(fromBlock), toBlock: 'latest', topics }])
  const [used] = understood(logs, found?.value).filter(({ removed }) => removed !== true)
  if (!used) return null
  const answer = await rpc.call('eth_getTransactionReceipt', [used.transactionHash])
  const { status, logs: all } = understood(receipt, answer?.value)
  // Tokens write down that an authorisation is used, and then what it moved: only the very next line belongs to it. Any
  // other transfer of the same transaction may be the work of another authorisation, which is paid for by itself.
  const next = all.find(({ logIndex }) => indexOf(logIndex) === indexOf(used.logIndex) + 1n)
  const moved = next !== undefined && isTransfer(next, rail.asset, authorization, toEventHash('Transfer(address,address,uint256)'))
  return status === '0x1' && moved ? used.transactionHash.toLowerCase() : null
}

function isTransfer({ address, topics, data }: Log, asset: string, { from, to, value }: Authorization, hash: Hex): boolean {
  const [event, payer, receiver] = topics
  return (
    address.toLowerCase() === asset &&
    event === hash &&
    addressIn(payer) === from &&
    addressIn(receiver) === to &&
    quantityOf(data) === value
  )
}

const addressIn = (topic: string | undefined): string => `0x${(topic ?? '').slice(-40).toLowerCase()}`
const indexOf = (text: string): bigint => quantityOf(text) ?? -1n
export const hexOf = (value: bigint): Hex => `0x${value.toString(16)}`

function understood<T>(schema: z.ZodType<T>, value: unknown): T {
  const read = schema.safeParse(value)
  if (!read.success) throw unavailable('rpc_answer_not_understood')
  return read.data
}

/** The number in `eip155:8453`. */
export const chainIdOf = (network: string): number => Number(network.slice('eip155:'.length))

/** The settings take nothing but an address for it. */
const assetOf = (asset: string): Hex => `0x${asset.slice(2)}`
