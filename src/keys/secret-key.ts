/** An API key while it is in our hands: it prints as its last six characters wherever it ends up. */
import { hash, randomBytes } from 'node:crypto'
import { inspect } from 'node:util'

const PREFIX = 'rialto_'
/** 256 bits: nobody guesses it, so a plain SHA-256 protects it at rest as well as a slow hash would. */
const RANDOM_BYTES = 32
/** Longer credentials are refused before they are hashed. */
export const MAX_KEY_CHARS = 256

export class SecretKey {
  readonly #text: string
  /** SHA-256, hexadecimal: what is stored and looked up. Presenting it opens nothing, for it would be hashed again. */
  readonly hash: string

  constructor(text: string) {
    this.#text = text
    this.hash = hashKey(text)
  }

  /** A new random key. */
  static mint(): SecretKey {
    return new SecretKey(PREFIX + randomBytes(RANDOM_BYTES).toString('base64url'))
  }

  get last6(): string {
    return this.#text.slice(-6)
  }

  /** The key itself. Called where it is shown to its owner, once, and nowhere else. */
  reveal(): string {
    return this.#text
  }

  toString(): string {
    return `${PREFIX}…${this.last6}`
  }

  toJSON(): string {
    return this.toString()
  }

  [inspect.custom](): string {
    return this.toString()
  }
}

export const hashKey = (text: string): string => hash('sha256', text, 'hex')
