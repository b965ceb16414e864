/** Addresses of wallets as people write them, and the one form in which they are compared and kept. */
import type { WalletAddress } from '../core/wallet.ts'
import { decodeBase58 } from './base58.ts'
import { utils } from './viem.ts'

/** Bytes of EVM and of others, written `0x…`. */
export type Hex = `0x${string}`

const EVM = /^0x[0-9a-fA-F]{40}$/
const PUBLIC_KEY_BYTES = 32
/** 32 bytes are 32 to 44 characters of base58. */
const SOLANA_CHARS = 44

/** Whether the text has the form of an EVM address, whatever its case. */
export const isEvm = (text: string): text is Hex => EVM.test(text)

export const isHex = (text: string): text is Hex => /^0x(?:[0-9a-fA-F]{2})*$/.test(text)

/**
 * An EVM address in lower case; null for what is none, and for one in mixed case whose checksum (EIP-55) is wrong, because
 * that is a typing mistake.
 */
export async function evmAddress(text: string): Promise<Hex | null> {
  if (!isEvm(text)) return null
  const digits = text.slice(2)
  const plain = digits === digits.toLowerCase() || digits === digits.toUpperCase()
  if (!plain && !(await utils()).isAddress(text)) return null
  return `0x${digits.toLowerCase()}`
}

/** The public key that a Solana address is, or null. Its case is part of it. */
export function solanaKey(text: WalletAddress): Buffer | null {
  if (text.length > SOLANA_CHARS) return null
  const key = decodeBase58(text)
  return key?.length === PUBLIC_KEY_BYTES ? key : null
}
