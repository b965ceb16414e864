/** Whether a wallet signed something: by its key (EIP-191, EIP-712), or by what its contract says (EIP-1271, EIP-6492). */
import { fail } from '../core/errors.ts'
import { type Hex, isHex } from './address.ts'
import { quantityOf, type Rpc } from './rpc.ts'
import { utils, whole } from './viem.ts'

/** How many contracts are asked at once: whoever sends wrong signatures must not make us ask a node without end. */
export const MAX_CONTRACT_CHECKS = 16
/** A plain signature has 65 bytes; those of contracts may hold several, and how to deploy the contract. */
const MAX_SIGNATURE_CHARS = 8_192
const BUSY_RETRY_MS = 1_000

export class WalletSignatures {
  readonly #rpc: Rpc | null
  #asking = 0

  /** Without a node only wallets that are keys can be verified. */
  constructor(rpc: Rpc | null) {
    this.#rpc = rpc
  }

  /** Whether contracts can be asked. */
  get contracts(): boolean {
    return this.#rpc !== null
  }

  /** Whether the wallet signed this text with `personal_sign` (EIP-191). As `signedHash`. */
  async signedText(wallet: Hex, text: string, signature: string): Promise<boolean> {
    return this.signedHash(wallet, (await utils()).hashMessage(text), signature)
  }

  /**
   * Whether the wallet signed this hash. False for whatever is no signature, too. Rejects with `CHAIN_UNAVAILABLE` where only
   * the wallet's contract can tell and the node does not answer, and with `RATE_LIMIT_EXCEEDED` where too many wait for it.
   */
  async signedHash(wallet: Hex, hash: Hex, signature: string): Promise<boolean> {
    if (signature.length > MAX_SIGNATURE_CHARS || !isHex(signature) || signature === '0x') return false
    if (await isKeys(wallet, hash, signature)) return true
    if (!this.#rpc) return false
    if (this.#asking >= MAX_CONTRACT_CHECKS)
      throw fail('RATE_LIMIT_EXCEEDED', {
        say: 'Too many signatures of contract wallets are being checked; try again shortly',
        internal: 'contract_checks_full',
        retryAfterMs: BUSY_RETRY_MS,
      })
    this.#asking++
    try {
      return await isContracts(this.#rpc, wallet, hash, signature)
    } finally {
      this.#asking--
    }
  }
}

async function isKeys(wallet: Hex, hash: Hex, signature: Hex): Promise<boolean> {
  try {
    return (await (await utils()).recoverAddress({ hash, signature })).toLowerCase() === wallet
  } catch {
    // Not a signature of a key: of another length, or a point on no curve.
    return false
  }
}

/**
 * Asks the validator of EIP-6492, which is not deployed but sent along: it asks the wallet's contract (EIP-1271), after
 * deploying it for the length of this call where the signature says how.
 */
async function isContracts(rpc: Rpc, wallet: Hex, hash: Hex, signature: Hex): Promise<boolean> {
  const { encodeDeployData, erc6492SignatureValidatorAbi, erc6492SignatureValidatorByteCode } = await whole()
  const data = encodeDeployData({
    abi: erc6492SignatureValidatorAbi,
    args: [wallet, hash, signature],
    bytecode: erc6492SignatureValidatorByteCode,
  })
  const answer = await rpc.call('eth_call', [{ data }, 'latest'])
  return answer !== null && quantityOf(answer.value) === 1n
}
