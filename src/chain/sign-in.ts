/** SIGN-IN-WITH-X: a wallet's signature instead of a key, for one request. */
import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import type { Clock } from '../core/clock.ts'
import { type Failure, fail } from '../core/errors.ts'
import type { SignInChallenge, WalletAddress, WalletSignIn } from '../core/wallet.ts'
import { evmAddress, solanaKey } from './address.ts'
import { signedByEd25519 } from './ed25519.ts'
import { decodeHeader } from './header.ts'
import { parseSignInMessage, type SignInMessage } from './sign-in-message.ts'
import { UsedOnce } from './used-once.ts'
import type { WalletSignatures } from './wallet-signature.ts'

/** How old a signature may be, and how far its clock may run ahead of ours. */
export const MAX_AGE_MS = 300_000
export const CLOCK_SKEW_MS = 30_000
/** How many sign-ins are remembered, of one wallet and of all, while they could be sent again. */
export const MAX_SIGN_INS_PER_WALLET = 5_000
export const MAX_SIGN_INS = 100_000
/** CAIP-2 of Solana's main network. */
export const SOLANA_MAINNET = 'solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp'

/** What challenges say, and the other spelling that the API's documentation has. */
const STATEMENT = 'Sign in to Venice AI'
const STATEMENTS: ReadonlySet<string> = new Set([STATEMENT, 'Sign in to Venice API'])
const NONCE = /^[A-Za-z0-9]{8,128}$/

export type SignInOptions = {
  /** Whether this server is reached by this host, in lower case, with its port where it has one. */
  readonly isOurs: (host: string) => boolean
  /** Of the EVM chain whose wallets may sign in. */
  readonly chainId: number
  readonly signatures: WalletSignatures
  readonly clock: Clock
}

const payloadSchema = z.object({
  address: z.string().max(128),
  message: z.string().max(4_096),
  signature: z.string().max(8_192),
  timestamp: z.union([z.number(), z.string().max(32)]).optional(),
  chainId: z.union([z.int(), z.string().max(128)]).optional(),
  type: z.enum(['eip191', 'eip1271', 'eip6492', 'ed25519']).optional(),
})
type Payload = z.infer<typeof payloadSchema>

export class SignIn implements WalletSignIn {
  readonly #options: SignInOptions
  readonly #used: UsedOnce

