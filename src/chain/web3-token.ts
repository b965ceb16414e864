/** The token that a wallet signs to get a key: a JWT (HS256) of ours, good for a quarter of an hour, once. */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { z } from 'zod'
import type { Clock } from '../core/clock.ts'
import { type Failure, fail } from '../core/errors.ts'
import { UsedOnce } from './used-once.ts'

export const TOKEN_MS = 900_000
/** How many keys may be made by tokens that could still be used. */
const MAX_USED = 10_000
const MAX_CHARS = 1_024
const AUDIENCE = 'generate_web3_key'
const HEADER = encode({ alg: 'HS256', typ: 'JWT' })
const JWT = /^([\w-]+)\.([\w-]+)\.([\w-]{43})$/

const claims = z.object({ aud: z.literal(AUDIENCE), jti: z.string().min(1), iat: z.int(), exp: z.int() })

/**
 * The secret is the process's own: after a restart tokens from before are refused, and whoever asked for one asks again.
 * A file would keep them valid for minutes, and be one more secret on the disk.
 */
export class Web3Tokens {
  readonly #clock: Clock
  readonly #secret = randomBytes(32)
  readonly #used: UsedOnce

  constructor(clock: Clock) {
    this.#clock = clock
    this.#used = new UsedOnce(clock, { keepMs: TOKEN_MS, perOwner: MAX_USED, total: MAX_USED })
  }

  /** Costs no memory: anybody may ask for as many as they like. */
  mint(): string {
    const iat = Math.floor(this.#clock.now() / 1000)
    const body = `${HEADER}.${encode({ aud: AUDIENCE, jti: this.#clock.id(), iat, exp: iat + TOKEN_MS / 1000 })}`
    return `${body}.${this.#sign(body).toString('base64url')}`
  }

  /** The token's id. Throws a 400 in the API's own words for one that is not ours, not whole or too old. */
  check(token: string): string {
    const parts = token.length > MAX_CHARS ? null : JWT.exec(token)
    if (!parts) throw refused('JWT is malformed')
    const [, head = '', payload = '', signature = ''] = parts
    if (!timingSafeEqual(this.#sign(`${head}.${payload}`), Buffer.from(signature, 'base64url'))) throw refused('JWT signature is invalid')
    const read = claims.safeParse(JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')))
    if (!read.success || head !== HEADER) throw refused('JWT claims are invalid')
    if (read.data.exp * 1000 <= this.#clock.now()) throw refused('JWT has expired')
    return read.data.jti
  }

  /** Uses the token up. Throws a 400 where it was used before. */
  use(id: string): void {
    if (!this.#used.use(AUDIENCE, id)) throw refused('JWT claims are invalid', 'token_used')
  }

  #sign(body: string): Buffer {
    return createHmac('sha256', this.#secret).update(body).digest()
  }
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

const refused = (say: string, reason?: string): Failure =>
  fail('INVALID_REQUEST', {
    say,
    param: 'token',
    issues: [{ code: 'custom', path: ['token'], message: say }],
    ...(reason === undefined ? {} : { reason }),
  })
