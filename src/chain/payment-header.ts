/** What a payment header says: the x402 payload of the scheme `exact` over EIP-3009, in version 2 and the older 1. */
import { z } from 'zod'
import { type Failure, fail } from '../core/errors.ts'
import type { Rail, SignedPayment } from '../core/wallet.ts'
import type { Hex } from './address.ts'
import { decodeHeader } from './header.ts'

/** What the payer signed. Times are seconds since 1970, the value is in the token's smallest unit. */
export type Authorization = {
  readonly from: Hex
  readonly to: Hex
  readonly value: bigint
  readonly validAfter: bigint
  readonly validBefore: bigint
  readonly nonce: Hex
}

export type TransferPayment = {
  readonly version: 1 | 2
  readonly rail: Rail
  readonly authorization: Authorization
  readonly signature: Hex
  /** The payload as it came, for whoever collects. */
  readonly payload: unknown
}

const lower = (text: string): Hex => {
  // The schemas below have checked that it begins with 0x and goes on in hexadecimal digits.
  return text.toLowerCase() as Hex
}
const address = z
  .string()
  .regex(/^0x[0-9a-fA-F]{40}$/)
  .transform(lower)
const word = z
  .string()
  .regex(/^0x[0-9a-fA-F]{64}$/)
  .transform(lower)
const uint = z
  .string()
  .regex(/^\d{1,78}$/)
  .transform(BigInt)
  .refine((value) => value < 2n ** 256n)
const payload = z.object({
  signature: z
    .string()
    .max(8_192)
    .regex(/^0x(?:[0-9a-fA-F]{2})+$/)
    .transform(lower),
  authorization: z.object({ from: address, to: address, value: uint, validAfter: uint, validBefore: uint, nonce: word }),
})
const name = z.string().max(128)
const version2 = z.object({
  x402Version: z.literal(2),
  accepted: z.object({ scheme: name, network: name, amount: uint, asset: name, payTo: name }),
  payload: z.unknown(),
})
const version1 = z.object({ x402Version: z.literal(1), scheme: name, network: name, payload: z.unknown() })

/** Throws `X402_INVALID_PAYMENT`, with its reason, for one that is malformed or is not for one of these rails. */
export function readPaymentHeader(header: string, rails: readonly Rail[]): TransferPayment {
  const decoded = decodeHeader(header)
  const two = version2.safeParse(decoded)
  const one = version1.safeParse(decoded)
  const said = two.data?.accepted ?? one.data
  if (!said) throw invalid('malformed', 'the header is not base64 of an x402 payment payload')
  if (said.scheme !== 'exact') throw invalid('unsupported_scheme', 'the scheme must be exact')
  const rail = rails.find(({ network, name }) => network === said.network || name === said.network)
  if (!rail) throw invalid('unsupported_network', 'the network is not one of those that are accepted')
  const accepted = two.data?.accepted
  if (accepted && accepted.asset.toLowerCase() !== rail.asset) throw invalid('asset_mismatch', 'the asset is not the one that is accepted')
  if (accepted && accepted.payTo.toLowerCase() !== rail.payTo) throw invalid('pay_to_mismatch', 'the receiver is another one')
  const raw = two.data?.payload ?? one.data?.payload
  const read = payload.safeParse(raw)
  if (!read.success) throw invalid('malformed', 'the payload is not a signature and an EIP-3009 authorization')
  const { authorization, signature } = read.data
  if (authorization.to !== rail.payTo) throw invalid('pay_to_mismatch', 'the receiver is another one')
  if (authorization.value === 0n) throw invalid('amount_mismatch', 'the amount is zero')
  if (accepted && authorization.value < accepted.amount) throw invalid('amount_mismatch', 'less is authorised than was accepted')
  return { version: two.success ? 2 : 1, rail, authorization, signature, payload: raw }
}

/** How the payment is known to the ledger. Nothing in it depends on the header's spelling. */
export function signedPayment({ rail, authorization: { from, nonce, value } }: TransferPayment, header: string): SignedPayment {
  return {
    id: `${rail.network}:${rail.asset}:${from}:${nonce}`,
    wallet: from,
    // Rails have nine decimals at most, so this is whole.
    amount: value * 10n ** BigInt(9 - rail.decimals),
    network: rail.network,
    header,
  }
}

export const invalid = (reason: string, why: string): Failure =>
  fail('X402_INVALID_PAYMENT', { say: `Invalid payment header: ${why}`, reason, internal: reason })