  constructor(options: SignInOptions) {
    this.#options = options
    this.#used = new UsedOnce(options.clock, {
      keepMs: MAX_AGE_MS + CLOCK_SKEW_MS,
      perOwner: MAX_SIGN_INS_PER_WALLET,
      total: MAX_SIGN_INS,
    })
  }

  /** The nonce is any that was not used: a wallet may also make one of its own, so none is remembered that nobody used. */
  challenge(resource: string): SignInChallenge {
    const { clock, chainId, signatures } = this.#options
    const now = clock.now()
    const evm = `eip155:${chainId}`
    return {
      info: {
        domain: hostOf(resource) ?? '',
        uri: resource,
        version: '1',
        nonce: randomBytes(8).toString('hex'),
        issuedAt: new Date(now).toISOString(),
        expirationTime: new Date(now + MAX_AGE_MS).toISOString(),
        statement: STATEMENT,
      },
      supportedChains: [
        { chainId: evm, type: 'eip191' },
        ...(signatures.contracts ? [{ chainId: evm, type: 'eip1271' } as const] : []),
        { chainId: SOLANA_MAINNET, type: 'ed25519' },
      ],
    }
  }

  /** Also rejects with `CHAIN_UNAVAILABLE` or `RATE_LIMIT_EXCEEDED` where a contract's signature cannot be checked now. */
  async verify(header: string): Promise<WalletAddress> {
    const payload = payloadSchema.safeParse(decodeHeader(header))
    if (!payload.success) throw refused('malformed', 'the header is not base64 of a JSON object with address, message and signature')
    const message = parseSignInMessage(payload.data.message)
    if (!message) throw refused('message_malformed', 'the message is not one of EIP-4361')
    const wrong = this.#wrong(message)
    if (wrong) throw refused(wrong[0], wrong[1])
    const wallet = message.chain === 'solana' ? this.#solana(payload.data, message) : await this.#evm(payload.data, message)
    // Last, so that only who can sign for a wallet takes up its memory. Nothing is awaited between asking and using.
    if (!this.#used.use(wallet, message.nonce))
      throw refused('nonce_used', 'the nonce was used before; sign a new message for each request')
    return wallet
  }

  /** What is wrong with the signed text, whoever signed it. */
  #wrong(message: SignInMessage): readonly [string, string] | null {
    const { isOurs, clock } = this.#options
    const now = clock.now()
    const uriHost = hostOf(message.uri)
    if (!isOurs(message.domain.toLowerCase())) return ['domain_mismatch', 'the domain is not one of this server']
    if (uriHost === null || !isOurs(uriHost)) return ['uri_mismatch', 'the URI is not one of this server']
    if (message.version !== '1') return ['version_unknown', 'the version must be 1']
    if (!NONCE.test(message.nonce)) return ['nonce_malformed', 'the nonce takes 8 to 128 letters and digits']
    if (message.statement !== null && !STATEMENTS.has(message.statement))
      return ['statement_mismatch', `the statement must be "${STATEMENT}"`]
    if (message.issuedAt > now + CLOCK_SKEW_MS) return ['issued_in_future', 'the message is from the future; check your clock']
    if (message.issuedAt <= now - MAX_AGE_MS) return ['expired', 'the message is older than five minutes']
    if (message.expiresAt !== null && message.expiresAt <= now) return ['expired', 'the message has expired']
    if (message.notBefore !== null && message.notBefore > now + CLOCK_SKEW_MS) return ['not_yet_valid', 'the message is not valid yet']
    return null
  }

  async #evm(payload: Payload, message: SignInMessage): Promise<WalletAddress> {
    const { chainId, signatures } = this.#options
    const ours: readonly string[] = [String(chainId), `eip155:${chainId}`]
    if (payload.type === 'ed25519') throw refused('type_mismatch', 'the type ed25519 is for Solana accounts')
    if (!ours.includes(message.chainId) || (payload.chainId !== undefined && !ours.includes(String(payload.chainId))))
      throw refused('chain_mismatch', `the chain must be ${chainId}`)
    const wallet = await evmAddress(message.address)
    if (!wallet || payload.address.toLowerCase() !== wallet) throw refused('address_mismatch', 'the address and that of the message differ')
    if (!(await signatures.signedText(wallet, payload.message, payload.signature))) throw refused('signature_mismatch')
    return wallet
  }

  #solana(payload: Payload, message: SignInMessage): WalletAddress {
    const ours: readonly string[] = [SOLANA_MAINNET, SOLANA_MAINNET.slice('solana:'.length)]
    if (payload.type !== undefined && payload.type !== 'ed25519')
      throw refused('type_mismatch', 'Solana accounts sign with the type ed25519')
    if (!ours.includes(message.chainId) || (payload.chainId !== undefined && !ours.includes(String(payload.chainId))))
      throw refused('chain_mismatch', `the chain must be ${SOLANA_MAINNET}`)
    if (!solanaKey(message.address) || payload.address !== message.address)
      throw refused('address_mismatch', 'the address and that of the message differ')
    if (!signedByEd25519(message.address, payload.message, payload.signature)) throw refused('signature_mismatch')
    return message.address
  }
}

/** The host of a URL, or of a bare host, in lower case; null for what is neither. */
function hostOf(uri: string): string | null {
  const text = /^https?:\/\//i.test(uri) ? uri : `https://${uri}`
  if (!URL.canParse(text)) return null
  const { host, username, password } = new URL(text)
  return username === '' && password === '' && host !== '' ? host : null
}

/** The table's words come first, as callers know them. `reason` is ours, from the places above. */
function refused(reason: string, why?: string): Failure {
  const words = 'Invalid Sign-in-with-x signature'
  return fail('X402_INVALID_SIGN_IN', { say: why ? `${words}: ${why}` : words, reason, internal: reason })
}
