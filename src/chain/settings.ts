/** The shape of `chain.json`: which chain, which contracts, and what wallets may do. */
import { z } from 'zod'

const address = z
  .string()
  .regex(/^0x[0-9a-fA-F]{40}$/, 'takes an address: 0x and 40 hexadecimal digits')
  .transform((text): `0x${string}` => `0x${text.slice(2).toLowerCase()}`)

const stake = z.strictObject({
  contract: address,
  /** The name of a view function that takes one address; the first word of its answer is the stake. */
  read: z.string().regex(/^[A-Za-z_$][\w$]{0,63}$/, 'takes the name of a function, without brackets'),
  decimals: z.int().min(0).max(36),
})

export const chainFile = z.strictObject({
  /** The EVM chain whose wallets sign in, stake and pay: its id, and the plain name that x402 has for it. */
  chainId: z.int().min(1).max(4_294_967_295),
  name: z.string().regex(/^[a-z0-9-]{1,32}$/),
  /** For one answer of the node. */
  rpcTimeoutMs: z.int().min(100).max(60_000),
  /** Who gets an API key for a wallet's signature. */
  web3Keys: z.enum(['off', 'open', 'staked']),
  /** The stake that `web3Keys: "staked"` asks for. */
  vvv: stake.nullable(),
  /** The stake that is worth a daily allowance. */
  diem: stake.nullable(),
  diemPollMs: z.int().min(1_000).max(86_400_000),
  /** Whether a wallet's signature is taken instead of a key, and under which further host names. */
  signIn: z.strictObject({ enabled: z.boolean(), domains: z.array(z.string().regex(/^[^\s/@]{1,255}$/)).max(32) }),
  /** The token that top-ups by x402 are paid in; null takes none. Worth a dollar each. */
  x402: z
    .strictObject({
      payTo: address,
      asset: address,
      token: z.string().min(1).max(16),
      /** As in the token's own EIP-712 domain. */
      tokenName: z.string().min(1).max(64),
      tokenVersion: z.string().min(1).max(16),
      decimals: z.int().min(0).max(9),
      maxTimeoutSeconds: z.int().min(10).max(3_600),
      /** Who collects; null is the server itself, with the key in RIALTO_SETTLER_KEY. */
      facilitatorUrl: z.url({ protocol: /^https?$/ }).nullable(),
    })
    .nullable(),
})
export type ChainFile = z.infer<typeof chainFile>

/** What the environment says: addresses and keys that are nobody's business. Null where it says nothing. */
export type ChainSecrets = {
  /** `RIALTO_RPC_URL`: a node of the chain. */
  readonly rpcUrl: string | null
  /** `RIALTO_SETTLER_KEY`: 32 bytes, `0x…`; its wallet pays for the gas of payments that this server collects. */
  readonly settlerKey: `0x${string}` | null
  /** `RIALTO_FACILITATOR_TOKEN`: sent to the facilitator as a bearer token. */
  readonly facilitatorToken: string | null
}

/** One sentence for the operator about settings that contradict each other, or null. The start ends with it. */
export function chainProblem(file: ChainFile, { rpcUrl, settlerKey }: ChainSecrets): string | null {
  if (file.web3Keys === 'staked' && (!file.vvv || !rpcUrl))
    return 'chain.json: web3Keys "staked" needs the contract "vvv" and a node in RIALTO_RPC_URL.'
  if (file.x402 && file.x402.facilitatorUrl === null && (!settlerKey || !rpcUrl))
    return 'chain.json: x402 without a facilitatorUrl needs RIALTO_SETTLER_KEY and a node in RIALTO_RPC_URL.'
  return null
}
