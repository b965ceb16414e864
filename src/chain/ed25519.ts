/** Signatures of Solana wallets: Ed25519 over the text as UTF-8, by Node's own cryptography. */
import { createPublicKey, verify } from 'node:crypto'
import { solanaKey } from './address.ts'
import { decodeBase58 } from './base58.ts'

/** What stands before the 32 bytes of a key in the format that Node reads (RFC 8410). */
const DER_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')
const SIGNATURE_BYTES = 64

/** Whether the wallet of this address signed the text. The signature may be base58 or base64. Never throws. */
export function signedByEd25519(address: string, text: string, signature: string): boolean {
  const key = solanaKey(address)
  const bytes = signatureBytes(signature)
  if (!key || !bytes) return false
  try {
    const publicKey = createPublicKey({ key: Buffer.concat([DER_PREFIX, key]), format: 'der', type: 'spki' })
    return verify(null, Buffer.from(text, 'utf8'), publicKey, bytes)
  } catch {
    // A point that is on no curve: nobody has a key to it.
    return false
  }
}

function signatureBytes(text: string): Buffer | null {
  const bytes = decodeBase58(text) ?? Buffer.alloc(0)
  if (bytes.length === SIGNATURE_BYTES) return bytes
  if (!/^[A-Za-z0-9+/_-]{86}(?:==)?$/.test(text)) return null
  return Buffer.from(text, 'base64')
}
